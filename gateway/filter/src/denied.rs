//! [`DeniedPacket`]: the last packets that were denied, for `status` and `policy denied`.

use std::net::IpAddr;
use std::time::Instant;

use ringway_config::OrgId;

use crate::verdict::Reason;

/// A packet that was dropped by the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedPacket {
    /// Counts up by one for each packet that is kept, so that a reader sees what is new.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Which way it went.
    pub direction: Direction,
    /// The organization at the far end; `None` if no rule's site holds the address.
    pub org: Option<OrgId>,
    /// Why.
    pub reason: Reason,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The IP protocol number, behind extension headers.
    pub protocol: u8,
    /// Source port of TCP and UDP; type of ICMP; else 0.
    pub source_port: u16,
    /// Destination port of TCP and UDP; code of ICMP; else 0.
    pub destination_port: u16,
}

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Out of a tunnel.
    Arriving,
    /// Into a tunnel.
    Leaving,
}
