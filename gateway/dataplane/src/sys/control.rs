//! Ancillary data of sendmsg(2) and recvmsg(2), written and read as bytes (cmsg(3)). No `unsafe`.
//!
//! ```text
//! +---------------- cmsghdr ------------------+------+------------------------+----------
//! | length of header and data | level  | type  | data | padding to a pointer's | next ...
//! +---------------------------+--------+-------+------+------------------------+----------
//! ```
//! quinn-udp would spare this file, but cannot do what the tunnel needs:
//! * `RecvMeta` has no field for SO_RXQ_OVFL, and control messages that it does not know are
//!   discarded, so that the kernel's count of drops cannot be read through it;
//! * each `recv` prepares 32 headers for recvmmsg(2), while this path reads one joined buffer at a
//!   time into memory that the next one follows;
//! * after one EINVAL, which here only means that a source address has gone, it advises against GSO
//!   and leaves out IPv4's type of service for as long as the socket lives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::traffic_class::TrafficClass;
use crate::udp::Metadata;

const HEADER: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

/// Bytes for what one send or receive carries: address, segment size, traffic
/// class, drops.
pub(crate) const CAPACITY: usize = 128;

/// Ancillary data for one sendmsg(2).
pub(crate) struct Control {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Control {
    pub(crate) fn new() -> Control {
        Control {
            bytes: [0; CAPACITY],
            len: 0,
        }
    }

    /// Cuts the payload into datagrams of `size` bytes, the last one perhaps shorter (UDP_SEGMENT,
    /// udp(7)).
    pub(crate) fn push_segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    /// Sends from this local address (IP_PKTINFO, ip(7); IPV6_PKTINFO, RFC 3542, section 6.2). An
    /// IPv6 socket takes IPv4 addresses in their mapped form.
    pub(crate) fn push_source(&mut self, address: IpAddr, v6_socket: bool) {
        match address {
            IpAddr::V4(address) if !v6_socket => {
                // struct in_pktinfo: interface, source, destination.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V4(address) => self.push_source(address.to_ipv6_mapped().into(), v6_socket),
            IpAddr::V6(address) => {
                // struct in6_pktinfo: source, interface.
                let mut info = [0; 20];
                info[..16].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// Sends with these DSCP and ECN bits, to an address of IPv6 or IPv4 (IP_TOS, ip(7);
    /// IPV6_TCLASS, RFC 3542, section 6.5).
    pub(crate) fn push_class(&mut self, class: TrafficClass, to_v6: bool) {
        let (level, kind) = if to_v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
        } else {
            (libc::IPPROTO_IP, libc::IP_TOS)
        };
        self.push(level, kind, &i32::from(class.0).to_ne_bytes());
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        // cmsg(3): each message begins at a multiple of a pointer's size.
        let message = &mut self.bytes[self.len..];
        message[..ALIGN].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        message[ALIGN..ALIGN + 4].copy_from_slice(&level.to_ne_bytes());
        message[ALIGN + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER..HEADER + data.len()].copy_from_slice(data);

        self.len += (HEADER + data.len()).next_multiple_of(ALIGN);
    }
}

/// Reads the ancillary data of one recvmsg(2) into `metadata`. Messages of other kinds are skipped;
/// a message that is cut off ends the reading.
pub(crate) fn read(mut bytes: &[u8], metadata: &mut Metadata) {
    while let Some((header, _)) = bytes.split_at_checked(HEADER) {
        let len = header[..ALIGN].try_into().map_or(0, usize::from_ne_bytes);
        // A length below that of a header is no range either: without this, 0 would loop for ever.
        let Some(data) = bytes.get(HEADER..len) else {
            return;
        };

        match (int(&header[ALIGN..]), int(&header[ALIGN + 4..])) {
            (Some(libc::SOL_UDP), Some(libc::UDP_GRO)) => metadata.segment = segment(data),
            (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => metadata.to = v4_destination(data),
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) => {
                metadata.to = v6_destination(data);
            }
            // One byte here (ip(7)), an int for IPv6 (RFC 3542, section 6.5).
            (Some(libc::IPPROTO_IP), Some(libc::IP_TOS)) => {
                metadata.ecn = data.first().map(|tos| tos & 3);
            }
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_TCLASS)) => {
                metadata.ecn = int(data).map(|class| (class & 3) as u8);
            }
            (Some(libc::SOL_SOCKET), Some(libc::SO_RXQ_OVFL)) => {
                metadata.lost = int(data).map_or(0, |lost| lost as u32);
            }
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
}

fn segment(data: &[u8]) -> Option<usize> {
    usize::try_from(int(data)?).ok().filter(|size| *size > 0)
}

/// The third field of `struct in_pktinfo`: the destination in the IP header.
fn v4_destination(data: &[u8]) -> Option<IpAddr> {
    let octets = data.get(8..)?.first_chunk::<4>()?;
    Some(Ipv4Addr::from(*octets).into())
}

/// The first field of `struct in6_pktinfo`.
fn v6_destination(data: &[u8]) -> Option<IpAddr> {
    let octets = data.first_chunk::<16>()?;
    Some(IpAddr::from(Ipv6Addr::from(*octets)).to_canonical())
}

fn int(data: &[u8]) -> Option<i32> {
    data.first_chunk::<4>()
        .map(|bytes| i32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from these bytes of ancillary data.
    fn read_all(bytes: &[u8]) -> Metadata {
        let mut metadata = empty();
        read(bytes, &mut metadata);
        metadata
    }

    fn empty() -> Metadata {
        Metadata::new(1, "192.0.2.1:4600".parse().unwrap())
    }

    #[test]
    fn messages_follow_each_other_as_the_kernel_lays_them_out() {
        let mut control = Control::new();
        control.push(libc::SOL_UDP, libc::UDP_GRO, &1452i32.to_ne_bytes());
        control.push(libc::IPPROTO_IP, libc::IP_TOS, &[0xb9]);
        control.push(
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            &[0, 0, 0, 2, 192, 0, 2, 1, 192, 0, 2, 7],
        );
        let expected = Metadata {
            segment: Some(1452),
            to: Some("192.0.2.7".parse().unwrap()),
            ecn: Some(1),
            ..empty()
        };
        assert_eq!(read_all(control.as_bytes()), expected);
    }

    #[test]
    fn a_mapped_address_is_read_in_its_plain_form() {
        let mut control = Control::new();
        control.push_source("192.0.2.1".parse().unwrap(), true);
        control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &2i32.to_ne_bytes());
        let expected = Metadata {
            to: Some("192.0.2.1".parse().unwrap()),
            ecn: Some(2),
            ..empty()
        };
        assert_eq!(read_all(control.as_bytes()), expected);
    }

    #[test]
    fn drops_are_read_as_the_kernel_counts_them() {
        let mut control = Control::new();
        control.push(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &u32::MAX.to_ne_bytes());
        let expected = Metadata {
            lost: u32::MAX,
            ..empty()
        };
        assert_eq!(read_all(control.as_bytes()), expected);
    }

    #[test]
    fn a_message_that_is_cut_off_is_ignored() {
        let mut control = Control::new();
        control.push_source("2001:db8::1".parse().unwrap(), true);
        for len in 0..control.as_bytes().len() - 4 {
            assert_eq!(read_all(&control.as_bytes()[..len]), empty(), "{len} bytes");
        }
    }
}
