//! [`FlowRecord`]: what the gateways of one site tell each other about a flow that a host of the
//! site has opened.

use std::net::SocketAddr;

/// A flow of ours, as another gateway of this site may learn it. How it travels is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRecord {
    /// Its protocol.
    pub protocol: FlowProtocol,
    /// The host of our site. For echo the port is the id.
    pub local: SocketAddr,
    /// The host of another site. For echo the port is 0.
    pub remote: SocketAddr,
    /// TCP: the highest acknowledgement of our host, if it has sent any.
    pub ack: Option<u32>,
    /// Seconds since our host sent the last packet.
    pub idle: u16,
}

/// A protocol that has flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6 echo.
    Echo,
}
