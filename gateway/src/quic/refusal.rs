//! Converts QUIC's errors to the mesh core's [`ConnectionError`]. `ringway-identity` has the texts
//! about certificates and TLS alerts.

use std::net::SocketAddr;

use ringway_core::{ByeCode, ConnectionError, ExternalText};
use rustls::AlertDescription;

use ringway_identity::refusal::said_by_peer;

/// Why the connection with `remote` ended.
pub fn connection_error(error: &quinn::ConnectionError, remote: SocketAddr) -> ConnectionError {
    match error {
        quinn::ConnectionError::TimedOut => ConnectionError::TimedOut { remote },
        quinn::ConnectionError::VersionMismatch => ConnectionError::QuicVersion { remote },
        quinn::ConnectionError::Reset => ConnectionError::Reset,
        quinn::ConnectionError::LocallyClosed => ConnectionError::ClosedLocally,
        quinn::ConnectionError::ApplicationClosed(close) => {
            closed_by_peer(close.error_code.into_inner())
        }
        quinn::ConnectionError::ConnectionClosed(close) => transport(u64::from(close.error_code)),
        quinn::ConnectionError::TransportError(error) => match alert(u64::from(error.code)) {
            // Our own TLS stack sent the alert, so the text is ours.
            Some(_) => ConnectionError::PeerRefused {
                remote,
                reason: ExternalText::new(&error.reason),
            },
            None => ConnectionError::QuicViolation {
                remote,
                error: ExternalText::new(error),
            },
        },
        quinn::ConnectionError::CidsExhausted => ConnectionError::TooManyConnections,
    }
}

fn closed_by_peer(code: u64) -> ConnectionError {
    match u16::try_from(code) {
        Ok(code) => ConnectionError::ClosedByPeer(ByeCode::from(code)),
        Err(_) => ConnectionError::UnknownCode(code),
    }
}

fn transport(code: u64) -> ConnectionError {
    match alert(code) {
        Some(alert) => ConnectionError::TlsAlert {
            meaning: said_by_peer(AlertDescription::from(alert)),
        },
        // RFC 9000, section 20.1: 2 is CONNECTION_REFUSED.
        None if code == 2 => ConnectionError::PeerBusy,
        None => ConnectionError::TransportCode(code),
    }
}

/// RFC 9001, section 4.8: codes 0x100 to 0x1ff carry a TLS alert.
fn alert(code: u64) -> Option<u8> {
    (code & !0xff == 0x100).then_some((code & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_alerts_are_translated_for_operators() {
        let text = |code| transport(code).to_string();
        assert!(text(0x100 | 48).starts_with("peer does not know our org"));
        assert!(text(0x100 | 120).contains("protocol"));
        assert_eq!(alert(0x99), None);
    }
}
