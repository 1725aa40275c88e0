//! A gateway of site 10.1.0.0/16, fd01::/32 with two other sites: of beta (1) and gamma (2), and
//! what its filter says about packets.

mod egress;
mod fragments;
mod grace;
mod icmp;
mod neighbours;
mod shared;
mod tcp;
mod udp;
mod via;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ringway_config::{
    Allow, Egress, OnDenied, Origin, Place, Policy, PortRange, Prefix, Service, Target,
};

use crate::craft::{Between, between};
use crate::{Filter, Reason, RemoteSite, Rules, RulesSpec, Settings, Verdict};

pub(super) const BETA: u32 = 1;
pub(super) const GAMMA: u32 = 2;

pub(super) const PASS: Verdict = Verdict::Pass;

pub(super) fn dropped(reason: Reason) -> Verdict {
    Verdict::Drop(reason)
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn policy(allow: Option<Vec<Allow>>) -> Policy {
    Policy {
        allow,
        ..Policy::default()
    }
}

pub(super) fn spec(allow: Option<Vec<Allow>>) -> RulesSpec {
    let site = |number, org: &str, v4: &str, v6: &str| RemoteSite {
        number,
        org: org.parse().unwrap(),
        site: "east".parse().unwrap(),
        prefixes: vec![prefix(v4), prefix(v6)],
        has_gateways: true,
        via: None,
    };

    RulesSpec {
        policy: policy(allow),
        former: Vec::new(),
        site: 0,
        own: vec![prefix("10.1.0.0/16"), prefix("fd01::/32")],
        sites: vec![
            site(BETA, "beta", "10.2.0.0/16", "fd02::/32"),
            site(GAMMA, "gamma", "10.3.0.0/16", "fd03::/32"),
        ],
        names: BTreeMap::new(),
        dns: vec![
            "10.1.0.1:53".parse().unwrap(),
            "[fd01::1]:53".parse().unwrap(),
        ],
        gateway: vec!["10.1.0.1".parse().unwrap(), "fd01::1".parse().unwrap()],
        tunnel_port: 4600,
    }
}

pub(super) fn tcp_ports(first: u16, last: u16) -> Service {
    Service::Tcp(vec![PortRange { first, last }])
}

pub(super) fn udp_port(port: u16) -> Service {
    Service::Udp(vec![PortRange::one(port)])
}

/// A rule for beta, to every address of our site.
pub(super) fn allow(service: Service) -> Allow {
    Allow {
        from: vec![Origin::Org("beta".parse().unwrap())],
        to: vec![
            Target::Prefix(prefix("10.1.0.0/16")),
            Target::Prefix(prefix("fd01::/32")),
        ],
        services: vec![service],
        place: Place::whole(Path::new("gateway.toml")),
    }
}

/// A filter with rules, at a time of its own. Its grace is over.
pub(super) struct World {
    pub(super) filter: Filter,
    pub(super) rules: Rules,
    pub(super) now: Instant,
}

impl World {
    pub(super) fn new(allow: Option<Vec<Allow>>) -> World {
        World::of(&spec(allow))
    }

    pub(super) fn of(spec: &RulesSpec) -> World {
        World::with_flows(spec, 1024)
    }

    pub(super) fn with_flows(spec: &RulesSpec, flows: u32) -> World {
        let began = Instant::now();
        let settings = Settings {
            flows,
            ..Settings::of(&spec.policy)
        };
        World {
            filter: Filter::new(&settings, [7; 16], began),
            rules: Rules::compile(spec),
            now: began + seconds(1000),
        }
    }

    pub(super) fn arrives(&self, from: u32, packet: &[u8]) -> Verdict {
        self.filter.arrives(&self.rules, from, packet, self.now)
    }

    pub(super) fn leaves(&self, packet: &[u8]) -> Verdict {
        self.filter.leaves(&self.rules, packet, self.now)
    }

    pub(super) fn use_rules(&mut self, spec: &RulesSpec) {
        self.rules = Rules::replace(&self.rules, spec);
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

/// From our host to beta's, in both families.
pub(super) fn ways_out() -> [Between; 2] {
    [
        between("10.1.0.9", "10.2.0.9"),
        between("fd01::9", "fd02::9"),
    ]
}

#[test]
fn nothing_that_is_no_packet_passes() {
    let world = World::new(Some(vec![allow(Service::Protocol(47))]));
    for bytes in [&[][..], &[0x45], &[0x60; 39], &[0; 60], &[0xff; 60]] {
        assert_eq!(world.arrives(BETA, bytes), dropped(Reason::Malformed));
        assert_eq!(world.leaves(bytes), dropped(Reason::Malformed));
    }
    assert_eq!(world.filter.counts().drops(Reason::Malformed), 10);
}

#[test]
fn a_gateway_of_no_site_in_the_rules_is_a_stranger() {
    let world = World::new(None);
    let packet = ways_out()[0].back().echo_request(1);
    assert_eq!(world.arrives(BETA, &packet), PASS);
    assert_eq!(world.arrives(9, &packet), dropped(Reason::Stranger));
}

#[test]
fn without_a_policy_echo_and_dns_alone_and_with_an_empty_one_nothing() {
    for way in [
        between("10.2.0.9", "10.1.0.1"),
        between("fd02::9", "fd01::1"),
    ] {
        let packets = [
            way.echo_request(1),
            way.udp(5000, 53, b"?"),
            way.tcp(5000, 53, 2, 0),
        ];
        let closed = World::new(Some(Vec::new()));
        let default = World::new(None);
        for packet in packets {
            assert_eq!(default.arrives(BETA, &packet), PASS);
            assert_eq!(closed.arrives(BETA, &packet), dropped(Reason::Denied));
        }
        for packet in [way.udp(5000, 54, b"?"), way.tcp(5000, 22, 2, 0)] {
            assert_eq!(default.arrives(BETA, &packet), dropped(Reason::Denied));
        }
    }

    // DNS is the gateway's, and no other host's.
    let default = World::new(None);
    let other = between("10.2.0.9", "10.1.0.2").udp(5000, 53, b"?");
    assert_eq!(default.arrives(BETA, &other), dropped(Reason::Denied));
}

#[test]
fn a_protocol_by_number_needs_a_rule_in_both_organizations() {
    const GRE: u8 = 47;
    let allowing = World::new(Some(vec![allow(Service::Protocol(GRE))]));
    let closed = World::new(None);
    for out in ways_out() {
        assert_eq!(closed.leaves(&out.raw(GRE, &[0; 8])), PASS);
        let back = out.back().raw(GRE, &[0; 8]);
        assert_eq!(closed.arrives(BETA, &back), dropped(Reason::Protocol));
        assert_eq!(allowing.arrives(BETA, &back), PASS);
        assert_eq!(allowing.arrives(GAMMA, &back), dropped(Reason::Protocol));
    }
}

#[test]
fn no_rule_allows_headers_of_a_chain_or_the_other_familys_icmp() {
    let every = (0..=255).map(Service::Protocol).collect();
    let rule = Allow {
        services: every,
        ..allow(Service::Icmp)
    };
    let world = World::new(Some(vec![rule]));
    let [v4, v6] = ways_out();
    for number in [0, 43, 44, 51, 58, 59, 60, 135, 139, 140] {
        let packet = v4.back().raw(number, &[0; 16]);
        assert_ne!(world.arrives(BETA, &packet), PASS, "{number}");
        assert_ne!(world.leaves(&v4.raw(number, &[0; 16])), PASS, "{number}");
    }
    assert_ne!(world.arrives(BETA, &v6.back().raw(1, &[8; 16])), PASS);
    assert_ne!(world.arrives(BETA, &v6.back().raw(59, &[])), PASS);
    assert_eq!(world.arrives(BETA, &v4.back().raw(47, &[0; 16])), PASS);
}

#[test]
fn the_tunnel_port_of_this_host_is_never_reachable() {
    let world = World::new(Some(vec![
        allow(Service::Tcp(vec![])),
        allow(Service::Udp(vec![])),
    ]));
    for way in [
        between("10.2.0.9", "10.1.0.1"),
        between("fd02::9", "fd01::1"),
    ] {
        for packet in [way.udp(4600, 4600, b""), way.tcp(9, 4600, 2, 0)] {
            assert_eq!(world.arrives(BETA, &packet), dropped(Reason::TunnelPort));
        }
        let outer = way.back().udp(4600, 4600, b"");
        assert_eq!(world.leaves(&outer), dropped(Reason::TunnelPort));
    }
    // Another host's port of the same number is a service like any other.
    let other = between("10.2.0.9", "10.1.0.2").udp(4600, 4600, b"");
    assert_eq!(world.arrives(BETA, &other), PASS);
}

#[test]
fn a_rule_is_for_its_organization_and_a_site_without_gateways_must_be_named() {
    let mut spec = spec(Some(vec![allow(tcp_ports(7051, 7051))]));
    let syn = between("10.2.0.9", "10.1.0.9").tcp(40000, 7051, 2, 0);
    let world = World::of(&spec);
    assert_eq!(world.arrives(BETA, &syn), PASS);
    assert_eq!(world.arrives(GAMMA, &syn), dropped(Reason::Denied));

    spec.sites[0].has_gateways = false;
    assert_eq!(
        World::of(&spec).arrives(BETA, &syn),
        dropped(Reason::Denied)
    );
    for origin in [
        Origin::Site("beta".parse().unwrap(), "east".parse().unwrap()),
        Origin::All,
        Origin::Prefix(prefix("10.2.0.0/24")),
    ] {
        spec.policy.allow.as_mut().unwrap()[0].from = vec![origin];
        assert_eq!(World::of(&spec).arrives(BETA, &syn), PASS);
    }
    spec.policy.allow.as_mut().unwrap()[0].from = vec![Origin::Prefix(prefix("10.2.1.0/24"))];
    assert_eq!(
        World::of(&spec).arrives(BETA, &syn),
        dropped(Reason::Denied)
    );
}

#[test]
fn a_name_means_its_addresses_in_this_site() {
    let name: ringway_config::DnsName = "peer0.acme.example".parse().unwrap();
    let mut spec = spec(Some(vec![Allow {
        to: vec![Target::Name(name.clone())],
        ..allow(tcp_ports(7051, 7051))
    }]));
    let syn = between("10.2.0.9", "10.1.0.9").tcp(40000, 7051, 2, 0);
    let foreign = between("10.2.0.9", "10.3.0.9").tcp(40000, 7051, 2, 0);
    assert_eq!(
        World::of(&spec).arrives(BETA, &syn),
        dropped(Reason::Denied)
    );

    let addresses = ["10.1.0.9", "10.3.0.9"].map(|text| text.parse().unwrap());
    spec.names.insert(name, addresses.into());
    assert_eq!(World::of(&spec).arrives(BETA, &syn), PASS);
    let foreign = World::of(&spec).arrives(BETA, &foreign);
    assert_eq!(foreign, dropped(Reason::Denied));
}

#[test]
fn what_is_denied_is_counted_and_kept_and_the_policy_may_want_an_answer() {
    let mut spec = spec(None);
    spec.policy.denied = OnDenied::Reject;
    spec.policy.egress = Egress::None;
    let world = World::of(&spec);
    let out = ways_out()[0];
    let rejected = Verdict::Reject;

    assert_eq!(
        world.arrives(BETA, &out.back().tcp(9, 22, 2, 0)),
        rejected(Reason::Denied)
    );
    assert_eq!(
        world.arrives(BETA, &out.back().tcp(9, 22, 16, 0)),
        rejected(Reason::NoFlow)
    );
    assert_eq!(
        world.arrives(BETA, &out.back().udp(9, 22, b"")),
        rejected(Reason::Denied)
    );
    assert_eq!(world.leaves(&out.udp(9, 22, b"")), rejected(Reason::Egress));
    // Resets and errors are never answered.
    assert_eq!(
        world.arrives(BETA, &out.back().tcp(9, 22, 4, 0)),
        dropped(Reason::NoFlow)
    );
    let error = out.back().icmp_error(3, &out.udp(9, 22, b""));
    assert_eq!(world.arrives(BETA, &error), dropped(Reason::IcmpError));

    let denied = world.filter.denied(&world.rules);
    assert_eq!(denied.len(), 6);
    assert_eq!(denied[0].reason, Reason::Denied);
    assert_eq!(denied[0].org, Some("beta".parse().unwrap()));
    assert_eq!((denied[0].source_port, denied[0].destination_port), (9, 22));
    assert_eq!((denied[0].number, denied[5].number), (0, 5));
    assert_eq!(world.rules.orgs()[0].denied, 6);
    assert_eq!(world.rules.orgs()[1].denied, 0);

    // The counts of an organization and of a rule go on under new rules.
    let world = World {
        rules: Rules::replace(&world.rules, &spec),
        ..world
    };
    assert_eq!(world.rules.orgs()[0].denied, 6);
}
