//! [`Service`]: protocols and ports, as a rule names them.

use std::fmt;
use std::str::FromStr;

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

/// Why a text is not a port range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a port from 1 to 65535, or a range of them")]
pub struct PortRangeError(String);

/// `7051`, or `7050-7054`.
impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<PortRange, PortRangeError> {
        // A port alone is a range of one.
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match parse_port(first).zip(parse_port(last)) {
            Some((first, last)) if first > 0 && first <= last => Ok(PortRange { first, last }),
            _ => Err(PortRangeError(text.into())),
        }
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` alone would accept a plus sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }

    text.parse().ok()
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
