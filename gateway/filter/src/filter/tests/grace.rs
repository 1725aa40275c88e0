//! The middle of connections that no flow knows.

use super::*;
use crate::packet::tcp_flags::{ACK, RST, SYN};

/// A filter at its beginning: in grace.
fn fresh(spec: &RulesSpec) -> World {
    let mut world = World::of(spec);
    world.now -= seconds(1000);
    world
}

#[test]
fn after_a_start_the_middle_of_connections_passes_to_high_ports() {
    for out in ways_out() {
        let mut world = fresh(&spec(None));
        let back = out.back();
        let middle = back.tcp(7051, 40000, ACK, 1);
        assert_eq!(world.arrives(BETA, &middle), PASS);
        assert_eq!(world.filter.counts().grace, 1);
        for (packet, reason) in [
            (back.tcp(7051, 32767, ACK, 1), Reason::NoFlow),
            (back.tcp(7051, 40000, SYN, 0), Reason::Denied),
            (back.tcp(7051, 40000, SYN | ACK, 1), Reason::NoFlow),
            (back.tcp(7051, 40000, RST | ACK, 1), Reason::NoFlow),
            (back.udp(7051, 40000, b""), Reason::Denied),
        ] {
            assert_eq!(world.arrives(BETA, &packet), dropped(reason));
        }

        world.wait(seconds(120));
        assert_eq!(world.arrives(BETA, &middle), dropped(Reason::NoFlow));
        world.filter.begin_grace(world.now);
        assert_eq!(world.arrives(BETA, &middle), PASS);
    }
}

#[test]
fn a_segment_of_our_host_from_a_high_port_makes_a_flow_at_any_time() {
    for out in ways_out() {
        let world = World::new(None);
        let arrives = |port| world.arrives(BETA, &out.back().tcp(7051, port, ACK, 1));
        assert_eq!(world.leaves(&out.tcp(40000, 7051, ACK, 1)), PASS);
        assert_eq!(arrives(40000), PASS);

        for port in [22, 32767] {
            assert_eq!(world.leaves(&out.tcp(port, 7051, ACK, 1)), PASS);
            assert_eq!(arrives(port), dropped(Reason::NoFlow));
        }
        for flags in [RST | ACK, SYN | ACK, RST] {
            world.leaves(&out.tcp(40001, 7051, flags, 1));
            assert_eq!(arrives(40001), dropped(Reason::NoFlow), "{flags:x}");
        }
    }
}

#[test]
fn there_is_no_grace_for_what_was_taken_away() {
    for out in ways_out() {
        let mut narrower = spec(None);
        narrower.former = vec![policy(Some(vec![allow(tcp_ports(40000, 40000))]))];
        let world = fresh(&narrower);
        let taken = out.back().tcp(1000, 40000, ACK, 1);
        assert_eq!(world.arrives(BETA, &taken), dropped(Reason::NoFlow));
        assert_eq!(world.leaves(&out.tcp(40000, 1000, ACK, 1)), PASS);
        assert_eq!(world.arrives(BETA, &taken), dropped(Reason::NoFlow));
        // Others have it.
        assert_eq!(
            world.arrives(BETA, &out.back().tcp(1000, 40001, ACK, 1)),
            PASS
        );
    }

    // In the same run the flow of theirs is known, and needs no former rules.
    let out = ways_out()[0];
    let mut world = fresh(&spec(Some(vec![allow(tcp_ports(40000, 40000))])));
    let middle = out.back().tcp(1000, 40000, ACK, 1);
    assert_eq!(world.arrives(BETA, &middle), PASS);
    world.use_rules(&spec(None));
    assert_eq!(world.arrives(BETA, &middle), dropped(Reason::NoFlow));
}

#[test]
fn each_site_has_a_thousand_packets_a_second() {
    let mut world = fresh(&spec(None));
    let beta = between("10.2.0.9", "10.1.0.9").tcp(7051, 40000, ACK, 1);
    for _ in 0..1000 {
        assert_eq!(world.arrives(BETA, &beta), PASS);
    }
    assert_eq!(world.arrives(BETA, &beta), dropped(Reason::GraceRate));
    let gamma = between("10.3.0.9", "10.1.0.9").tcp(7051, 40000, ACK, 1);
    assert_eq!(world.arrives(GAMMA, &gamma), PASS);
    world.wait(seconds(1));
    assert_eq!(world.arrives(BETA, &beta), PASS);
    assert_eq!(world.filter.counts().grace, 1002);
}

#[test]
fn grace_without_end_is_a_switch() {
    let out = ways_out()[0];
    let world = World::new(None);
    let answer = out.back().tcp(7051, 40000, SYN | ACK, 1);
    assert_eq!(world.arrives(BETA, &answer), dropped(Reason::NoFlow));
    world.filter.set_endless_grace(true);
    assert!(world.filter.has_endless_grace());
    assert_eq!(world.arrives(BETA, &answer), PASS);
    let low = out.back().tcp(7051, 22, SYN | ACK, 1);
    assert_eq!(world.arrives(BETA, &low), dropped(Reason::NoFlow));
    let opening = out.back().tcp(7051, 40000, SYN, 0);
    assert_eq!(world.arrives(BETA, &opening), dropped(Reason::Denied));
}
