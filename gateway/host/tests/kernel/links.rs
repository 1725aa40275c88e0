//! Interfaces and their addresses.

use std::time::{Duration, Instant};

use ringway_host::links;
use ringway_intent::Scope;

use crate::namespace::Namespace;
use crate::tun_name;

#[test]
fn connected_networks_and_own_addresses_are_those_of_the_namespace() {
    let gateway = Namespace::new("gw");
    gateway.nic("eth0");
    gateway.nic("eth1");
    gateway.nic("ringway0");
    for (address, interface) in [
        ("203.0.113.5/24", "eth0"),
        ("10.1.0.1/24", "eth1"),
        ("10.1.0.9/24", "eth1"),
        ("169.254.7.7/16", "eth1"),
        ("fd00:1::1/64", "eth1"),
        ("10.9.0.1/24", "ringway0"),
    ] {
        gateway.ip(&format!("addr add {address} dev {interface}"));
    }
    let links =
        gateway.wait(|| async { links::read(&tun_name(), &Scope::default()).await.unwrap() });
    let connected: Vec<_> = links
        .connected()
        .into_iter()
        .map(|network| (network.prefix.to_string(), network.interface))
        .collect();
    let expected = [
        ("10.1.0.0/24", "eth1"),
        ("203.0.113.0/24", "eth0"),
        ("fd00:1::/64", "eth1"),
    ];
    assert_eq!(
        connected,
        expected.map(|(prefix, interface)| (prefix.to_owned(), interface.to_owned()))
    );
    let site = [
        "10.1.0.0/16".parse().unwrap(),
        "fd00:1::/48".parse().unwrap(),
    ];
    assert_eq!(links.own_v4_in(&site), Some("10.1.0.1".parse().unwrap()));
    assert_eq!(links.own_v6_in(&site), Some("fd00:1::1".parse().unwrap()));
}

#[test]
fn routes_to_the_site_are_found_in_every_table_and_over_every_hop() {
    let gateway = Namespace::new("gw");
    for nic in ["eth0", "eth1", "eth2", "eth3", "ringway0"] {
        gateway.nic(nic);
    }
    for command in [
        "addr add 203.0.113.5/24 dev eth0",
        "addr add 10.1.0.1/24 dev eth1",
        "addr add 10.7.0.1/24 dev eth2",
        "addr add 10.8.0.1/24 dev eth3",
        "addr add fd00:1::1/64 dev eth1 nodad",
        "route add default via 203.0.113.1",
        "route add 10.1.9.0/24 nexthop via 10.7.0.9 nexthop via 10.8.0.9",
        "route add 10.1.8.0/24 dev ringway0",
        "route add unreachable 10.1.7.0/24",
        "route add 10.0.0.0/8 via 10.7.0.9 table 77",
    ] {
        gateway.ip(command);
    }

    let own = ["10.1.0.0/16", "fd00:1::/48"].map(|prefix| prefix.parse().unwrap());
    let scope = Scope {
        own: own.to_vec(),
        ..Scope::default()
    };
    let links = gateway.wait(|| async { links::read(&tun_name(), &scope).await.unwrap() });
    let site: Vec<_> = links.site_interfaces(&own).into_iter().collect();
    assert_eq!(site, ["eth1", "eth2", "eth3"]);
    assert!(!links.defaults_inside(&own).v4);

    gateway.ip("route replace default via 10.1.0.254");
    let links = gateway.wait(|| async { links::read(&tun_name(), &scope).await.unwrap() });
    assert!(links.defaults_inside(&own).v4);
}

#[test]
fn a_route_leads_somewhere_while_one_of_its_hops_has_a_carrier() {
    let gateway = Namespace::new("gw");
    let routers = [Namespace::new("near"), Namespace::new("far")];
    for (router, nic) in routers.iter().zip(["eth1", "eth2"]) {
        gateway.join(nic, router, "lan");
    }
    for command in [
        "addr add 10.7.0.1/24 dev eth1",
        "addr add 10.8.0.1/24 dev eth2",
        "addr add fd00:7::1/64 dev eth1 nodad",
        "route add 10.1.8.0/24 via 10.7.0.9",
        "route add 10.1.9.0/24 nexthop via 10.7.0.9 nexthop via 10.8.0.9",
        "route add fd00:1::/48 via fd00:7::9",
        "route add 0.0.0.0/1 via 10.8.0.9",
    ] {
        gateway.ip(command);
    }

    let own = ["10.1.8.0/24", "10.1.9.0/24", "10.1.7.0/24", "fd00:1::/48"]
        .map(|prefix| prefix.parse().unwrap());
    let scope = Scope {
        own: own.to_vec(),
        ..Scope::default()
    };
    let lead = || {
        let links = gateway.wait(|| async { links::read(&tun_name(), &scope).await.unwrap() });
        own.map(|prefix| links.lead_to(&prefix))
    };
    // The kernel marks its routes a moment after the carrier has changed.
    let wait_for = |expected| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while lead() != expected && Instant::now() < deadline {}
        assert_eq!(lead(), expected);
    };
    wait_for([true, true, false, true]);

    // Without a carrier, it keeps them.
    routers[0].ip("link set lan down");
    wait_for([false, true, false, false]);
    routers[1].ip("link set lan down");
    wait_for([false; 4]);
    routers[0].ip("link set lan up");
    wait_for([true, true, false, true]);
}
