//! IP packets as hosts and peers may send them: the checks on their shape and addresses, and
//! joining and cutting them. None of it needs a thread, a socket or a key.

use std::net::IpAddr;
use std::sync::LazyLock;

use ringway_dataplane::harness;
use ringway_dataplane::{
    Checksum, HEADER_LEN, Header, SiteNo, Snapshot, SnapshotBuilder, admit as admit_packet, route,
};

/// The site of the gateway under test, that of its peer, and a third one.
const HERE: SiteNo = SiteNo(0);
const PEER: SiteNo = SiteNo(1);
const THIRD: SiteNo = SiteNo(2);

/// The prefixes of each site. Those of the third site lie within the peer's.
const PREFIXES: [(SiteNo, &str); 6] = [
    (HERE, "10.1.0.0/16"),
    (HERE, "fd00:1::/32"),
    (PEER, "10.2.0.0/16"),
    (PEER, "fd00:2::/32"),
    (THIRD, "10.2.128.0/24"),
    (THIRD, "fd00:2:8000::/48"),
];

/// A network that the host of the gateway is connected to; it lies within the peer's prefix.
const CONNECTED: &str = "10.2.200.0/24";

/// A packet, and the header of a datagram. True if it is a packet.
pub fn parse(data: &[u8]) -> bool {
    if let Ok(header) = Header::decode(data) {
        assert_eq!(header.encode()[..], data[..HEADER_LEN], "{header:?}");
    }
    let Ok((source, destination)) = harness::parse(data) else {
        return false;
    };
    assert_eq!((source, destination), addresses(data), "{data:02x?}");
    let len = match data[0] >> 4 {
        4 => usize::from(u16::from_be_bytes([data[2], data[3]])),
        _ => 40 + usize::from(u16::from_be_bytes([data[4], data[5]])),
    };
    assert_eq!(len, data.len(), "{data:02x?}");
    true
}

/// A packet that the peer has sealed, and that a host of this site sends. True if it passes one of
/// the checks.
pub fn admit(data: &[u8]) -> bool {
    static TABLES: LazyLock<Snapshot> = LazyLock::new(tables);
    let is_admitted = admit_packet(&TABLES, PEER, data).is_ok();
    // No session leads anywhere: a packet that passes is one without a route.
    let is_routed = route(&TABLES, data).is_ok();
    assert!(!is_routed, "there is no route: {data:02x?}");
    if is_admitted {
        assert!(parse(data), "admitted without a look: {data:02x?}");
        let (source, destination) = addresses(data);
        assert_eq!(holder(source), Some(PEER), "{source}");
        assert_eq!(holder(destination), Some(HERE), "{destination}");
    }
    is_admitted
}

/// A super-packet as the TUN device gives it, offload header first. The first byte says how long
/// packets on the path may be. True if it is cut.
pub fn split(data: &[u8]) -> bool {
    let Some((limit, read)) = data.split_first() else {
        return false;
    };
    let max_packet = 64 + 8 * usize::from(*limit);
    let Some(packet) = read.get(harness::HEADROOM..).filter(|packet| parse(packet)) else {
        return false;
    };
    let Ok(segments) = harness::split(&mut read.to_vec(), max_packet) else {
        return false;
    };

    let payload = |packet: &[u8]| packet[headers(packet)..].to_vec();
    if segments.len() == 1 && segments[0].len() == packet.len() {
        return false;
    }
    let joined: Vec<u8> = segments
        .iter()
        .flat_map(|segment| payload(segment))
        .collect();
    assert_eq!(joined, payload(packet), "{data:02x?}");
    for segment in &segments {
        assert!(parse(segment), "{segment:02x?} of {data:02x?}");
        assert_eq!(addresses(segment), addresses(packet));
        let is_tcp = protocol(segment) == TCP && headers(segment) < max_packet;
        assert!(
            !is_tcp || segment.len() <= max_packet,
            "{} bytes",
            segment.len()
        );
    }
    true
}

/// Packets that were opened one after the other: each behind its length (2 bytes, BE) and a byte
/// whose lowest bit says that its checksum is partial. True if some are joined.
pub fn coalesce(data: &[u8]) -> bool {
    let packets = packets(data);
    let written = harness::coalesce(&packets);
    let mut came = packets.into_iter();
    let mut is_joined = false;
    for (mut bytes, count) in written {
        let group: Vec<_> = came.by_ref().take(count).collect();
        assert_eq!(group.len(), count, "more packets than came");
        if let [(alone, _)] = &group[..] {
            assert_eq!(&bytes[harness::HEADROOM..], alone, "changed without need");
            continue;
        }

        is_joined = true;
        let segments = harness::split(&mut bytes, usize::MAX).expect("it can be cut");
        assert_eq!(segments.len(), count);
        for (segment, (packet, checksum)) in segments.into_iter().zip(group) {
            if checksum == Checksum::Complete {
                assert!(
                    is_checksum_right(&packet),
                    "a wrong checksum was joined: {packet:02x?}"
                );
            }
            assert_eq!(without_checksums(segment), without_checksums(packet));
        }
    }
    assert_eq!(came.count(), 0, "packets are missing");
    is_joined
}

/// Packets that a receiving thread could have admitted.
fn packets(mut data: &[u8]) -> Vec<(Vec<u8>, Checksum)> {
    let mut packets = Vec::new();
    while let [high, low, flags, rest @ ..] = data {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (packet, behind) = rest.split_at(len);
        data = behind;
        let has_transport = parse(packet) && headers(packet) > ip_header(packet);
        let checksum = match flags & 1 {
            0 => Checksum::Complete,
            _ => Checksum::Partial,
        };
        // A partial checksum needs a place, or the packet is dropped.
        if parse(packet) && (checksum == Checksum::Complete || has_transport) {
            packets.push((packet.to_vec(), checksum));
        }
    }
    packets
}

fn tables() -> Snapshot {
    let mut builder = SnapshotBuilder::new(HERE);
    for (site, prefix) in PREFIXES {
        let prefix = prefix.parse().expect("a prefix");
        if site == HERE {
            builder.site_prefix(prefix);
        } else {
            builder.authorize(prefix, site);
        }
    }
    builder.connected(CONNECTED.parse().expect("a prefix"));
    builder.build()
}

/// The site that holds an address, by its text alone.
fn holder(address: IpAddr) -> Option<SiteNo> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    match octets[..] {
        [10, 1, ..] => Some(HERE),
        [10, 2, 128, _] => Some(THIRD),
        [10, 2, 200, _] => None,
        [10, 2, ..] => Some(PEER),
        [0xfd, 0, 0, 1, ..] => Some(HERE),
        [0xfd, 0, 0, 2, 0x80, 0, ..] => Some(THIRD),
        [0xfd, 0, 0, 2, ..] => Some(PEER),
        _ => None,
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Source and destination, where every packet has them.
fn addresses(packet: &[u8]) -> (IpAddr, IpAddr) {
    if packet[0] >> 4 == 4 {
        let address = |at: usize| IpAddr::from(*packet[at..].first_chunk::<4>().expect("20 bytes"));
        (address(12), address(16))
    } else {
        let address =
            |at: usize| IpAddr::from(*packet[at..].first_chunk::<16>().expect("40 bytes"));
        (address(8), address(24))
    }
}

fn ip_header(packet: &[u8]) -> usize {
    match packet[0] >> 4 {
        4 => usize::from(packet[0] & 15) * 4,
        _ => 40,
    }
}

fn protocol(packet: &[u8]) -> u8 {
    match packet[0] >> 4 {
        4 => packet[9],
        _ => packet[6],
    }
}

/// Bytes of all headers of a TCP or UDP packet; those of the IP header alone if nothing of it can
/// be cut.
fn headers(packet: &[u8]) -> usize {
    let start = ip_header(packet);
    let is_fragment = packet[0] >> 4 == 4 && (packet[6] & 0x3f != 0 || packet[7] != 0);
    let segment = &packet[start..];
    let header = match protocol(packet) {
        _ if is_fragment => 0,
        TCP if segment.len() >= 20 => usize::from(segment[12] >> 4) * 4,
        UDP if segment.len() >= 8 && segment[4..6] == (segment.len() as u16).to_be_bytes() => 8,
        _ => 0,
    };
    if header <= segment.len() && header >= 8 && (protocol(packet) == UDP || header >= 20) {
        start + header
    } else {
        start
    }
}

/// The packet with zeros for its checksums, and for an identification that means nothing (RFC 6864,
/// section 4.1).
fn without_checksums(mut packet: Vec<u8>) -> Vec<u8> {
    let start = ip_header(&packet);
    if packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        if packet[6] & 0x40 != 0 {
            packet[4..6].fill(0);
        }
    }
    let field = start + if protocol(&packet) == TCP { 16 } else { 6 };
    packet[field..field + 2].fill(0);
    packet
}

/// True if the sum over pseudo-header and segment is that of a right checksum (RFC 1071).
fn is_checksum_right(packet: &[u8]) -> bool {
    let start = ip_header(packet);
    let addresses = match packet[0] >> 4 {
        4 => &packet[12..20],
        _ => &packet[8..40],
    };
    let len = ((packet.len() - start) as u16).to_be_bytes();
    let covered = [addresses, &[0, protocol(packet)], &len, &packet[start..]].concat();
    let words = covered
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)));
    words.sum::<u64>() % 0xffff == 0
}
