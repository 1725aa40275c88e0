//! Addresses, sites and policies of the tests.
//!
//! ```text
//!   our site (1): 10.1.0.0/16, fd00:1::/48          beta/east  (2): 10.2.0.0/16, fd00:2::/48
//!     gw      .1   the gateway and its DNS           beta/west  (3): 10.3.0.0/16, fd00:3::/48
//!     peer0  .11 ┐ named in our zone                 gamma/main (4): 10.4.0.0/16, fd00:4::/48
//!     peer1  .12 ┘                                   beta/idc   (5): 10.5.0.0/16, fd00:5::/48
//!     job0   .77 ┐ without a name                                    has no gateways
//!     job1   .78 ┘
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ringway_config::{
    Allow, AllowEgress, Egress, OnDenied, Origin, Place, Policy, PortRange, Prefix, Service, Target,
};
use ringway_filter::{RemoteSite, RulesSpec};

pub(crate) const HERE: u32 = 1;
pub(crate) const EAST: u32 = 2;
pub(crate) const WEST: u32 = 3;
pub(crate) const GAMMA: u32 = 4;
pub(crate) const IDC: u32 = 5;

pub(crate) const GW: u8 = 1;
pub(crate) const PEER0: u8 = 11;
pub(crate) const PEER1: u8 = 12;
pub(crate) const JOB0: u8 = 77;
pub(crate) const JOB1: u8 = 78;

/// First port of grace.
pub(crate) const HIGH: u16 = 32768;

/// How long grace lasts after a start.
pub(crate) const GRACE: Duration = Duration::from_secs(120);

/// Host `host` of site `site`.
pub(crate) fn address(site: u32, host: u8, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd00, site as u16, 0, 0, 0, 0, 0, host.into()).into()
    } else {
        Ipv4Addr::new(10, site as u8, 0, host).into()
    }
}

fn prefixes(site: u32) -> Vec<Prefix> {
    [format!("10.{site}.0.0/16"), format!("fd00:{site}::/48")]
        .map(|text| text.parse().unwrap())
        .into()
}

/// One host, in both families.
pub(crate) fn hosts(numbers: &[u8]) -> Vec<Target> {
    let mut targets = Vec::new();
    for number in numbers {
        let v4 = address(HERE, *number, false);
        let v6 = address(HERE, *number, true);
        targets.push(Target::Prefix(Prefix::holding(v4, 32).unwrap()));
        targets.push(Target::Prefix(Prefix::holding(v6, 128).unwrap()));
    }
    targets
}

/// All of our site.
pub(crate) fn everywhere() -> Vec<Target> {
    prefixes(HERE).into_iter().map(Target::Prefix).collect()
}

pub(crate) fn allow(from: &[Origin], to: Vec<Target>, services: Vec<Service>) -> Allow {
    Allow {
        from: from.to_vec(),
        to,
        services,
        place: place(),
    }
}

pub(crate) fn allow_egress(
    from: Vec<Target>,
    to: &[Origin],
    services: Vec<Service>,
) -> AllowEgress {
    AllowEgress {
        from,
        to: to.to_vec(),
        services,
        place: place(),
    }
}

fn place() -> Place {
    Place::whole(Path::new("gateway.toml"))
}

pub(crate) fn tcp_ports(first: u16, last: u16) -> Service {
    Service::Tcp(vec![PortRange { first, last }])
}

pub(crate) fn udp_ports(first: u16, last: u16) -> Service {
    Service::Udp(vec![PortRange { first, last }])
}

pub(crate) fn org(name: &str) -> Origin {
    Origin::Org(name.parse().unwrap())
}

pub(crate) fn site(org: &str, site: &str) -> Origin {
    Origin::Site(org.parse().unwrap(), site.parse().unwrap())
}

pub(crate) fn network(text: &str) -> Origin {
    Origin::Prefix(text.parse().unwrap())
}

/// A policy with these rules, and the defaults for the rest.
pub(crate) fn policy(allow: Option<Vec<Allow>>) -> Policy {
    Policy {
        allow,
        egress: Egress::All,
        allow_egress: Vec::new(),
        services: BTreeMap::new(),
        tests: Vec::new(),
        denied: OnDenied::Drop,
        flows: 65_536,
        grace: GRACE,
        grace_port: HIGH,
    }
}

/// The policies that tests name.
pub(crate) fn named_policy(name: &str) -> Policy {
    match name {
        "absent" => policy(None),
        "empty" => policy(Some(Vec::new())),
        "fabric" => policy(Some(fabric())),
        "everything" => policy(Some(vec![allow(
            &[Origin::All],
            everywhere(),
            vec![
                Service::Tcp(Vec::new()),
                Service::Udp(Vec::new()),
                Service::Icmp,
            ],
        )])),
        "origins" => policy(Some(origins())),
        "protocols" => policy(Some(vec![allow(
            &[org("gamma")],
            everywhere(),
            vec![Service::Protocol(47), Service::Protocol(50)],
        )])),
        "named-egress" => Policy {
            egress: Egress::Named,
            ..policy(Some(fabric()))
        },
        "no-egress" => Policy {
            egress: Egress::None,
            allow_egress: vec![allow_egress(
                hosts(&[JOB0]),
                &[org("gamma")],
                vec![tcp_ports(443, 443), udp_ports(443, 443), Service::Icmp],
            )],
            ..policy(Some(fabric()))
        },
        other => panic!("there is no policy {other}"),
    }
}

/// Peers and orderers for all, a service over UDP for gamma, echo.
fn fabric() -> Vec<Allow> {
    let mut to = hosts(&[PEER0, JOB1]);
    to.push(Target::Name(PEER1_NAME.parse().unwrap()));
    vec![
        allow(&[Origin::All], to.clone(), vec![tcp_ports(7050, 7054)]),
        allow(&[org("gamma")], to.clone(), vec![udp_ports(514, 514)]),
        allow(&[Origin::All], to, vec![Service::Icmp]),
    ]
}

/// A port for each way to say who may use it.
fn origins() -> Vec<Allow> {
    let at = |origin, port| allow(&[origin], everywhere(), vec![tcp_ports(port, port)]);
    vec![
        at(Origin::All, 9000),
        at(org("beta"), 9001),
        at(site("beta", "west"), 9002),
        at(site("beta", "idc"), 9003),
        at(network("10.2.0.0/24"), 9004),
        at(network("fd00:2::/64"), 9004),
        at(org("gamma"), 9005),
    ]
}

const PEER1_NAME: &str = "peer1.alpha.consortium.example";

/// What the rules are made from.
pub(crate) fn spec(policy: Policy) -> RulesSpec {
    let both = |host| vec![address(HERE, host, false), address(HERE, host, true)];
    let mut names = BTreeMap::new();
    names.insert(
        "peer0.alpha.consortium.example".parse().unwrap(),
        both(PEER0),
    );
    names.insert(PEER1_NAME.parse().unwrap(), both(PEER1));

    RulesSpec {
        policy,
        former: Vec::new(),
        site: HERE,
        own: prefixes(HERE),
        sites: vec![
            remote(EAST, "beta", "east", true),
            remote(WEST, "beta", "west", true),
            remote(GAMMA, "gamma", "main", true),
            remote(IDC, "beta", "idc", false),
        ],
        names,
        dns: both(GW)
            .into_iter()
            .map(|address| SocketAddr::new(address, 53))
            .collect(),
        gateway: both(GW),
        tunnel_port: 4600,
    }
}

fn remote(number: u32, org: &str, site: &str, has_gateways: bool) -> RemoteSite {
    RemoteSite {
        number,
        org: org.parse().unwrap(),
        site: site.parse().unwrap(),
        prefixes: prefixes(number),
        has_gateways,
        via: None,
    }
}
