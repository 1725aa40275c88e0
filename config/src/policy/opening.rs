//! [`Opening`]: one connection to be opened, for evaluating rules.

use std::net::IpAddr;

/// What somebody may want to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Who opens.
    pub source: IpAddr,
    /// What is opened.
    pub destination: IpAddr,
    /// How.
    pub service: Asked,
}

/// A single service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
    /// ICMP or ICMPv6 echo.
    Echo,
    /// A protocol by its number.
    Protocol(u8),
}
