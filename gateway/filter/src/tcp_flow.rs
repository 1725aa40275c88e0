//! [`TcpFlow`]: a TCP connection of a host in our site, as the writer of resets needs it.

use std::net::SocketAddr;

/// A TCP connection that is not known to be closed, ours or theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlow {
    /// The host of our site.
    pub local: SocketAddr,
    /// The host of another site.
    pub remote: SocketAddr,
    /// The highest acknowledgement that our host has sent since its SYN: the sequence number of an
    /// exact reset. `None` if it has sent none that was seen here.
    pub ack: Option<u32>,
    /// True if our host opened it.
    pub is_ours: bool,
}
