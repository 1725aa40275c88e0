//! [`TunnelError`]: what went wrong with a tunnel last.

use ringway_config::Endpoint;
use thiserror::Error;

use crate::close_reason::CloseReason;
use crate::connection_error::ConnectionError;
use crate::dial_error::DialError;
use crate::message::{FieldError, Kind};

/// Why the last session of a tunnel ended or the last attempt to start one failed.
/// [`Display`](std::fmt::Display) is the text for operators.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TunnelError {
    /// This gateway closed the session.
    #[error(transparent)]
    Closed(#[from] CloseReason),
    /// The session's connection ended.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A dial failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A dial of these endpoints has had no answer so far.
    #[error("no answer from {}", listed(.0))]
    NoAnswer(Vec<Endpoint>),
    /// A message could not be read. The session goes on.
    #[error("malformed {kind}: {error}")]
    Malformed {
        /// Which message.
        kind: Kind,
        /// What is wrong with it.
        error: FieldError,
    },
    /// Nothing failed, but only the peer can dial.
    #[error("the peer's record names no endpoint: it has to dial us")]
    NoEndpoint,
}

impl TunnelError {
    /// True if the peer answers, and one of us does not accept the certificate of the other.
    pub(crate) fn is_about_certificates(&self) -> bool {
        match self {
            TunnelError::Closed(reason) => reason.code().is_about_certificates(),
            TunnelError::Connection(error) | TunnelError::Dial(DialError::Handshake(error)) => {
                match error {
                    ConnectionError::ClosedByPeer(code) => code.is_about_certificates(),
                    ConnectionError::TlsAlert { .. } | ConnectionError::PeerRefused { .. } => true,
                    _ => false,
                }
            }
            TunnelError::Dial(DialError::PeerRefused { .. }) => true,
            _ => false,
        }
    }
}

/// The first few of them.
fn listed(endpoints: &[Endpoint]) -> String {
    let shown: Vec<_> = endpoints.iter().take(3).map(ToString::to_string).collect();
    let more = endpoints.len() - shown.len();

    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}
