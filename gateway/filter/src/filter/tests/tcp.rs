//! Which packets open a TCP flow, and for which side.

use super::*;
use crate::packet::tcp_flags::{ACK, FIN, RST, SYN};

fn closed() -> World {
    World::new(None)
}

#[test]
fn replies_to_a_connection_of_ours_pass_and_a_syn_never_is_one() {
    for out in ways_out() {
        let world = closed();
        let back = out.back();
        let reply = back.tcp(7051, 1000, SYN | ACK, 1);
        assert_eq!(world.arrives(BETA, &reply), dropped(Reason::NoFlow));

        assert_eq!(world.leaves(&out.tcp(1000, 7051, SYN, 0)), PASS);
        for flags in [SYN | ACK, ACK, FIN | ACK, RST, RST | ACK] {
            assert_eq!(world.arrives(BETA, &back.tcp(7051, 1000, flags, 1)), PASS);
        }
        for flags in [SYN, SYN | FIN, SYN | RST] {
            let opening = back.tcp(7051, 1000, flags, 0);
            assert_eq!(world.arrives(BETA, &opening), dropped(Reason::Denied));
        }
        for other in [
            back.tcp(7052, 1000, ACK, 1),
            back.tcp(7051, 1001, ACK, 1),
            between("10.2.0.8", "10.1.0.9").tcp(7051, 1000, ACK, 1),
            between("10.2.0.9", "10.1.0.8").tcp(7051, 1000, ACK, 1),
        ] {
            assert_eq!(world.arrives(BETA, &other), dropped(Reason::NoFlow));
        }
    }
}

#[test]
fn no_answer_of_our_host_makes_a_connection_ours() {
    for out in ways_out() {
        let world = closed();
        let arrives = || world.arrives(BETA, &out.back().tcp(40000, 22, ACK, 1));

        // Its SYN came over the WAN: the answer does not leave, and nothing is opened.
        let answer = out.tcp(22, 40000, SYN | ACK, 1);
        assert_eq!(world.leaves(&answer), dropped(Reason::SynAck));
        assert_eq!(arrives(), dropped(Reason::NoFlow));
        for flags in [RST, RST | ACK, ACK, FIN | ACK, FIN, 0] {
            assert_eq!(world.leaves(&out.tcp(22, 40000, flags, 1)), PASS);
            assert_eq!(arrives(), dropped(Reason::NoFlow), "{flags:x}");
        }
        let error = out.icmp_error(
            if out.is_v6() { 1 } else { 3 },
            &out.back().tcp(40000, 22, SYN, 0),
        );
        assert_eq!(world.leaves(&error), PASS);
        assert_eq!(arrives(), dropped(Reason::NoFlow));
    }
}

#[test]
fn a_syn_ack_leaves_only_where_a_rule_allows_its_connection() {
    let mut world = World::new(Some(vec![allow(tcp_ports(7051, 7051))]));
    for out in ways_out() {
        assert_eq!(world.leaves(&out.tcp(7051, 1000, SYN | ACK, 1)), PASS);
        let other = out.tcp(7052, 1000, SYN | ACK, 1);
        assert_eq!(world.leaves(&other), dropped(Reason::SynAck));
    }
    let to_gamma = between("10.1.0.9", "10.3.0.9").tcp(7051, 1000, SYN | ACK, 1);
    assert_eq!(world.leaves(&to_gamma), dropped(Reason::SynAck));

    world.use_rules(&spec(None));
    let answer = ways_out()[0].tcp(7051, 1000, SYN | ACK, 1);
    assert_eq!(world.leaves(&answer), dropped(Reason::SynAck));
}

#[test]
fn a_connection_of_theirs_ends_with_its_rule() {
    for out in ways_out() {
        let mut world = World::new(Some(vec![allow(tcp_ports(40000, 40000))]));
        let back = out.back();
        assert_eq!(world.arrives(BETA, &back.tcp(1000, 40000, SYN, 0)), PASS);
        assert_eq!(world.leaves(&out.tcp(40000, 1000, SYN | ACK, 1)), PASS);
        assert_eq!(world.arrives(BETA, &back.tcp(1000, 40000, ACK, 1)), PASS);

        world.use_rules(&spec(Some(Vec::new())));
        let next = back.tcp(1000, 40000, ACK, 1);
        assert_eq!(world.arrives(BETA, &next), dropped(Reason::NoFlow));
        // What our host sends on it, from a port of grace at that, does not make it ours.
        for _ in 0..3 {
            assert_eq!(world.leaves(&out.tcp(40000, 1000, ACK, 1)), PASS);
            world.wait(seconds(3600));
            assert_eq!(world.arrives(BETA, &next), dropped(Reason::NoFlow));
        }
    }
}

#[test]
fn a_connection_that_a_rule_let_in_later_is_theirs_although_it_was_ours() {
    let out = ways_out()[0];
    let mut world = World::new(Some(vec![allow(tcp_ports(1000, 1000))]));
    world.leaves(&out.tcp(1000, 7051, SYN, 0));
    assert_eq!(
        world.arrives(BETA, &out.back().tcp(7051, 1000, SYN, 0)),
        PASS
    );

    world.use_rules(&spec(None));
    let next = out.back().tcp(7051, 1000, ACK, 1);
    assert_eq!(world.arrives(BETA, &next), dropped(Reason::NoFlow));
    // And ours again with the next SYN of our host.
    world.leaves(&out.tcp(1000, 7051, SYN, 0));
    assert_eq!(world.arrives(BETA, &next), PASS);
}

#[test]
fn a_connection_of_ours_goes_on_without_any_rule() {
    let mut world = World::new(Some(vec![allow(tcp_ports(1, 65535))]));
    let out = ways_out()[1];
    world.leaves(&out.tcp(1000, 7051, SYN, 0));
    let reply = out.back().tcp(7051, 1000, ACK, 1);
    assert_eq!(world.arrives(BETA, &reply), PASS);
    world.use_rules(&spec(Some(Vec::new())));
    assert_eq!(world.arrives(BETA, &reply), PASS);
}

#[test]
fn flows_are_forgotten_when_our_host_is_silent() {
    let out = ways_out()[0];
    let reply = out.back().tcp(7051, 1000, ACK, 1);
    for (last, idle) in [
        (out.tcp(1000, 7051, ACK, 1), 7440),
        (out.tcp(1000, 7051, FIN | ACK, 1), 600),
        (out.tcp(1000, 7051, RST, 0), 60),
    ] {
        let mut world = closed();
        world.leaves(&out.tcp(1000, 7051, SYN, 0));
        world.leaves(&last);
        // Packets of the far end keep nothing young.
        for _ in 0..10 {
            world.wait(seconds(idle) / 10);
            assert_eq!(world.arrives(BETA, &reply), PASS, "{idle}");
        }
        world.wait(seconds(1));
        assert_eq!(
            world.arrives(BETA, &reply),
            dropped(Reason::NoFlow),
            "{idle}"
        );
    }
}

#[test]
fn packets_of_our_host_keep_a_flow_and_a_clock_that_jumps_ends_it() {
    let out = ways_out()[0];
    let mut world = closed();
    world.leaves(&out.tcp(1000, 7051, SYN, 0));
    for _ in 0..5 {
        world.wait(seconds(7000));
        world.leaves(&out.tcp(1000, 7051, ACK, 1));
    }
    let reply = out.back().tcp(7051, 1000, ACK, 1);
    assert_eq!(world.arrives(BETA, &reply), PASS);

    let before = world.now;
    world.now += Duration::from_secs(1 << 36);
    assert_eq!(world.arrives(BETA, &reply), dropped(Reason::NoFlow));
    world.now = before;
    assert_eq!(world.arrives(BETA, &reply), PASS);
}

#[test]
fn the_highest_acknowledgement_is_known_for_both_kinds_of_flow() {
    let world = World::new(Some(vec![allow(tcp_ports(7051, 7051))]));
    let [out, out6] = ways_out();
    world.leaves(&out.tcp(1000, 9000, SYN, 0));
    world.leaves(&out.tcp(1000, 9000, ACK, 0xffff_fff0));
    world.leaves(&out.tcp(1000, 9000, ACK, 16));
    world.leaves(&out.tcp(1000, 9000, ACK, 8));
    world.arrives(BETA, &out6.back().tcp(1000, 7051, SYN, 0));
    world.leaves(&out6.tcp(7051, 1000, SYN | ACK, 77));

    let mut flows = Vec::new();
    let beta = [prefix("10.2.0.0/16"), prefix("fd02::/32")];
    world
        .filter
        .for_each_tcp(&beta, world.now, &mut |flow| flows.push(flow));
    flows.sort_by_key(|flow| flow.local);
    let [ours, theirs] = flows[..] else {
        panic!("{flows:?}");
    };
    assert_eq!((ours.ack, ours.is_ours), (Some(16), true));
    assert_eq!(ours.remote, "10.2.0.9:9000".parse().unwrap());
    assert_eq!((theirs.ack, theirs.is_ours), (Some(77), false));
    assert_eq!(theirs.local, "[fd01::9]:7051".parse().unwrap());
    let found = world.filter.tcp_flow(ours.local, ours.remote, world.now);
    assert_eq!(found, Some(ours));

    let mut others = 0;
    let gamma = [prefix("10.3.0.0/16")];
    world
        .filter
        .for_each_tcp(&gamma, world.now, &mut |_| others += 1);
    assert_eq!(others, 0);
}

#[test]
fn a_flow_that_was_reset_is_known_for_ten_minutes_and_not_reset_again() {
    let mut world = closed();
    let out = ways_out()[0];
    world.leaves(&out.tcp(1000, 9000, SYN, 0));
    let (local, remote) = (
        "10.1.0.9:1000".parse().unwrap(),
        "10.2.0.9:9000".parse().unwrap(),
    );
    world.filter.mark_reset(local, remote, world.now);

    let mut open = 0;
    let beta = [prefix("10.2.0.0/16")];
    world
        .filter
        .for_each_tcp(&beta, world.now, &mut |_| open += 1);
    assert_eq!(open, 0);
    world.wait(seconds(600));
    let next = out.back().tcp(9000, 1000, ACK, 1);
    assert_eq!(world.arrives(BETA, &next), PASS);
    world.wait(seconds(1));
    assert_eq!(world.arrives(BETA, &next), dropped(Reason::NoFlow));
}

#[test]
fn no_host_holds_more_than_a_quarter_and_open_connections_outlive_a_flood() {
    let world = World::with_flows(&spec(None), 400);
    let kept = between("10.1.0.8", "10.2.0.9");
    for port in 0..50 {
        world.leaves(&kept.tcp(1000 + port, 7051, SYN, 0));
        world.arrives(BETA, &kept.back().tcp(7051, 1000 + port, SYN | ACK, 1));
    }
    for host in 0..5 {
        let flooding = between(&format!("10.1.1.{host}"), "10.2.0.9");
        for port in 0..2000 {
            world.leaves(&flooding.tcp(port, 7051, SYN, 0));
            world.leaves(&flooding.udp(port, 7051, b""));
        }
    }

    let counts = world.filter.counts();
    assert!(counts.ours <= 400, "{counts:?}");
    assert!(counts.evicted > 10_000, "{counts:?}");
    for port in 0..50 {
        let reply = kept.back().tcp(7051, 1000 + port, ACK, 1);
        assert_eq!(world.arrives(BETA, &reply), PASS, "{port}");
    }

    let alone = World::with_flows(&spec(None), 400);
    let flooding = between("10.1.1.1", "10.2.0.9");
    for port in 0..2000 {
        alone.leaves(&flooding.udp(port, 7051, b""));
    }
    assert_eq!(alone.filter.counts().ours, 100);
}

#[test]
fn no_organization_loses_a_place_of_theirs_to_one_that_has_more() {
    let mut spec = spec(Some(vec![allow(Service::Tcp(vec![]))]));
    spec.policy.allow.as_mut().unwrap()[0].from = vec![Origin::All];
    let world = World::with_flows(&spec, 400);
    let gamma = between("10.3.0.9", "10.1.0.9");
    for port in 0..100 {
        world.arrives(GAMMA, &gamma.tcp(port, 9, SYN, 0));
    }
    let beta = between("10.2.0.9", "10.1.0.9");
    for port in 0..5000 {
        world.arrives(BETA, &beta.tcp(port, 9, SYN, 0));
    }

    let mut of_gamma = 0;
    let towards = [prefix("10.3.0.0/16")];
    let mut count = |_| of_gamma += 1;
    world.filter.for_each_tcp(&towards, world.now, &mut count);
    assert_eq!((of_gamma, world.filter.counts().theirs), (100, 400));
}

#[test]
fn more_places_or_fewer_keep_the_flows() {
    let world = World::with_flows(&spec(None), 400);
    let out = ways_out()[1];
    for port in 0..90 {
        world.leaves(&out.tcp(port, 7051, SYN, 0));
    }
    for flows in [100_000, 360] {
        let settings = Settings {
            flows,
            ..Settings::of(&world.rules.spec().policy)
        };
        world.filter.configure(&settings, world.now);
        for port in 0..90 {
            let reply = out.back().tcp(7051, port, ACK, 1);
            assert_eq!(world.arrives(BETA, &reply), PASS, "{flows} {port}");
        }
        assert_eq!(world.filter.counts().ours, 90);
    }
}
