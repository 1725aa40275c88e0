//! Interfaces and their addresses.

use ringway_host::links;

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
    let links = gateway.wait(|| async { links::read(&tun_name()).await.unwrap() });
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
