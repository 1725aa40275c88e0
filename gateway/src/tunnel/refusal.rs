//! Says in an operator's words why a connection failed. Owns the texts of QUIC's codes;
//! those of certificates and TLS alerts are [`crate::identity`]'s.

use std::net::SocketAddr;

use quinn::ConnectionError;
use ringway_core::ByeCode;
use rustls::AlertDescription;

use crate::identity::refusal::said_by_peer;

/// What went wrong between us and `remote`, and where there is one, what to do.
pub fn describe(error: &ConnectionError, remote: SocketAddr) -> String {
    match error {
        ConnectionError::TimedOut => format!("no answer from {remote}"),
        ConnectionError::VersionMismatch => format!("{remote} does not speak QUIC version 1"),
        ConnectionError::Reset => "peer has restarted".into(),
        ConnectionError::LocallyClosed => "closed by us".into(),
        ConnectionError::ApplicationClosed(close) => bye(close.error_code.into_inner()),
        ConnectionError::ConnectionClosed(close) => transport(u64::from(close.error_code)),
        ConnectionError::TransportError(error) => match alert(u64::from(error.code)) {
            // Our own TLS stack refused the peer: its text is not from the wire.
            Some(_) => format!("we refuse {remote}: {}", error.reason),
            None => format!("{remote} broke the QUIC protocol: {error}"),
        },
        ConnectionError::CidsExhausted => "too many connections".into(),
    }
}

fn bye(code: u64) -> String {
    match u16::try_from(code) {
        Ok(code) => ByeCode::from(code).to_string(),
        Err(_) => format!("peer closed the session with unknown code {code}"),
    }
}

fn transport(code: u64) -> String {
    match alert(code) {
        Some(alert) => said_by_peer(AlertDescription::from(alert)).into(),
        // RFC 9000, section 20.1: 2 is CONNECTION_REFUSED.
        None if code == 2 => "peer is busy with other handshakes".into(),
        None => format!("peer closed the connection with QUIC error {code:#x}"),
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
    fn alerts_are_told_in_an_operators_words() {
        assert!(transport(0x100 | 48).starts_with("peer does not know our org"));
        assert!(transport(0x100 | 120).contains("protocol"));
        assert_eq!(alert(0x99), None);
    }
}
