//! The filter between the threads: it is asked about every packet, by the rules of the moment, and
//! its flows outlive what the threads do not.

use std::sync::Arc;
use std::time::Duration;

use ringway_config::Policy;
use ringway_dataplane::*;
use ringway_filter::{FlowProtocol, FlowRecord, Reason};

use super::FAMILIES;
use super::gateways::{AEAD, Gateway, address, pair, prefixes, wait_until};
use super::packets::{self, Family};

/// Nothing may be opened from outside.
fn closed() -> Policy {
    Policy {
        allow: Some(Vec::new()),
        ..Policy::default()
    }
}

fn denied(gateway: &Gateway, packets: u64) {
    wait_until("it is denied", || {
        gateway.dropped(DropReason::Denied) == packets
    });
}

/// How many packets of its peer a gateway has given to others of its site.
fn handed_over(gateway: &Gateway) -> u64 {
    gateway.peer.counters().snapshot().handed_over
}

/// Sends a packet that opens something at the right host.
fn open_at_right(left: &Gateway, family: Family) -> Vec<u8> {
    let packet = packets::udp(family, 1, 2, b"opens");
    left.host.send(&packet);
    packet
}

#[test]
fn new_rules_count_for_the_next_packet_of_a_running_stream() {
    let (_network, left, right) = pair();
    for (round, family) in (1..).zip(FAMILIES) {
        let packet = open_at_right(&left, family);
        assert_eq!(right.next_packet(), packet);

        let permissive = right.shared.snapshot.load_full();
        right.publish_policy(closed(), |_| {});
        open_at_right(&left, family);
        denied(&right, round);

        right.shared.snapshot.store(permissive);
        let packet = open_at_right(&left, family);
        assert_eq!(right.next_packet(), packet, "the first that arrives");
    }
}

#[test]
fn what_our_host_opened_is_answered_also_after_the_device_is_recreated() {
    let (_network, left, mut right) = pair();
    right.publish_policy(closed(), |_| {});
    for (round, family) in (1..).zip(FAMILIES) {
        let question = packets::udp(family, 2, 1, b"question");
        let answer = packets::answer(&question);
        left.host.send(&answer);
        denied(&right, round);

        right.host.send(&question);
        assert_eq!(left.next_packet(), question);
        left.host.send(&answer);
        assert_eq!(right.next_packet(), answer);

        right.recreate_device();
        left.host.send(&answer);
        assert_eq!(right.next_packet(), answer, "{family:?}");
    }
}

#[test]
fn a_connection_opens_by_both_families() {
    let (_network, left, right) = pair();
    for family in FAMILIES {
        let syn = packets::bare(family, 1, 2, 0x1b8b, 0x02);
        left.host.send(&syn);
        assert_eq!(right.next_packet(), syn, "{family:?}");
        let syn_ack = packets::bare(family, 2, 1, 0x1b8b, 0x12);
        right.host.send(&syn_ack);
        assert_eq!(left.next_packet(), syn_ack, "{family:?}");
        let ack = packets::bare(family, 1, 2, 0x1b8b, 0x10);
        left.host.send(&ack);
        assert_eq!(right.next_packet(), ack, "{family:?}");
    }
}

#[test]
fn what_our_host_may_not_open_never_leaves() {
    let (_network, left, right) = pair();
    let policy = Policy {
        egress: ringway_config::Egress::None,
        ..closed()
    };
    left.publish_policy(policy, |_| {});
    left.host.send(&packets::udp(Family::V4, 1, 2, b"denied"));
    denied(&left, 1);
    // A super-packet is judged as a whole, and counted once.
    left.host
        .send_super_packet(&packets::tcp(Family::V6, 1, 2, 5, &[7; 9000]), 1000);
    denied(&left, 2);
    assert_eq!(right.udp.waiting(), 0);
    assert_eq!(left.peer.counters().snapshot().tx_packets, 0);
}

#[test]
fn what_is_rejected_is_answered_through_the_tunnel_at_a_bounded_rate() {
    let (_network, left, right) = pair();
    let policy = Policy {
        denied: ringway_config::OnDenied::Reject,
        ..closed()
    };
    right.publish_policy(policy, |_| {});
    for (family, code) in [(Family::V4, [3, 13]), (Family::V6, [1, 1])] {
        let denied = open_at_right(&left, family);
        let answer = left.next_packet();
        let icmp = if family == Family::V4 { 20 } else { 40 };
        assert_eq!(answer[icmp..icmp + 2], code, "prohibited");
        assert_eq!(answer[icmp + 8..], denied, "the packet is quoted");

        left.host.send(&packets::bare(family, 1, 2, 50_000, 0x02));
        let (ports, _, acknowledged, flags) = packets::tcp_header(&left.next_packet());
        assert_eq!((ports, flags), ([0x1b8b, 50_000], 0x14), "a reset");
        assert_eq!(acknowledged, 101, "of this SYN");
    }

    for _ in 0..300 {
        open_at_right(&left, Family::V4);
    }
    denied(&right, 304);
    let mut answers = 0;
    while left.host.receive(Duration::from_millis(200)).is_some() {
        answers += 1;
    }
    assert_eq!(answers, 128 - 4);
}

#[test]
fn what_may_not_leave_is_answered_if_the_policy_rejects() {
    let (_network, left, _right) = pair();
    let policy = Policy {
        denied: ringway_config::OnDenied::Reject,
        egress: ringway_config::Egress::None,
        ..closed()
    };
    left.publish_policy(policy, |_| {});
    left.host.send(&packets::udp(Family::V4, 1, 2, b"denied"));
    assert_eq!(left.next_packet()[20..22], [3, 13]);
    denied(&left, 1);
}

#[test]
fn without_rules_nothing_passes() {
    let (_network, left, _right) = pair();
    let mut builder = SnapshotBuilder::new(SiteNo(1));
    for prefix in prefixes(1) {
        builder.site_prefix(prefix);
    }
    for prefix in prefixes(2) {
        builder.route(prefix, left.outgoing.clone());
    }
    left.shared.snapshot.store(Arc::new(builder.build()));
    open_at_right(&left, Family::V4);
    denied(&left, 1);
}

/// Sends what the left gateway's own threads would hold back.
fn seal(left: &Gateway, packet: &[u8]) {
    let mut datagram = vec![0; packet.len() + OVERHEAD];
    datagram[HEADER_LEN..][..packet.len()].copy_from_slice(packet);
    let number = left.outgoing.reserve(1).unwrap();
    let kind = Kind::Packet(Checksum::Complete);
    left.outgoing.seal(kind, number, &mut datagram).unwrap();
    left.udp
        .send(&left.outgoing.path(), &datagram, None)
        .unwrap();
}

#[test]
fn a_later_fragment_waits_for_its_first_on_both_sides() {
    let (_network, left, right) = pair();
    let packet = packets::udp(Family::V4, 1, 2, &[7; 64]);
    let [first, later] = packets::fragments(&packet, 32);
    left.host.send(&later);
    left.host.send(&first);
    assert_eq!(right.next_packet(), first);
    assert_eq!(right.next_packet(), later);

    // Of another packet.
    let [first, later] = [first, later].map(|mut fragment| {
        fragment[4..6].copy_from_slice(&[9, 9]);
        packets::set_class(&mut fragment, 0);
        fragment
    });
    seal(&left, &later);
    seal(&left, &first);
    assert_eq!(right.next_packet(), first);
    assert_eq!(right.next_packet(), later);
}

#[test]
fn a_later_fragment_whose_first_never_comes_is_forgotten() {
    let (network, left, right) = pair();
    let packet = packets::udp(Family::V4, 1, 2, &[7; 64]);
    let [first, later] = packets::fragments(&packet, 32);
    seal(&left, &later);
    let marker = open_at_right(&left, Family::V6);
    assert_eq!(
        right.next_packet(),
        marker,
        "the fragment has come before it"
    );

    network.advance(Duration::from_secs(1));
    let marker = open_at_right(&left, Family::V6);
    assert_eq!(right.next_packet(), marker);
    seal(&left, &first);
    assert_eq!(right.next_packet(), first);
    let marker = open_at_right(&left, Family::V6);
    assert_eq!(right.next_packet(), marker, "and not the later fragment");
}

/// A flow that the right host has opened through another gateway of its site.
fn record() -> FlowRecord {
    FlowRecord {
        protocol: FlowProtocol::Udp,
        local: "10.2.0.1:7051".parse().unwrap(),
        remote: "10.1.0.1:7050".parse().unwrap(),
        ack: None,
        idle: 0,
    }
}

/// Both directions of a session with a gateway of site `site`, as its two ends have them.
fn session(index: u32, site: u32) -> (Arc<Outgoing>, Arc<Incoming>) {
    let peer = Arc::new(Peer::new());
    let secret = Secret::new([index as u8; 48]);
    let path = Path::new(address(2), None);
    let outgoing = Outgoing::new(index, AEAD, &secret, path, peer.clone());
    let incoming = Incoming::new(index, AEAD, &secret, SiteNo(site), peer);
    (Arc::new(outgoing), Arc::new(incoming))
}

fn send(left: &Gateway, session: &Outgoing, record: &FlowRecord) {
    let mut records = FlowRecords::new();
    records.push(record);
    records.send(&*left.udp, [session]).unwrap();
}

#[test]
fn records_of_flows_are_believed_from_a_gateway_of_our_site_alone() {
    let (_network, left, right) = pair();
    let (companion, opening) = session(77, 2);
    let (stranger, of_stranger) = session(78, 1);
    right.publish_policy(closed(), |builder| {
        builder.incoming(opening.clone());
        builder.incoming(of_stranger.clone());
    });
    let reply = packets::udp(Family::V4, 1, 2, b"reply");
    let flow = FlowRecord {
        local: "10.2.0.1:7051".parse().unwrap(),
        remote: "10.1.0.1:7050".parse().unwrap(),
        ..record()
    };
    assert_eq!(
        reply[20..24],
        [0x1b, 0x8a, 0x1b, 0x8b],
        "ports 7050 and 7051"
    );

    send(&left, &stranger, &flow);
    wait_until("the record is refused", || {
        of_stranger
            .counters()
            .snapshot()
            .dropped(DropReason::FlowRecords)
            == 1
    });
    left.host.send(&reply);
    denied(&right, 1);

    // A gateway of our site may speak of our site's hosts only.
    let foreign = FlowRecord {
        local: "10.1.0.1:7051".parse().unwrap(),
        ..flow
    };
    send(&left, &companion, &foreign);
    wait_until("the record is refused", || {
        opening
            .counters()
            .snapshot()
            .dropped(DropReason::FlowRecords)
            == 1
    });

    send(&left, &companion, &flow);
    wait_until("the flow is known", || {
        right.shared.filter.counts().ours == 1
    });
    left.host.send(&reply);
    assert_eq!(right.next_packet(), reply);
}

#[test]
fn a_flow_is_shared_with_siblings_before_its_packet_leaves() {
    let (network, left, right) = pair();
    let tap = network.bind(address(3), 64).unwrap();
    let (companion, _) = session(77, 2);
    companion.set_path(Path::new(address(3), None));
    right.publish_policy(closed(), |builder| _ = builder.companion(companion.clone()));
    right.shared.filter.set_sharing(true);

    let question = packets::udp(Family::V4, 2, 1, b"question");
    right.host.send(&question);
    assert_eq!(left.next_packet(), question);
    let mut datagram = vec![0; 0xffff];
    let sent = packets::receive(&tap, &mut datagram);
    assert_eq!(
        Header::decode(&datagram[..sent.len]).unwrap().kind,
        Kind::Flows
    );

    // A second packet of the flow needs no second record.
    right.host.send(&question);
    assert_eq!(left.next_packet(), question);
    assert_eq!(tap.waiting(), 0);
}

/// A packet of the left site that another gateway of the right site has received.
fn hand(left: &Gateway, session: &Outgoing, packet: &[u8]) {
    let mut datagram = vec![0; packet.len() + OVERHEAD];
    datagram[HEADER_LEN..][..packet.len()].copy_from_slice(packet);
    let number = session.reserve(1).unwrap();
    let kind = Kind::Handed(Checksum::Complete);
    session.seal(kind, number, &mut datagram).unwrap();
    left.udp.send(&session.path(), &datagram, None).unwrap();
}

#[test]
fn a_reply_that_no_flow_knows_is_handed_to_the_other_gateways_of_our_site() {
    let (network, left, right) = pair();
    let tap = network.bind(address(3), 64).unwrap();
    let (companion, _) = session(77, 2);
    companion.set_path(Path::new(address(3), None));
    let reject = Policy {
        denied: ringway_config::OnDenied::Reject,
        ..closed()
    };
    for (round, policy) in (1..).zip([closed(), reject]) {
        right.publish_policy(policy, |builder| _ = builder.companion(companion.clone()));
        left.host.send(&packets::udp(Family::V4, 1, 2, b"reply"));
        wait_until("it is counted", || handed_over(&right) == round);

        let mut datagram = vec![0; 0xffff];
        let sent = packets::receive(&tap, &mut datagram);
        let kind = Header::decode(&datagram[..sent.len]).unwrap().kind;
        assert_eq!(kind, Kind::Handed(Checksum::Complete));
    }
    assert_eq!(right.dropped(DropReason::Denied), 0, "it may be no denial");
    assert_eq!(left.dropped(DropReason::Denied), 0, "nothing was answered");
}

#[test]
fn a_handed_over_packet_without_a_flow_is_rejected_as_by_a_single_gateway() {
    let (_network, left, right) = pair();
    let (companion, opening) = session(77, 2);
    let reject = Policy {
        denied: ringway_config::OnDenied::Reject,
        ..closed()
    };
    right.publish_policy(reject, |builder| _ = builder.incoming(opening.clone()));
    for (family, code) in [(Family::V4, [3, 13]), (Family::V6, [1, 1])] {
        let packet = packets::udp(family, 1, 2, b"to a port of nobody's");
        // The answer is about this one.
        left.host.send(&packet);
        left.next_packet();

        hand(&left, &companion, &packet);
        let answer = left.next_packet();
        let icmp = if family == Family::V4 { 20 } else { 40 };
        assert_eq!(answer[icmp..icmp + 2], code, "prohibited");
        assert_eq!(answer[icmp + 8..], packet, "the packet is quoted");
    }
}

#[test]
fn a_packet_that_a_sibling_hands_over_passes_if_it_answers_a_flow_of_ours() {
    let (_network, left, right) = pair();
    let (companion, opening) = session(77, 2);
    let (stranger, of_stranger) = session(78, 1);
    // Rules let everything in, but not what was handed over.
    right.publish_policy(Policy::default(), |builder| {
        builder.incoming(opening.clone());
        builder.incoming(of_stranger.clone());
    });
    let refused = |session: &Incoming, reason, count| {
        wait_until("it is refused", || {
            session.counters().snapshot().dropped(reason) == count
        });
    };
    let reply = packets::udp(Family::V4, 1, 2, b"reply");
    hand(&left, &companion, &reply);
    refused(&opening, DropReason::Denied, 1);
    assert_eq!(right.shared.filter.counts().drops(Reason::Denied), 1);

    send(&left, &companion, &record());
    wait_until("the flow is known", || {
        right.shared.filter.counts().ours == 1
    });
    hand(&left, &companion, &reply);
    assert_eq!(right.next_packet(), reply);
    hand(&left, &stranger, &reply);
    refused(&of_stranger, DropReason::HandedOver, 1);

    // Addresses of our own site come through no tunnel.
    let own = packets::udp(Family::V4, 2, 2, b"reply");
    hand(&left, &companion, &own);
    wait_until("it is refused", || {
        let counts = opening.counters().snapshot();
        counts.dropped(DropReason::Source) + counts.dropped(DropReason::Destination) == 1
    });
}
