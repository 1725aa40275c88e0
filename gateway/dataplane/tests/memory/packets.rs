//! IP packets byte by byte, and an Internet checksum that shares no code with the data plane's.

use std::time::Instant;

use ringway_dataplane::{ChannelUdp, Metadata, Udp};

use crate::gateways::TIMEOUT;

/// Which IP version a packet is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A UDP packet from the host of gateway `from` to that of gateway `to`.
pub(crate) fn udp(family: Family, from: u8, to: u8, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let header = [&[0x1b, 0x8a, 0x1b, 0x8b][..], &len.to_be_bytes(), &[0, 0]].concat();
    let mut packet = ip(family, UDP, from, to, &[&header, payload].concat());
    complete(&mut packet, 6);
    packet
}

/// A TCP packet likewise, or a super-packet.
pub(crate) fn tcp(family: Family, from: u8, to: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let header = [
        &[0x1b, 0x8a, 0x1b, 0x8b][..],
        &sequence.to_be_bytes(),
        &[0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0],
    ]
    .concat();
    let mut packet = ip(family, TCP, from, to, &[&header, payload].concat());
    complete(&mut packet, 16);
    packet
}

/// A TCP packet without payload from this port, with these flags.
pub(crate) fn bare(family: Family, from: u8, to: u8, port: u16, flags: u8) -> Vec<u8> {
    bare_with(family, [from, to], port, flags, 77)
}

/// A TCP acknowledgement without payload from this port of host 1 to host 2.
pub(crate) fn acknowledging(family: Family, port: u16, acknowledged: u32) -> Vec<u8> {
    bare_with(family, [1, 2], port, 0x10, acknowledged)
}

fn bare_with(
    family: Family,
    [from, to]: [u8; 2],
    port: u16,
    flags: u8,
    acknowledged: u32,
) -> Vec<u8> {
    let header = [
        &port.to_be_bytes()[..],
        &[0x1b, 0x8b, 0, 0, 0, 100],
        &acknowledged.to_be_bytes(),
        &[0x50, flags, 1, 0, 0, 0, 0, 0],
    ]
    .concat();
    let mut packet = ip(family, TCP, from, to, &header);
    complete(&mut packet, 16);
    packet
}

/// Ports, sequence, acknowledgement and flags of a TCP packet.
pub(crate) fn tcp_header(packet: &[u8]) -> ([u16; 2], u32, u32, u8) {
    let header = &packet[transport(packet)..];
    let u16_at = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
    ([u16_at(0), u16_at(2)], u32_at(4), u32_at(8), header[13])
}

fn ip(family: Family, protocol: u8, from: u8, to: u8, payload: &[u8]) -> Vec<u8> {
    let header = match family {
        Family::V4 => {
            let [high, low] = (20 + payload.len() as u16).to_be_bytes();
            let mut header = vec![0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0];
            header.extend([10, from, 0, 1, 10, to, 0, 1]);
            let checksum = !sum(&header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        }
        Family::V6 => {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            for site in [from, to] {
                header.extend([0xfd, 0, 0, site, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            }
            header
        }
    };
    [&header, payload].concat()
}

/// The source and destination ports of a TCP or UDP packet the other way round, and the hosts'.
pub(crate) fn answer(packet: &[u8]) -> Vec<u8> {
    let mut answer = packet.to_vec();
    let (addresses, len) = if packet[0] >> 4 == 6 {
        (8, 16)
    } else {
        (12, 4)
    };
    let (source, destination) = answer[addresses..addresses + 2 * len].split_at_mut(len);
    source.swap_with_slice(destination);

    let start = transport(packet);
    let (source, destination) = answer[start..start + 4].split_at_mut(2);
    source.swap_with_slice(destination);
    answer
}

/// Cuts an IPv4 packet into two fragments behind `at` bytes of payload, a multiple of eight.
pub(crate) fn fragments(packet: &[u8], at: usize) -> [Vec<u8>; 2] {
    let (header, payload) = packet.split_at(20);
    let piece = |payload: &[u8], field: u16| {
        let mut piece = [header, payload].concat();
        let len = piece.len() as u16;
        piece[2..4].copy_from_slice(&len.to_be_bytes());
        piece[6..8].copy_from_slice(&field.to_be_bytes());
        piece[10..12].fill(0);
        let checksum = !sum(&piece[..20]);
        piece[10..12].copy_from_slice(&checksum.to_be_bytes());
        piece
    };
    [
        piece(&payload[..at], 0x2000),
        piece(&payload[at..], (at / 8) as u16),
    ]
}

/// Gives a packet these DSCP and ECN bits.
pub(crate) fn set_class(packet: &mut [u8], class: u8) {
    if packet[0] >> 4 == 6 {
        packet[0] = 0x60 | class >> 4;
        packet[1] = class << 4 | packet[1] & 15;
        return;
    }
    packet[1] = class;
    packet[10..12].fill(0);
    let checksum = !sum(&packet[..20]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Waits for a datagram.
pub(crate) fn receive(socket: &ChannelUdp, buffer: &mut [u8]) -> Metadata {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Ok(metadata) = socket.receive(buffer) {
            return metadata;
        }
        assert!(Instant::now() < deadline, "nothing arrives");
        std::thread::yield_now();
    }
}

/// Completes the checksum that lies at `field` in the transport header.
fn complete(packet: &mut [u8], field: usize) {
    let at = transport(packet) + field;
    let checksum = match !covered(packet) {
        0 => 0xffff,
        checksum => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// True if the IPv4 header's and the transport's checksum are right.
pub(crate) fn is_right(packet: &[u8]) -> bool {
    let header_is_right = packet[0] >> 4 == 6 || sum(&packet[..20]) == 0xffff;
    header_is_right && covered(packet) == 0xffff
}

/// Payload behind the TCP header, and the sequence number.
pub(crate) fn tcp_payload(packet: &[u8]) -> (u32, &[u8]) {
    let segment = &packet[transport(packet)..];
    let sequence = u32::from_be_bytes(segment[4..8].try_into().unwrap());
    (sequence, &segment[20..])
}

fn transport(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 6 { 40 } else { 20 }
}

/// Sum of pseudo-header, transport header and payload.
fn covered(packet: &[u8]) -> u16 {
    let start = transport(packet);
    let (addresses, protocol) = match start {
        40 => (&packet[8..40], packet[6]),
        _ => (&packet[12..20], packet[9]),
    };
    let len = ((packet.len() - start) as u16).to_be_bytes();
    sum(&[addresses, &[0, protocol], &len, &packet[start..]].concat())
}

/// The one's complement sum of RFC 1071.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
