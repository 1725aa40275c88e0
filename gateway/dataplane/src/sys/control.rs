//! Ancillary data of sendmsg(2) and recvmsg(2), written and read as bytes (cmsg(3)). No `unsafe`.
//!
//! ```text
//! +------------- cmsghdr --------------+------+---------+
//! | length of header and data | level | type | data    | padding to the size of a pointer | next ...
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

/// Room for what one datagram is sent or received with: address, segment size, ECN.
pub(crate) const ROOM: usize = 128;

/// Ancillary data for one sendmsg(2).
pub(crate) struct Control {
    bytes: [u8; ROOM],
    len: usize,
}

impl Control {
    pub(crate) fn new() -> Control {
        Control {
            bytes: [0; ROOM],
            len: 0,
        }
    }

    /// Cut the payload into datagrams of `size` bytes, the last one shorter (UDP_SEGMENT, udp(7)).
    pub(crate) fn segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    /// Send from this local address (IP_PKTINFO, ip(7); IPV6_PKTINFO, RFC 3542, section 6.2). An IPv6
    /// socket takes IPv4 addresses in their mapped form.
    pub(crate) fn source(&mut self, address: IpAddr, v6_socket: bool) {
        match address {
            IpAddr::V4(address) if !v6_socket => {
                // struct in_pktinfo: interface, source, destination.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V4(address) => self.source(address.to_ipv6_mapped().into(), v6_socket),
            IpAddr::V6(address) => {
                // struct in6_pktinfo: source, interface.
                let mut info = [0; 20];
                info[..16].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let message = &mut self.bytes[self.len..];
        message[..ALIGN].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        message[ALIGN..ALIGN + 4].copy_from_slice(&level.to_ne_bytes());
        message[ALIGN + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.len += (HEADER + data.len()).next_multiple_of(ALIGN);
    }
}

/// What recvmsg(2) said about a buffer of datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Length of all datagrams in the buffer but the last, if there are several (UDP_GRO).
    pub(crate) segment: Option<usize>,
    /// The local address they were sent to, in its plain form.
    pub(crate) to: Option<IpAddr>,
    /// The two ECN bits of their IP header (RFC 3168, section 5).
    pub(crate) ecn: Option<u8>,
}

/// Reads ancillary data.
pub(crate) fn read(mut bytes: &[u8]) -> Told {
    let mut told = Told::default();
    while let Some((header, _)) = bytes.split_at_checked(HEADER) {
        let len = header[..ALIGN].try_into().map_or(0, usize::from_ne_bytes);
        let Some(data) = bytes.get(HEADER..len) else {
            break;
        };
        match (int(&header[ALIGN..]), int(&header[ALIGN + 4..])) {
            (Some(libc::SOL_UDP), Some(libc::UDP_GRO)) => {
                told.segment = int(data)
                    .and_then(|size| usize::try_from(size).ok())
                    .filter(|size| *size > 0);
            }
            (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => {
                told.to = octets::<4>(&data[8.min(data.len())..])
                    .map(|octets| Ipv4Addr::from(octets).into());
            }
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) => {
                told.to = octets::<16>(data)
                    .map(|octets| IpAddr::from(Ipv6Addr::from(octets)).to_canonical());
            }
            (Some(libc::IPPROTO_IP), Some(libc::IP_TOS)) => {
                told.ecn = data.first().map(|tos| tos & 3)
            }
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_TCLASS)) => {
                told.ecn = int(data).map(|class| (class & 3) as u8);
            }
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    told
}

fn octets<const N: usize>(data: &[u8]) -> Option<[u8; N]> {
    data.first_chunk::<N>().copied()
}

fn int(data: &[u8]) -> Option<i32> {
    octets::<4>(data).map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let told = read(control.as_bytes());
        let to = Some("192.0.2.7".parse().unwrap());
        assert_eq!(
            told,
            Told {
                segment: Some(1452),
                to,
                ecn: Some(1)
            }
        );
    }

    #[test]
    fn a_mapped_address_is_told_in_its_plain_form() {
        let mut control = Control::new();
        control.source("192.0.2.1".parse().unwrap(), true);
        control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &2i32.to_ne_bytes());
        let told = read(control.as_bytes());
        assert_eq!(
            told,
            Told {
                segment: None,
                to: Some("192.0.2.1".parse().unwrap()),
                ecn: Some(2)
            }
        );
    }

    #[test]
    fn cut_off_data_is_ignored() {
        let mut control = Control::new();
        control.source("2001:db8::1".parse().unwrap(), true);
        for len in 0..control.as_bytes().len() - 4 {
            assert_eq!(
                read(&control.as_bytes()[..len]),
                Told::default(),
                "{len} bytes"
            );
        }
    }
}
