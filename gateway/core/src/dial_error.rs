//! [`DialError`]: why a dial established no connection.

use std::net::SocketAddr;

use ringway_config::Endpoint;
use thiserror::Error;

use crate::connection_error::ConnectionError;
use crate::external_text::ExternalText;

/// Why a dial established no connection. [`Display`](std::fmt::Display) is the text for operators.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DialError {
    /// The host's resolver gave no address.
    #[error("cannot resolve {host}: {error}")]
    Resolve {
        /// The endpoint's host name.
        host: String,
        /// The resolver's error.
        error: ExternalText,
    },
    /// None of the endpoint's addresses can be reached from the socket's address family.
    #[error(
        "{host} has no {} address, and we listen on {local} only",
        if .local.is_ipv4() { "IPv4" } else { "IPv6" }
    )]
    AddressFamily {
        /// The endpoint's host name.
        host: String,
        /// The address that our socket is bound to.
        local: SocketAddr,
    },
    /// The operating system or the QUIC stack refused to start.
    #[error("cannot dial {endpoint}: {error}")]
    Local {
        /// The endpoint, or the one of its addresses that failed.
        endpoint: Endpoint,
        /// The system's error.
        error: ExternalText,
    },
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] ConnectionError),
    /// Whatever answered at the endpoint has no certificate that we accept there.
    #[error("we refuse {endpoint}: {reason}")]
    PeerRefused {
        /// The endpoint that was dialled.
        endpoint: Endpoint,
        /// The verifier's reason.
        reason: ExternalText,
    },
}
