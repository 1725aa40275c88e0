use arc_swap::ArcSwap;

use super::*;
use crate::craft::Shape;
use crate::harness;
use crate::header::HEADER_LEN;
use crate::keys::{Aead, Secret};
use crate::offload::GsoType;
use crate::peer::Peer;
use crate::session::Path;
use crate::shutdown::Shutdown;
use crate::snapshot::SiteNo;
use crate::tun::ChannelTun;
use crate::udp::recording::Recording;

const CLASS: TrafficClass = TrafficClass(0xb9);

/// Segments of a super-packet, and bytes of payload of each but the last.
const SEGMENTS: usize = 5;
const SIZE: usize = 100;

fn lane() -> Lane<ChannelTun, Recording> {
    let (tun, _host) = ChannelTun::new(1).unwrap();
    Lane {
        number: 0,
        count: 1,
        tun,
        udp: Arc::new(Recording::new(|_| None)),
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty(SiteNo(0)))),
        counters: Arc::new(Counters::new()),
        filter: harness::filter(Instant::now()),
        shutdown: Arc::new(Shutdown::new().unwrap()),
    }
}

/// A session that has `numbers` packet numbers in each of its phases.
fn session(numbers: u64) -> Arc<Outgoing> {
    let secret = Secret::new([7; 48]);
    let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
    let peer = Arc::new(Peer::new());
    let session = Outgoing::new(9, Aead::Aes128Gcm, &secret, path, peer);
    Arc::new(session.with_phase_len(Aead::Aes128Gcm, &secret, numbers))
}

/// A super-packet of TCP over IPv4, whose last segment is shorter.
fn super_packet() -> (Vec<u8>, Gso) {
    let shape = Shape {
        v6: false,
        tcp: true,
        options: Vec::new(),
        flags: 0x10,
        sequence: 1,
        id: 1,
        dont_fragment: true,
        traffic_class: CLASS.0,
        port: 40_000,
    };
    let gso = Gso {
        kind: GsoType::TcpV4,
        header_len: 0,
        size: SIZE,
    };
    (shape.packet(&[1; SIZE * SEGMENTS - 1]), gso)
}

/// Seals `packet` as one that `gso` describes, and sends it.
fn seal(
    sealer: &mut Sealer<'_, ChannelTun, Recording>,
    session: &Arc<Outgoing>,
    packet: &mut [u8],
    gso: Gso,
) {
    let offload = Offload {
        checksum: None,
        gso: Some(gso),
    };
    sealer.seal(session, packet, &offload);
    sealer.flush();
}

#[test]
fn the_segments_of_a_super_packet_have_consecutive_numbers_and_its_traffic_class() {
    let lane = lane();
    let session = session(1000);
    let mut sealer = Sealer::new(&lane);
    let (mut packet, gso) = super_packet();
    // So that the first is none that a mistake would give.
    session.reserve(3).unwrap();

    seal(&mut sealer, &session, &mut packet, gso);
    let [sent] = &lane.udp.take()[..] else {
        panic!("not one send");
    };
    assert_eq!(sent.class, CLASS);
    let size = usize::from(sent.segment.unwrap());
    let numbers: Vec<u64> = sent
        .bytes
        .chunks(size)
        .map(|segment| u64::from_be_bytes(segment[8..HEADER_LEN].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7]);
    assert_eq!(session.packets(), 8);
    let counts = session.counters().snapshot();
    assert_eq!(counts.tx_packets, SEGMENTS as u64);
}

#[test]
fn every_segment_that_a_session_has_no_number_for_is_counted() {
    let lane = lane();
    let session = session(1);
    let mut sealer = Sealer::new(&lane);
    let (mut packet, gso) = super_packet();
    // All but the last two: a super-packet takes its numbers together or not at all.
    session.reserve(256 - 2).unwrap();

    seal(&mut sealer, &session, &mut packet, gso);
    assert!(lane.udp.take().is_empty());
    assert_eq!(dropped(&session, DropReason::Exhausted), SEGMENTS as u64);
}

#[test]
fn a_super_packet_that_is_not_what_its_header_says_is_dropped_as_one() {
    let lane = lane();
    let session = session(1000);
    let mut sealer = Sealer::new(&lane);
    let (mut packet, mut gso) = super_packet();

    gso.kind = GsoType::Udp;
    seal(&mut sealer, &session, &mut packet, gso);
    assert!(lane.udp.take().is_empty());
    assert_eq!(dropped(&session, DropReason::Malformed), 1);
}

fn dropped(session: &Outgoing, reason: DropReason) -> u64 {
    session.counters().snapshot().dropped(reason)
}
