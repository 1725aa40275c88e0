//! Egress rules: the connections that hosts of our site may open.

use ringway_config::AllowEgress;

use super::*;
use crate::packet::tcp_flags::{ACK, SYN};

fn named() -> RulesSpec {
    let mut spec = spec(Some(vec![allow(tcp_ports(7051, 7052)), allow(udp_port(9))]));
    spec.policy.egress = Egress::Named;
    let addresses = ["10.1.0.9", "fd01::9"].map(|text| text.parse().unwrap());
    spec.names
        .insert("peer0.acme.example".parse().unwrap(), addresses.into());
    spec
}

/// From a host that has no name.
fn unnamed() -> [Between; 2] {
    [
        between("10.1.0.7", "10.2.0.9"),
        between("fd01::7", "fd02::9"),
    ]
}

#[test]
fn only_named_hosts_and_the_gateway_open_anything() {
    let world = World::of(&named());
    let gateways = [
        between("10.1.0.1", "10.2.0.9"),
        between("fd01::1", "fd02::9"),
    ];
    for out in ways_out().into_iter().chain(gateways) {
        assert_eq!(world.leaves(&out.tcp(1000, 443, SYN, 0)), PASS);
        assert_eq!(world.leaves(&out.udp(1000, 53, b"")), PASS);
        assert_eq!(world.leaves(&out.echo_request(1)), PASS);
    }
    for out in unnamed() {
        for packet in [
            out.tcp(1000, 443, SYN, 0),
            // Not even from the port of a service: a SYN answers nothing.
            out.tcp(7052, 443, SYN, 0),
            out.tcp(40000, 443, ACK, 1),
            out.udp(1000, 53, b""),
            out.echo_request(1),
            out.echo_reply(1),
            out.raw(47, b""),
        ] {
            assert_eq!(world.leaves(&packet), dropped(Reason::Egress));
        }
        // Its services answer, and it says what it could not take.
        assert_eq!(world.leaves(&out.tcp(7052, 1000, SYN | ACK, 1)), PASS);
        assert_eq!(world.leaves(&out.tcp(7052, 1000, ACK, 1)), PASS);
        assert_eq!(world.leaves(&out.udp(9, 1000, b"")), PASS);
        let kind = if out.is_v6() { 1 } else { 3 };
        let came = out.back().udp(1000, 9, b"");
        assert_eq!(world.leaves(&out.icmp_error(kind, &came)), PASS);
        let sent = out.udp(9, 1000, b"");
        assert_eq!(
            world.leaves(&out.icmp_error(kind, &sent)),
            dropped(Reason::IcmpError)
        );
    }
}

#[test]
fn a_flow_ends_when_its_host_loses_the_right_to_it() {
    let mut world = World::of(&named());
    let out = ways_out()[0];
    world.leaves(&out.tcp(1000, 443, SYN, 0));
    assert_eq!(world.leaves(&out.tcp(1000, 443, ACK, 1)), PASS);
    let mut none = named();
    none.policy.egress = Egress::None;
    world.use_rules(&none);
    assert_eq!(
        world.leaves(&out.tcp(1000, 443, ACK, 1)),
        dropped(Reason::Egress)
    );
    assert_eq!(world.leaves(&out.tcp(7051, 443, ACK, 1)), PASS);
}

#[test]
fn a_rule_for_egress_adds_hosts_destinations_and_services() {
    let mut spec = named();
    spec.policy.egress = Egress::None;
    spec.policy.allow_egress = vec![AllowEgress {
        from: vec![Target::Prefix(prefix("10.1.0.7/32"))],
        to: vec![Origin::Org("beta".parse().unwrap())],
        services: vec![tcp_ports(443, 443)],
        place: Place::whole(Path::new("gateway.toml")),
    }];
    let world = World::of(&spec);
    let to_gamma = between("10.1.0.7", "10.3.0.9");
    let [out, _] = unnamed();
    assert_eq!(world.leaves(&out.tcp(1000, 443, SYN, 0)), PASS);
    assert_eq!(world.leaves(&out.tcp(1000, 443, ACK, 1)), PASS);
    for packet in [
        out.tcp(1000, 444, SYN, 0),
        out.udp(1000, 443, b""),
        to_gamma.tcp(1000, 443, SYN, 0),
        ways_out()[0].tcp(1000, 443, SYN, 0),
    ] {
        assert_eq!(world.leaves(&packet), dropped(Reason::Egress));
    }
}
