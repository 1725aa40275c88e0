//! [`FlowRecord`]: what the gateways of one site tell each other about a flow that a host of the
//! site has opened.
//!
//! ```text
//! 0  family 4 or 6 << 4 | protocol    1  flags: 1 = acknowledgement is there
//! 2  local port    4  remote port    6  idle seconds    8  acknowledgement
//! 12 local address    then remote address
//! ```
//! All numbers are big-endian. A record has 20 bytes with IPv4, 44 with IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// Bytes before the addresses.
const FIXED: usize = 12;
const HAS_ACK: u8 = 1;

impl FlowRecord {
    /// The longest record in bytes.
    pub const MAX_LEN: usize = FIXED + 32;

    /// Appends the record. Both addresses must be of one family, as all of
    /// [`Filter`](crate::Filter)'s are.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let family = if self.local.is_ipv4() { 4 } else { 6 };
        let protocol = match self.protocol {
            FlowProtocol::Tcp => 1,
            FlowProtocol::Udp => 2,
            FlowProtocol::Echo => 3,
        };

        to.push(family << 4 | protocol);
        to.push(if self.ack.is_some() { HAS_ACK } else { 0 });
        to.extend(self.local.port().to_be_bytes());
        to.extend(self.remote.port().to_be_bytes());
        to.extend(self.idle.to_be_bytes());
        to.extend(self.ack.unwrap_or_default().to_be_bytes());
        for address in [self.local.ip(), self.remote.ip()] {
            match address {
                IpAddr::V4(address) => to.extend(address.octets()),
                IpAddr::V6(address) => to.extend(address.octets()),
            }
        }
    }

    /// Takes a record from the front of `bytes`; `None` if there is no whole and sound one.
    pub fn decode(bytes: &mut &[u8]) -> Option<FlowRecord> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let protocol = match fixed[0] & 0x0f {
            1 => FlowProtocol::Tcp,
            2 => FlowProtocol::Udp,
            3 => FlowProtocol::Echo,
            _ => return None,
        };
        if fixed[1] & !HAS_ACK != 0 {
            return None;
        }

        let (local, remote, rest) = match fixed[0] >> 4 {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<8>()?;
                let [a, b, c, d, e, f, g, h] = *octets;
                let local = IpAddr::from(Ipv4Addr::new(a, b, c, d));
                (local, IpAddr::from(Ipv4Addr::new(e, f, g, h)), rest)
            }
            6 => {
                let (local, rest) = rest.split_first_chunk::<16>()?;
                let (remote, rest) = rest.split_first_chunk::<16>()?;
                let local = IpAddr::from(Ipv6Addr::from(*local));
                (local, IpAddr::from(Ipv6Addr::from(*remote)), rest)
            }
            _ => return None,
        };
        *bytes = rest;

        let port = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let ack = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        Some(FlowRecord {
            protocol,
            local: (local, port(2)).into(),
            remote: (remote, port(4)).into(),
            ack: (fixed[1] & HAS_ACK != 0).then_some(ack),
            idle: port(6),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_cut_or_unknown_is_none() {
        let record = FlowRecord {
            protocol: FlowProtocol::Tcp,
            local: "[fd01::1]:1".parse().unwrap(),
            remote: "[fd02::1]:2".parse().unwrap(),
            ack: None,
            idle: 3,
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes.len(), FlowRecord::MAX_LEN);
        for len in 0..bytes.len() {
            assert_eq!(FlowRecord::decode(&mut &bytes[..len]), None);
        }
        for (at, value) in [(0, 0x51), (0, 0x60), (0, 0x64), (1, 2)] {
            let mut bad = bytes.clone();
            bad[at] = value;
            assert_eq!(FlowRecord::decode(&mut &bad[..]), None);
        }
    }
}
