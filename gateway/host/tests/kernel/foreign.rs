//! Routes and rules of other programs that divert or drop tunnel traffic, and missing routes.

use std::collections::BTreeMap;
use std::fs;

use ringway_host::tun::open_tun;
use ringway_host::watch::inspect;
use ringway_intent::{Finding, HostPair, Inspection};

use crate::namespace::Namespace;
use crate::tun_name;
use crate::watch::{NUMBERS, gateway};

#[test]
fn a_host_that_the_reverse_path_check_drops_is_reported() {
    let namespace = gateway();
    let _tun = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    namespace.nic("eth1");
    namespace.ip("route add 10.2.0.0/16 dev ringway0");
    namespace.ip("route add 10.1.0.2/32 dev eth1");
    assert_eq!(findings(&namespace, true), []);

    namespace.enter(|| fs::write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1").unwrap());
    assert_eq!(findings(&namespace, false), [], "nothing passes anyway");
    let found = &findings(&namespace, true)[0];
    assert!(found.what.contains("reverse-path check"), "{found:?}");
    assert_eq!(
        found.remedy.to_string(),
        "sysctl -w net.ipv4.conf.eth0.rp_filter=2"
    );
}

/// The findings about packets from eth0 to a member that a tunnel serves or not.
pub(crate) fn findings(namespace: &Namespace, is_tunnelled: bool) -> Vec<Finding> {
    let inspection = Inspection {
        pairs: vec![HostPair {
            interface: "eth0".into(),
            host: "10.1.0.2".parse().unwrap(),
            remote: "10.2.0.1".parse().unwrap(),
            prefix: "10.2.0.0/16".parse().unwrap(),
            is_tunnelled,
        }],
        skipped: 0,
        dns: vec!["10.1.0.1".parse().unwrap()],
        tunnel_port: Some(4600),
        outside: ["eth9".to_owned()].into(),
        dialled_ports: [4600, 4700].into(),
        ports: [7051].into(),
        peers: BTreeMap::new(),
    };

    namespace
        .wait(|| async move { inspect(&tun_name(), NUMBERS, inspection).await })
        .unwrap()
}

#[test]
fn a_diverting_route_is_reported_with_the_rule_that_causes_it() {
    let namespace = gateway();
    let _tun = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    assert_eq!(findings(&namespace, false), [], "no route: it goes nowhere");
    assert_eq!(findings(&namespace, true).len(), 1);
    namespace.ip("route add 10.2.0.0/16 dev ringway0");
    assert_eq!(findings(&namespace, true), []);

    namespace.ip("route add default dev eth0 table 99");
    namespace.ip("rule add priority 512 lookup 99");
    let found = &findings(&namespace, false)[0];
    assert!(found.what.contains("leave by eth0 (table 99)"), "{found:?}");
    assert!(found.what.contains("ip rule 512"), "{found:?}");
    assert!(
        found.remedy.to_string().contains("priority 511"),
        "{found:?}"
    );
}

#[test]
fn gateways_without_a_route_are_reported() {
    let namespace = gateway();
    namespace.ip("route add 203.0.113.0/24 dev eth0");
    let gateway_at = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let peers = BTreeMap::from([("gw.beta".to_owned(), addresses.collect())]);
        let inspection = Inspection {
            peers,
            ..Inspection::default()
        };
        namespace.wait(|| async move { inspect(&tun_name(), NUMBERS, inspection).await })
    };

    let found = gateway_at(&["198.51.100.9", "2001:db8::9"]).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].what,
        "this host has no route to gw.beta (198.51.100.9, 2001:db8::9)"
    );
    assert_eq!(found[0].name, "route peers");

    // A route to one of its addresses is enough.
    assert_eq!(gateway_at(&["2001:db8::9", "203.0.113.9"]).unwrap(), []);
    for kind in ["blackhole", "unreachable", "prohibit"] {
        namespace.ip(&format!("route add {kind} 203.0.113.9"));
        let found = gateway_at(&["203.0.113.9"]).unwrap();
        assert_eq!(found.len(), 1, "{kind}: {found:?}");
        namespace.ip("route del 203.0.113.9");
    }
    // What is unmarked goes elsewhere; the tunnel's packets bear our mark.
    namespace.ip(&format!(
        "rule add not fwmark {} priority 7 blackhole",
        NUMBERS.mark
    ));
    assert_eq!(gateway_at(&["203.0.113.9"]).unwrap(), []);
}

#[test]
fn rules_and_routes_of_other_programs_that_drop_packets_are_reported() {
    let namespace = gateway();
    let _tun = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    namespace.ip("route add 10.2.0.0/16 dev ringway0");
    assert_eq!(findings(&namespace, true), []);

    for action in ["blackhole", "unreachable", "prohibit"] {
        namespace.ip(&format!("rule add priority 512 to 10.2.0.0/16 {action}"));
        let found = findings(&namespace, true);
        assert_eq!(found.len(), 1, "{action}: {found:?}");
        assert!(found[0].what.contains("go nowhere"), "{found:?}");
        assert!(found[0].what.contains("ip rule 512"), "{found:?}");
        assert_eq!(findings(&namespace, false), [], "there is no tunnel");
        namespace.ip("rule del priority 512");

        namespace.ip("rule add priority 513 lookup 99");
        namespace.ip(&format!("route add {action} 10.2.0.0/16 table 99"));
        let found = findings(&namespace, true);
        assert_eq!(found.len(), 1, "{action} in a table: {found:?}");
        namespace.ip("route flush table 99");
        namespace.ip("rule del priority 513");
        assert_eq!(findings(&namespace, true), []);
    }
}

#[test]
fn foreign_routes_in_our_table_are_reported_with_a_remedy_that_works() {
    let namespace = gateway();
    let table = NUMBERS.table;
    let ours = NUMBERS.protocol;
    for route in [
        format!("unreachable 10.2.0.0/16 table {table} metric 4294967294 proto {ours}"),
        // Behind ours, and about nobody's prefix.
        format!("blackhole 10.2.0.0/16 table {table} metric 300"),
        format!("blackhole 10.77.0.0/16 table {table}"),
    ] {
        namespace.ip(&format!("route add {route}"));
    }
    assert_eq!(findings(&namespace, true), []);

    for route in ["blackhole 10.2.0.0/16 metric 1", "unreachable 10.2.3.0/24"] {
        namespace.ip(&format!("route add {route} table {table}"));
        let found = findings(&namespace, true);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].name, format!("route table {table}"));
        assert!(found[0].what.ends_with(route), "{found:?}");

        let remedy = found[0].remedy.to_string();
        let remedy = remedy.strip_prefix("ip ").unwrap();
        namespace.ip(remedy);
        assert_eq!(findings(&namespace, true), [], "{remedy}");
    }
}
