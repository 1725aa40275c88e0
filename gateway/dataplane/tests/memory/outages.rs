//! Packets to a peer to which no session leads, on a virtual clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringway_config::{Egress, Policy, Tunnel};
use ringway_dataplane::*;
use ringway_filter::{FlowProtocol, FlowRecord};

use crate::FAMILIES;
use crate::gateways::{Gateway, pair, wait_until};
use crate::packets::{self, Family};

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A moment in which nothing comes that must not come.
const QUIET: Duration = Duration::from_millis(60);

/// The same, in which the thread that resets connections has looked for them.
const SEARCH: Duration = Duration::from_millis(600);

const SECOND: Duration = Duration::from_secs(1);

/// Time between two looks at the SYNs that are held.
const REVIEW: Duration = Duration::from_millis(10);

/// Time for the answer of a host, of which the highest acknowledgement is known.
const ANSWERED: Duration = Duration::from_millis(100);

/// Ports of what is written to the connection that [`packets::bare`] makes from port 40,000.
const PORTS: [u16; 2] = [0x1b8b, 40_000];

/// Two gateways, of which no session of the left one leads to the right one.
struct Cut {
    network: ChannelNetwork,
    left: Gateway,
    right: Gateway,
}

fn cut(cause: OutageCause, tunnel: Tunnel) -> Cut {
    let (network, left, right) = pair();
    let since = now(&left);
    left.cut(Outage { since, cause }, tunnel);
    Cut {
        network,
        left,
        right,
    }
}

fn now(gateway: &Gateway) -> Instant {
    gateway.udp.now()
}

impl Cut {
    /// Sends a packet and waits until it was looked at.
    fn send(&self, packet: &[u8]) {
        let before = self.left.dropped(DropReason::NoRoute);
        self.left.host.send(packet);
        wait_until("the packet is seen", || {
            self.left.dropped(DropReason::NoRoute) > before
        });
    }

    /// The first packet that arrives after the end of an outage. At this time the thread may have
    /// looked at what it holds by the tables of before; then it looks again later.
    fn first_released(&self) -> Vec<u8> {
        for _ in 0..100 {
            if let Some(packet) = self.right.host.receive(QUIET) {
                return packet;
            }
            self.network.advance(REVIEW);
        }
        self.right.next_packet()
    }

    fn assert_no_answer(&self) {
        assert_eq!(self.left.host.receive(QUIET), None);
    }
}

#[test]
fn a_syn_passes_after_a_short_outage_and_is_refused_in_a_longer_one() {
    for family in FAMILIES {
        let run = cut(OutageCause::Lost, Tunnel::default());
        let syn = packets::bare(family, 1, 2, 4001, SYN);
        run.send(&syn);
        run.assert_no_answer();
        run.network.advance(SECOND);
        run.left.restore();
        run.network.advance(SECOND);
        assert_eq!(run.first_released(), syn);

        let run = cut(OutageCause::Lost, Tunnel::default());
        run.send(&syn);
        // The one that is held is refused when the outage turns out to be no short one.
        run.network.advance(2 * SECOND);
        assert_is_refused(&run, &syn);
        run.send(&syn);
        assert_is_refused(&run, &syn);
    }
}

#[test]
fn an_answer_to_a_syn_is_not_held() {
    for family in FAMILIES {
        let run = cut(OutageCause::Lost, Tunnel::default());
        run.send(&packets::bare(family, 1, 2, 4001, SYN | ACK));
        run.network.advance(SECOND);
        run.left.restore();
        run.network.advance(SECOND);
        assert_eq!(run.right.host.receive(QUIET), None, "its client is gone");
    }
}

fn assert_is_refused(run: &Cut, syn: &[u8]) {
    let reset = run.left.next_packet();
    let ([from, to], sequence, acknowledged, flags) = packets::tcp_header(&reset);
    let ([source, destination], first, ..) = packets::tcp_header(syn);
    assert_eq!([from, to], [destination, source]);
    assert_eq!((sequence, acknowledged), (0, first + 1));
    assert_eq!(flags, RST | ACK);
    assert!(packets::is_right(&reset), "a wrong checksum");
}

#[test]
fn syns_of_a_long_outage_pass_when_it_ends_the_newest_first_and_each_once() {
    let run = cut(OutageCause::Lost, Tunnel::default());
    run.network.advance(20 * SECOND);
    let syn = |port| packets::bare(Family::V4, 1, 2, port, SYN);
    run.send(&syn(1));
    // Its batch ends meanwhile: what a thread reads has the time at which its batch began.
    run.assert_no_answer();
    run.network.advance(60 * SECOND);
    // A host repeats the SYN of a connection, and opens others.
    for port in [2, 3, 2] {
        run.send(&syn(port));
    }
    run.network.advance(10 * SECOND);
    run.assert_no_answer();

    run.left.restore();
    run.network.advance(SECOND);
    // That of port 1 is older than any host waits.
    assert_eq!(run.first_released(), syn(2));
    assert_eq!(run.right.next_packet(), syn(3));
    assert_eq!(run.right.host.receive(QUIET), None);
}

#[test]
fn held_syns_are_sent_at_a_thousand_a_second() {
    let tunnel = Tunnel {
        fail_fast: Duration::ZERO,
        ..Tunnel::default()
    };
    let run = cut(OutageCause::Lost, tunnel);
    for port in 0..30 {
        run.send(&packets::bare(Family::V4, 1, 2, port, SYN));
    }
    run.left.restore();
    for _ in 0..3 {
        run.network.advance(REVIEW);
        run.first_released();
        for _ in 1..10 {
            run.right.next_packet();
        }
        assert_eq!(run.right.host.receive(QUIET), None, "ten in 10 ms");
    }
}

#[test]
fn a_held_syn_is_judged_again_when_it_is_sent() {
    for family in FAMILIES {
        let run = cut(OutageCause::Lost, Tunnel::default());
        run.send(&packets::bare(family, 1, 2, 4001, SYN));

        // The session is back, and this site's hosts may open nothing any more.
        let policy = Policy {
            egress: Egress::None,
            ..Policy::default()
        };
        run.left.publish_policy(policy, |_| {});
        run.network.advance(SECOND);
        wait_until("it is denied", || run.left.dropped(DropReason::Denied) == 1);
        assert_eq!(run.right.host.receive(QUIET), None);
    }
}

#[test]
fn a_segment_is_dropped_at_first_and_reset_once_the_tunnel_is_dead() {
    for family in FAMILIES {
        let run = cut(OutageCause::Lost, Tunnel::default());
        let segment = packets::tcp(family, 1, 2, 9, b"data");
        run.send(&segment);
        run.network.advance(4 * SECOND);
        run.send(&segment);
        run.assert_no_answer();

        run.network.advance(SECOND);
        run.send(&segment);
        let reset = run.left.next_packet();
        let (_, sequence, _, flags) = packets::tcp_header(&reset);
        // The segment acknowledges 1.
        assert_eq!((sequence, flags), (1, RST));

        run.send(&packets::bare(family, 1, 2, 5, RST));
        run.assert_no_answer();
    }
}

#[test]
fn a_peer_that_said_that_it_restarts_has_a_minute() {
    let run = cut(OutageCause::Announced, Tunnel::default());
    let segment = packets::tcp(Family::V4, 1, 2, 9, b"data");
    run.network.advance(59 * SECOND);
    run.send(&segment);
    run.assert_no_answer();
    run.network.advance(SECOND);
    run.send(&segment);
    assert_eq!(packets::tcp_header(&run.left.next_packet()).3, RST);
}

#[test]
fn other_packets_are_answered_at_once_by_the_address_that_they_were_written_to() {
    let run = cut(OutageCause::Lost, Tunnel::default());
    for (family, at, error) in [(Family::V4, 12, [3, 1]), (Family::V6, 8, [1, 3])] {
        let len = if family == Family::V4 { 4 } else { 16 };
        let datagram = packets::udp(family, 1, 2, b"question");
        run.send(&datagram);
        let answer = run.left.next_packet();
        assert_eq!(answer[at..at + len], datagram[at + len..at + 2 * len]);
        assert_eq!(answer[at + len..at + 2 * len], datagram[at..at + len]);
        assert_eq!(answer[at + 2 * len..at + 2 * len + 2], error);
    }
}

#[test]
fn answers_to_one_host_are_limited() {
    let tunnel = Tunnel {
        held_syns: 0,
        ..Tunnel::default()
    };
    let run = cut(OutageCause::Lost, tunnel);
    for port in 0..600 {
        run.send(&packets::bare(Family::V4, 1, 2, port, SYN));
    }
    let mut answers = 0;
    while run.left.host.receive(QUIET).is_some() {
        answers += 1;
    }
    assert_eq!(answers, 500, "in a second of the virtual clock");
}

#[test]
fn a_silent_connection_gets_one_exact_reset_once_the_tunnel_is_dead() {
    for family in FAMILIES {
        let run = cut(OutageCause::Lost, Tunnel::default());
        // It acknowledges 77, and is silent from then on.
        run.send(&packets::bare(family, 1, 2, 40_000, ACK));
        run.network.advance(4 * SECOND);
        assert_eq!(run.left.host.receive(SEARCH), None, "it may go on");

        // The host may have acknowledged more by now, so that it is asked.
        run.network.advance(SECOND);
        let question = run.left.next_packet();
        assert_eq!(packets::tcp_header(&question), (PORTS, 76, 0, ACK));
        assert!(packets::is_right(&question), "a wrong checksum");
        assert_eq!(run.left.host.receive(QUIET), None, "it has time to answer");

        run.network.advance(ANSWERED);
        let reset = run.left.next_packet();
        assert_eq!(packets::tcp_header(&reset), (PORTS, 77, 0, RST));
        assert!(packets::is_right(&reset), "a wrong checksum");

        run.network.advance(60 * SECOND);
        assert_eq!(run.left.host.receive(SEARCH), None, "once");
    }
}

#[test]
fn a_host_that_answers_a_probe_or_a_reset_with_an_ack_is_reset_at_that_number() {
    for family in FAMILIES {
        let run = cut(OutageCause::Lost, Tunnel::default());
        run.send(&packets::bare(family, 1, 2, 40_000, ACK));
        run.network.advance(5 * SECOND);
        run.left.next_packet();

        run.send(&packets::acknowledging(family, 40_000, 99));
        let exact = (PORTS, 99, 0, RST);
        assert_eq!(packets::tcp_header(&run.left.next_packet()), exact);
        run.network.advance(ANSWERED);
        assert_eq!(packets::tcp_header(&run.left.next_packet()), exact);

        // RFC 5961, section 3.2: it has received more than the reset says.
        run.send(&packets::acknowledging(family, 40_000, 5000));
        let exact = (PORTS, 5000, 0, RST);
        assert_eq!(packets::tcp_header(&run.left.next_packet()), exact);
    }
}

#[test]
fn a_connection_to_which_a_session_leads_again_is_not_reset() {
    let run = cut(OutageCause::Lost, Tunnel::default());
    run.send(&packets::bare(Family::V4, 1, 2, 40_000, ACK));
    run.network.advance(5 * SECOND);
    run.left.next_packet();

    run.left.restore();
    run.network.advance(SECOND);
    assert_eq!(run.left.host.receive(SEARCH), None);
}

#[test]
fn connections_that_appear_in_an_outage_or_before_another_one_are_reset_too() {
    let run = cut(OutageCause::Lost, Tunnel::default());
    run.send(&packets::bare(Family::V4, 1, 2, 40_000, ACK));
    run.network.advance(5 * SECOND);
    assert_is_reset(&run, 40_000);

    // Another gateway of this site knows of one that was opened through it.
    learn(&run.left, 40_001);
    run.network.advance(10 * SECOND);
    assert_is_reset(&run, 40_001);

    run.left.restore();
    assert_eq!(run.left.host.receive(SEARCH), None);
    learn(&run.left, 40_002);
    let outage = Outage {
        since: now(&run.left),
        cause: OutageCause::Lost,
    };
    run.left.cut(outage, Tunnel::default());
    run.network.advance(5 * SECOND);
    assert_is_reset(&run, 40_002);
}

/// The left gateway learns of a connection from this port, which has acknowledged 77.
fn learn(left: &Gateway, port: u16) {
    let record = FlowRecord {
        protocol: FlowProtocol::Tcp,
        local: SocketAddr::from(([10, 1, 0, 1], port)),
        remote: SocketAddr::from(([10, 2, 0, 1], PORTS[0])),
        ack: Some(77),
        idle: 0,
    };
    let tables = left.shared.snapshot.load_full();
    let filter = &left.shared.filter;
    assert!(filter.import(tables.rules().unwrap(), &record, now(left)));
}

fn assert_is_reset(run: &Cut, port: u16) {
    let ports = [PORTS[0], port];
    let question = run.left.next_packet();
    assert_eq!(packets::tcp_header(&question), (ports, 76, 0, ACK));
    run.network.advance(ANSWERED);
    let reset = run.left.next_packet();
    assert_eq!(packets::tcp_header(&reset), (ports, 77, 0, RST));
}

#[test]
fn a_host_whose_number_is_unknown_is_asked_three_times_for_it() {
    for family in FAMILIES {
        // Connections that were opened before this gateway's start have sent it nothing but SYNs.
        let run = cut(OutageCause::Lost, Tunnel::default());
        run.send(&packets::bare(family, 1, 2, 40_000, SYN));
        run.network.advance(5 * SECOND);
        // The SYN that was held meanwhile is refused.
        assert_eq!(packets::tcp_header(&run.left.next_packet()).3, RST | ACK);

        let mut places = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let (ports, sequence, _, flags) = packets::tcp_header(&run.left.next_packet());
            assert_eq!((ports, flags), (PORTS, ACK));
            places.insert(sequence / (1 << 30));
            run.network.advance(SECOND / 2);
        }
        assert_eq!(places.len(), 3, "no window covers two of them");
        assert_eq!(run.left.host.receive(SEARCH), None, "three times");
    }
}

#[test]
fn after_fourteen_minutes_of_silence_everything_passes() {
    let run = cut(OutageCause::Lost, Tunnel::default());
    run.network.advance(14 * 60 * SECOND);
    run.left.restore();
    for family in FAMILIES {
        for packet in [
            packets::bare(family, 1, 2, 4001, SYN),
            packets::udp(family, 1, 2, b"question"),
        ] {
            run.left.host.send(&packet);
            assert_eq!(run.right.next_packet(), packet);
        }
    }
    run.assert_no_answer();
}
