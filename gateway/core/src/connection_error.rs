//! [`ConnectionError`]: how a connection of the control plane ended.

use std::net::SocketAddr;

use thiserror::Error;

use crate::external_text::ExternalText;
use crate::message::{ByeCode, FramingError};

/// Why a connection, or the handshake that was to establish it, ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// Nothing came from the peer for too long.
    #[error("no answer from {remote}")]
    TimedOut {
        /// The peer's address.
        remote: SocketAddr,
    },
    /// The peer does not speak QUIC version 1.
    #[error("{remote} does not speak QUIC version 1")]
    QuicVersion {
        /// The peer's address.
        remote: SocketAddr,
    },
    /// A stateless reset: the peer has no state for the connection (RFC 9000, section 10.3).
    #[error("peer has restarted")]
    Reset,
    /// This gateway closed it.
    #[error("closed by us")]
    ClosedLocally,
    /// The peer closed it, by a `Bye` or by a QUIC application close.
    #[error("{0}")]
    ClosedByPeer(ByeCode),
    /// The peer closed it with an application error code that is no [`ByeCode`].
    #[error("peer closed the session with unknown code {0}")]
    UnknownCode(u64),
    /// The peer ended the handshake with a TLS alert.
    #[error("{meaning}")]
    TlsAlert {
        /// What the alert means to the operator of this gateway.
        meaning: &'static str,
    },
    /// The peer refuses new connections for the moment (RFC 9000, section 20.1).
    #[error("peer is busy with other handshakes")]
    PeerBusy,
    /// The peer closed it with this transport error code (RFC 9000, section 20.1).
    #[error("peer closed the connection with QUIC error {0:#x}")]
    TransportCode(u64),
    /// Our TLS stack refused the peer.
    #[error("we refuse {remote}: {reason}")]
    PeerRefused {
        /// The peer's address.
        remote: SocketAddr,
        /// The TLS stack's reason.
        reason: ExternalText,
    },
    /// The peer broke the rules of QUIC.
    #[error("{remote} broke the QUIC protocol: {error}")]
    QuicViolation {
        /// The peer's address.
        remote: SocketAddr,
        /// The QUIC stack's description.
        error: ExternalText,
    },
    /// The QUIC stack has no connection ids left.
    #[error("too many connections")]
    TooManyConnections,
    /// A frame of the control stream could not be delimited.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The control stream failed although the connection did not.
    #[error("{0}")]
    Stream(ExternalText),
}
