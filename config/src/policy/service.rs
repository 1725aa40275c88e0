//! [`Service`]: protocols and ports, as a rule names them.

use std::fmt;

/// What a rule opens at its destinations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// TCP to one of these ports, which are in order and disjoint; empty for every port.
    Tcp(Vec<PortRange>),
    /// UDP to one of these ports, which are in order and disjoint; empty for every port.
    Udp(Vec<PortRange>),
    /// ICMP and ICMPv6 echo.
    Icmp,
    /// Another protocol by its number (RFC 5237). Packets pass in both directions.
    Protocol(u8),
}

/// A range of TCP or UDP ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, which is the first if the range is one port.
    pub last: u16,
}

impl PortRange {
    /// A range of one port.
    pub fn one(port: u16) -> PortRange {
        PortRange {
            first: port,
            last: port,
        }
    }

    /// True if `port` is in the range.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// As an operator reads it: `tcp 7050-7051,7054`, `udp`, `icmp echo`, `protocol 47`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Tcp(ports) => write_ports(f, "tcp", ports),
            Service::Udp(ports) => write_ports(f, "udp", ports),
            Service::Icmp => f.write_str("icmp echo"),
            Service::Protocol(number) => write!(f, "protocol {number}"),
        }
    }
}

fn write_ports(f: &mut fmt::Formatter<'_>, protocol: &str, ports: &[PortRange]) -> fmt::Result {
    f.write_str(protocol)?;
    for (i, range) in ports.iter().enumerate() {
        let separator = if i == 0 { " " } else { "," };
        write!(f, "{separator}{range}")?;
    }

    Ok(())
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            self.first.fmt(f)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
