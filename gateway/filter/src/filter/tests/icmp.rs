//! Echo, and errors about flows.

use super::*;
use crate::packet::tcp_flags::{ACK, SYN};

/// Types of "unreachable", "packet too big" or "fragmentation needed", and "time exceeded".
fn error_types(v6: bool) -> &'static [u8] {
    if v6 { &[1, 2, 3, 4] } else { &[3, 11, 12] }
}

#[test]
fn an_echo_reply_needs_its_identifier() {
    for out in ways_out() {
        let mut world = World::new(Some(Vec::new()));
        let reply = out.back().echo_reply(7);
        assert_eq!(world.arrives(BETA, &reply), dropped(Reason::NoFlow));
        assert_eq!(world.leaves(&out.echo_request(7)), PASS);
        assert_eq!(world.arrives(BETA, &reply), PASS);
        assert_eq!(
            world.arrives(BETA, &out.back().echo_reply(8)),
            dropped(Reason::NoFlow)
        );
        assert_eq!(
            world.arrives(BETA, &out.back().echo_request(7)),
            dropped(Reason::Denied)
        );

        // A reply of our host opens nothing.
        assert_eq!(world.leaves(&out.echo_reply(9)), PASS);
        assert_eq!(
            world.arrives(BETA, &out.back().echo_reply(9)),
            dropped(Reason::NoFlow)
        );

        world.wait(seconds(61));
        assert_eq!(world.arrives(BETA, &reply), dropped(Reason::NoFlow));
    }
}

#[test]
fn errors_pass_about_flows_that_are_known_and_services_that_are_allowed() {
    for out in ways_out() {
        let world = World::new(Some(vec![
            allow(tcp_ports(7051, 7051)),
            allow(Service::Icmp),
        ]));
        let v6 = out.is_v6();
        let ours = [
            out.tcp(1000, 443, SYN, 0),
            out.udp(1000, 123, b"?"),
            out.echo_request(7),
        ];
        for packet in &ours {
            for kind in error_types(v6) {
                let error = out.back().icmp_error(*kind, packet);
                assert_eq!(world.arrives(BETA, &error), dropped(Reason::IcmpError));
            }
        }
        for packet in &ours {
            world.leaves(packet);
        }

        let allowed = [out.tcp(7051, 1000, SYN | ACK, 1), out.echo_reply(9)];
        for packet in ours.iter().chain(&allowed) {
            for kind in error_types(v6) {
                let error = out.back().icmp_error(*kind, packet);
                assert_eq!(world.arrives(BETA, &error), PASS, "{kind}");
            }
        }
        // A router on the way has another address than the destination.
        let router = if v6 {
            between("fd02::1", "fd01::9")
        } else {
            between("10.2.0.1", "10.1.0.9")
        };
        assert_eq!(
            world.arrives(BETA, &router.icmp_error(error_types(v6)[0], &ours[0])),
            PASS
        );
    }
}

#[test]
fn no_member_says_anything_about_a_flow_with_another_one() {
    for out in ways_out() {
        let world = World::new(None);
        let v6 = out.is_v6();
        let sent = out.tcp(1000, 443, SYN, 0);
        world.leaves(&sent);
        let gamma = if v6 {
            between("fd03::9", "fd01::9")
        } else {
            between("10.3.0.9", "10.1.0.9")
        };
        for kind in error_types(v6) {
            let error = gamma.icmp_error(*kind, &sent);
            assert_eq!(world.arrives(GAMMA, &error), dropped(Reason::IcmpError));
        }

        let kind = error_types(v6)[0];
        let to_another_host = if v6 {
            between("fd02::9", "fd01::8")
        } else {
            between("10.2.0.9", "10.1.0.8")
        };
        for forged in [
            // About what another host, or nobody, has sent.
            to_another_host.icmp_error(kind, &sent),
            out.back().icmp_error(kind, &out.tcp(1001, 443, SYN, 0)),
            out.back()
                .icmp_error(kind, &out.back().tcp(443, 1000, ACK, 0)),
            // Cut, empty, a later fragment, an error about an error.
            out.back()
                .icmp_error(kind, &sent[..if v6 { 47 } else { 27 }]),
            out.back().icmp_error(kind, &[]),
            out.back().icmp_error(
                kind,
                &crate::craft::fragment(&sent, 1, 8, false, &sent[20..]),
            ),
            out.back().icmp_error(kind, &out.icmp_error(kind, &sent)),
        ] {
            assert_eq!(world.arrives(BETA, &forged), dropped(Reason::IcmpError));
        }
    }
}

#[test]
fn messages_of_a_link_never_pass_whatever_the_rules() {
    let rules = vec![
        allow(Service::Icmp),
        allow(Service::Protocol(1)),
        allow(Service::Protocol(58)),
    ];
    let world = World::new(Some(rules));
    for out in ways_out() {
        let kinds: &[u8] = if out.is_v6() {
            &[130, 131, 132, 133, 134, 135, 136, 137, 143]
        } else {
            &[4, 5, 9, 10]
        };
        for kind in kinds {
            let message = |way: Between| way.icmp(*kind, 0, &out.udp(1, 2, b""));
            assert_eq!(
                world.arrives(BETA, &message(out.back())),
                dropped(Reason::IcmpKind)
            );
            assert_eq!(world.leaves(&message(out)), dropped(Reason::IcmpKind));
        }

        // Timestamps and node information need ICMP by its number.
        let query = out
            .back()
            .icmp(if out.is_v6() { 139 } else { 13 }, 0, &[0; 12]);
        assert_eq!(world.arrives(BETA, &query), PASS);
        let echo_only = World::new(Some(vec![allow(Service::Icmp)]));
        assert_eq!(echo_only.arrives(BETA, &query), dropped(Reason::Denied));
    }
}
