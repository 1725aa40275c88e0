//! Fragments, with the rules and flows behind their verdicts.

use super::*;
use crate::craft::{fragment, fragments};
use crate::packet::tcp_flags::ACK;
use crate::waiting::Waiting;

const WAIT: Verdict = Verdict::WaitForFirstFragment;

#[test]
fn later_fragments_follow_their_first_both_ways() {
    for out in ways_out() {
        let world = World::new(Some(vec![allow(udp_port(9))]));
        let allowed = fragments(&out.back().udp(1, 9, &[0; 64]), 1, 32);
        assert_eq!(world.arrives(BETA, &allowed[1]), WAIT);
        assert_eq!(world.arrives(BETA, &allowed[0]), PASS);
        assert_eq!(world.arrives(BETA, &allowed[1]), PASS);

        let denied = fragments(&out.back().udp(1, 10, &[0; 64]), 2, 32);
        assert_eq!(world.arrives(BETA, &denied[0]), dropped(Reason::Denied));
        assert_eq!(world.arrives(BETA, &denied[1]), dropped(Reason::Fragment));

        let leaving = fragments(&out.udp(5, 6, &[0; 64]), 3, 32);
        assert_eq!(world.leaves(&leaving[0]), PASS);
        assert_eq!(world.leaves(&leaving[1]), PASS);
        // The first fragment has opened the flow.
        assert_eq!(world.arrives(BETA, &out.back().udp(6, 5, b"")), PASS);
    }
}

#[test]
fn a_first_fragment_without_its_whole_header_is_dropped_and_so_is_the_rest() {
    for out in ways_out() {
        let world = World::new(Some(vec![allow(Service::Tcp(vec![]))]));
        let packet = out.back().tcp(1, 9, ACK, 0);
        let tiny = fragments(&packet, 1, 16);
        assert_eq!(
            world.arrives(BETA, &tiny[0]),
            dropped(Reason::FirstFragment)
        );
        assert_ne!(world.arrives(BETA, &tiny[1]), PASS);

        // Options count: this header has 60 bytes.
        let mut long = out.back().tcp(1, 9, ACK, 0);
        let start = long.len() - 20;
        long[start + 12] = 0xf0;
        let first = fragment(&long, 2, 0, true, &[&long[start..], &[1; 36]].concat());
        assert_eq!(world.arrives(BETA, &first), dropped(Reason::FirstFragment));
        let first = fragment(&long, 3, 0, true, &[&long[start..], &[1; 44]].concat());
        assert_eq!(world.arrives(BETA, &first), PASS);
        let inside = fragment(&long, 3, 56, false, &[0; 8]);
        assert_eq!(world.arrives(BETA, &inside), dropped(Reason::Overlap));
        let behind = fragment(&long, 3, 64, false, &[0; 8]);
        assert_eq!(world.arrives(BETA, &behind), PASS);
    }
}

#[test]
fn those_that_wait_are_delivered_after_their_first_and_lost_after_100_ms() {
    let mut world = World::new(Some(vec![allow(udp_port(9))]));
    let mut waiting = Waiting::new();
    let packets: Vec<_> = (0..3)
        .map(|id| {
            let port = if id == 1 { 10 } else { 9 };
            fragments(&ways_out()[0].back().udp(1, port, &[id; 64]), id.into(), 32)
        })
        .collect();
    for [_, later] in &packets {
        assert!(waiting.hold(BETA, later, world.now));
    }

    let mut delivered = Vec::new();
    world.arrives(BETA, &packets[0][0]);
    world.arrives(BETA, &packets[1][0]);
    let (filter, rules) = (&world.filter, &world.rules);
    waiting.release(filter, rules, world.now, |from, packet| {
        delivered.push((from, packet.to_vec()));
    });
    assert_eq!(delivered, [(BETA, packets[0][1].clone())]);
    assert!(!waiting.is_empty());

    world.wait(Duration::from_millis(100));
    waiting.release(&world.filter, &world.rules, world.now, |_, _| {
        panic!("nothing is delivered")
    });
    assert!(waiting.is_empty());
}

#[test]
fn no_site_takes_all_the_room_for_those_that_wait() {
    let world = World::new(None);
    let mut waiting = Waiting::new();
    let held = (0..64).filter(|_| waiting.hold(BETA, &[0; 60], world.now));
    assert_eq!(held.count(), 16);
    assert!(waiting.hold(GAMMA, &[0; 60], world.now));
}
