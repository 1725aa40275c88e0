//! Neighbours share a verdict only with all that it depends on.

use super::*;
use crate::Neighbour;
use crate::packet::tcp_flags::{ACK, FIN, RST, SYN};

#[test]
fn a_packet_beside_another_one_gets_the_verdict_that_it_gets_alone() {
    for out in ways_out() {
        let world = World::new(Some(vec![allow(tcp_ports(7051, 7051))]));
        let closed = Rules::compile(&spec(Some(Vec::new())));
        world.leaves(&out.tcp(1000, 443, SYN, 0));
        let back = out.back();
        let other_host = if out.is_v6() {
            between("fd02::9", "fd01::8")
        } else {
            between("10.2.0.9", "10.1.0.8")
        };
        let service = back.tcp(9, 7051, ACK, 1);
        let later = crate::craft::fragment(&service, 1, 24, false, &[0; 24]);

        let packets = [
            service.clone(),
            back.tcp(443, 1000, ACK, 1),
            back.tcp(9, 7052, ACK, 1),
            other_host.tcp(443, 1000, ACK, 1),
            back.tcp(443, 1000, SYN, 1),
            back.udp(9, 7051, &[0; 12]),
            later,
            service[..service.len() - 1].to_vec(),
        ];
        for first in &packets {
            for next in &packets {
                for (rules, from) in [(&world.rules, BETA), (&world.rules, GAMMA), (&closed, BETA)]
                {
                    let mut neighbour = Neighbour::new(&world.filter);
                    let filter = &world.filter;
                    filter.arrives_beside(&mut neighbour, &world.rules, BETA, first, world.now);
                    let beside =
                        filter.arrives_beside(&mut neighbour, rules, from, next, world.now);
                    let alone = filter.arrives(rules, from, next, world.now);
                    assert_eq!(beside, alone, "{next:02x?} behind {first:02x?}");
                }
            }
        }
    }
}

#[test]
fn what_ends_a_flow_and_what_grace_lets_in_is_never_shared() {
    let mut world = World::new(None);
    let out = ways_out()[0];
    let back = out.back();
    world.leaves(&out.tcp(1000, 443, SYN, 0));
    {
        let mut neighbour = Neighbour::new(&world.filter);
        for flags in [ACK, FIN | ACK, RST] {
            let packet = back.tcp(443, 1000, flags, 1);
            let filter = &world.filter;
            let verdict =
                filter.arrives_beside(&mut neighbour, &world.rules, BETA, &packet, world.now);
            assert_eq!(verdict, PASS);
        }
    }
    world.wait(seconds(61));
    let next = back.tcp(443, 1000, ACK, 1);
    assert_eq!(world.arrives(BETA, &next), dropped(Reason::NoFlow));

    world.filter.begin_grace(world.now);
    let mut neighbour = Neighbour::new(&world.filter);
    let middle = back.tcp(443, 40000, ACK, 1);
    let filter = &world.filter;
    let passed = (0..1500).filter(|_| {
        filter.arrives_beside(&mut neighbour, &world.rules, BETA, &middle, world.now) == PASS
    });
    assert_eq!(passed.count(), 1000);
}
