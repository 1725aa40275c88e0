//! Flows that other gateways of the site tell of.

use super::*;
use crate::packet::tcp_flags::{ACK, SYN};
use crate::record::{FlowProtocol, FlowRecord};

fn records(world: &World) -> Vec<FlowRecord> {
    let mut records = Vec::new();
    world
        .filter
        .for_each_record(world.now, &mut |record| records.push(record));
    records
}

#[test]
fn a_flow_of_one_gateway_lets_replies_in_at_the_other_one() {
    for out in ways_out() {
        let (one, mut other) = (World::new(None), World::new(None));
        one.leaves(&out.udp(1, 2, b""));
        assert_eq!(one.filter.next_record(), None, "nobody shares");

        one.filter.set_sharing(true);
        let packets = [
            out.tcp(1000, 443, SYN, 0),
            out.udp(5, 6, b""),
            out.echo_request(7),
        ];
        for packet in &packets {
            one.leaves(packet);
        }
        while let Some(record) = one.filter.next_record() {
            assert!(other.filter.import(&other.rules, &record, other.now));
        }
        let back = out.back();
        let replies = [
            back.tcp(443, 1000, SYN | ACK, 1),
            back.udp(6, 5, b""),
            back.echo_reply(7),
        ];
        for reply in &replies {
            assert_eq!(other.arrives(BETA, reply), PASS);
        }

        // A SYN is shared again, other packets are not.
        one.leaves(&out.tcp(1000, 443, SYN, 0));
        one.leaves(&out.tcp(1000, 443, ACK, 1));
        assert!(one.filter.next_record().is_some());
        assert_eq!(one.filter.next_record(), None);

        // What is known from others only is not told again, and ages.
        assert_eq!(records(&one).len(), 4);
        assert_eq!(records(&other), []);
        other.leaves(&out.udp(5, 6, b""));
        assert_eq!(records(&other).len(), 1);
        other.wait(seconds(61));
        assert_eq!(other.arrives(BETA, &replies[2]), dropped(Reason::NoFlow));
    }
}

#[test]
fn a_flow_record_counts_only_for_this_site_and_never_against_a_flow_of_theirs() {
    let world = World::new(Some(vec![allow(tcp_ports(7051, 7051))]));
    let record = |local: &str, remote: &str| FlowRecord {
        protocol: FlowProtocol::Tcp,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        ack: Some(5),
        idle: 0,
    };
    let import = |record: &FlowRecord| world.filter.import(&world.rules, record, world.now);
    for (local, remote) in [
        ("10.2.0.9:1", "10.1.0.9:1"),
        ("10.2.0.9:1", "10.3.0.9:1"),
        ("10.1.0.9:1", "10.1.0.8:1"),
        ("10.1.0.9:1", "192.0.2.1:1"),
        ("192.0.2.1:1", "10.2.0.9:1"),
        ("10.1.0.9:1", "[fd02::9]:1"),
    ] {
        assert!(!import(&record(local, remote)), "{local} {remote}");
    }

    world.arrives(
        BETA,
        &between("10.2.0.9", "10.1.0.9").tcp(1000, 7051, SYN, 0),
    );
    assert!(!import(&record("10.1.0.9:7051", "10.2.0.9:1000")));
    assert!(import(&record("10.1.0.9:1", "10.2.0.9:1")));
    let old = FlowRecord {
        idle: 7441,
        ..record("10.1.0.9:2", "10.2.0.9:1")
    };
    assert!(!import(&old));
}

#[test]
fn records_that_nobody_takes_are_counted() {
    let world = World::with_flows(&spec(None), 100_000);
    world.filter.set_sharing(true);
    for port in 0..5000 {
        world.leaves(&ways_out()[0].udp(port, 9, b""));
    }
    let counts = world.filter.counts();
    assert_eq!(counts.unshared, 5000 - crate::MOST_UNSHARED as u64);
}
