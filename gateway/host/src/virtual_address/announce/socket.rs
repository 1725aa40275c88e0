//! Packet sockets (packet(7)) that receive only claims of addresses: a filter in the kernel drops
//! every other frame.
//!
//! Soundness: `SockAddr::try_init` hands out storage that is larger than `sockaddr_ll` and aligned
//! for every address, zeroed; the one write initializes that structure, and the length is its size.
#![expect(
    unsafe_code,
    reason = "there is no safe constructor of such an address"
)]

use std::io;
use std::net::IpAddr;

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// Return value of a filter that accepts the whole frame.
const WHOLE: u32 = u32::MAX;

// Instructions of linux/bpf_common.h: load a byte or a word at an offset, compare, return.
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const EQUALS: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Offset of the sender's address in an ARP frame.
const ARP_SENDER: u32 = 28;
/// Offsets of the IPv6 next header, and of the type of an ICMPv6 message.
const NEXT_HEADER: u32 = 20;
const ICMPV6_TYPE: u32 = 54;

/// Receives ARP from hosts that claim one of the IPv4 `addresses`.
pub(super) fn arp(index: u32, addresses: &[IpAddr]) -> io::Result<Socket> {
    let wanted: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4.to_bits()),
            IpAddr::V6(_) => None,
        })
        .collect();

    let mut program = vec![SockFilter::new(LOAD_WORD, 0, 0, ARP_SENDER)];
    for (place, address) in wanted.iter().enumerate() {
        // Jumps over the remaining comparisons and the final drop. The configuration limits the
        // number of addresses, so it fits.
        let over = (wanted.len() - place) as u8;
        program.push(SockFilter::new(EQUALS, over, 0, *address));
    }
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program.push(SockFilter::new(RETURN, 0, 0, WHOLE));
    open(index, libc::ETH_P_ARP, &program)
}

/// Receives neighbour advertisements.
pub(super) fn neighbours(index: u32) -> io::Result<Socket> {
    // 58 is ICMPv6; 136 is a neighbour advertisement (RFC 4861, section 4.4).
    let program = [
        SockFilter::new(LOAD_BYTE, 0, 0, NEXT_HEADER),
        SockFilter::new(EQUALS, 0, 3, 58),
        SockFilter::new(LOAD_BYTE, 0, 0, ICMPV6_TYPE),
        SockFilter::new(EQUALS, 0, 1, 136),
        SockFilter::new(RETURN, 0, 0, WHOLE),
        SockFilter::new(RETURN, 0, 0, 0),
    ];

    open(index, libc::ETH_P_IPV6, &program)
}

fn open(index: u32, protocol: libc::c_int, program: &[SockFilter]) -> io::Result<Socket> {
    // Protocol 0 receives nothing until the filter is attached.
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec().nonblocking(), None)?;

    socket.attach_filter(program)?;
    socket.bind(&address(index, protocol)?)?;
    Ok(socket)
}

/// The address of a packet socket: interface and protocol.
fn address(index: u32, protocol: libc::c_int) -> io::Result<SockAddr> {
    let index = i32::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;

    // SAFETY: see the head of this file.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_protocol = (protocol as u16).to_be();
            (*link).sll_ifindex = index;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }?;
    Ok(address)
}
