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

/// The findings about packets between eth0 and a member that a tunnel serves or not.
pub(crate) fn findings(namespace: &Namespace, is_tunnelled: bool) -> Vec<Finding> {
    let pair = HostPair {
        interface: "eth0".into(),
        host: "10.1.0.2".parse().unwrap(),
        remote: "10.2.0.1".parse().unwrap(),
        prefix: "10.2.0.0/16".parse().unwrap(),
        is_tunnelled,
    };
    findings_about(namespace, pair)
}

fn findings_v6(namespace: &Namespace) -> Vec<Finding> {
    let pair = HostPair {
        interface: "eth0".into(),
        host: "fd00:1::2".parse().unwrap(),
        remote: "fd00:2::1".parse().unwrap(),
        prefix: "fd00:2::/48".parse().unwrap(),
        is_tunnelled: true,
    };
    findings_about(namespace, pair)
}

fn findings_about(namespace: &Namespace, pair: HostPair) -> Vec<Finding> {
    let inspection = Inspection {
        pairs: vec![pair],
        site: ["eth0", "eth1"].map(str::to_owned).into(),
        skipped: 0,
        dns: vec!["10.1.0.1".parse().unwrap()],
        listen_port: 4600,
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

    for route in [
        "blackhole 10.2.0.0/16 metric 1",
        "unreachable 10.2.3.0/24",
        "unreachable 10.0.0.0/8",
    ] {
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

/// A gateway with a tunnel, the WAN at eth9, and both families.
fn gateway_at_wan() -> (Namespace, impl Sized) {
    let namespace = gateway();
    let tun = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let path = format!("/proc/sys/net/{key}");
        namespace.enter(|| fs::write(path, "1").unwrap());
    }
    namespace.nic("eth9");
    namespace.ip("addr add 203.0.113.5/24 dev eth9");
    namespace.ip("addr add 2001:db8::5/64 dev eth9 nodad");
    namespace.ip("addr add fd00:1::1/64 dev eth0 nodad");
    namespace.ip("route add 10.2.0.0/16 dev ringway0");
    namespace.ip("-6 route add fd00:2::/48 dev ringway0");
    (namespace, tun)
}

#[test]
fn rules_that_divert_packets_to_the_site_are_reported_and_the_remedies_help() {
    let (namespace, _tun) = gateway_at_wan();
    namespace.ip("route add default dev eth9 table 77");
    namespace.ip("-6 route add default dev eth9 table 77");
    assert_eq!(findings(&namespace, true), []);
    assert_eq!(findings_v6(&namespace), []);

    for (family, rule) in [
        ("", "from 10.2.0.0/16 lookup 77"),
        ("", "iif ringway0 lookup 77"),
        ("", "iif ringway0 blackhole"),
        ("", "from 10.2.0.0/16 unreachable"),
        ("-6", "from fd00:2::/48 lookup 77"),
        ("-6", "from fd00:2::/48 blackhole"),
    ] {
        // Before the rule for the members, and after it.
        for priority in [30, 32_000] {
            namespace.ip(&format!("{family} rule add priority {priority} {rule}"));
            let find = || match family {
                "" => findings(&namespace, true),
                _ => findings_v6(&namespace),
            };
            let found = find();
            assert_eq!(found.len(), 1, "{rule}: {found:?}");
            let what = &found[0].what;
            assert!(what.contains("to the site"), "{what}");
            assert!(what.contains(&format!("ip rule {priority} of")), "{what}");

            let remedy = found[0].remedy.to_string();
            assert_eq!(namespace.run(&remedy).0, 0, "{remedy}");
            assert_eq!(find(), [], "{rule}, after {remedy}");
            namespace.ip(&format!("{family} rule del priority {priority}"));
            namespace.ip(&format!("{family} rule del priority {}", priority - 1));
        }
    }
}

#[test]
fn routes_that_drop_packets_to_the_site_are_reported() {
    let (namespace, _tun) = gateway_at_wan();
    for (family, route) in [
        ("", "blackhole 10.1.0.0/25"),
        ("", "prohibit 10.1.0.2"),
        ("-6", "blackhole fd00:1::2/128"),
    ] {
        namespace.ip(&format!("{family} route add {route}"));
        let found = match family {
            "" => findings(&namespace, true),
            _ => findings_v6(&namespace),
        };
        assert_eq!(found.len(), 1, "{route}: {found:?}");
        assert!(
            found[0].what.contains("to the site go nowhere"),
            "{found:?}"
        );
        assert!(
            found[0].remedy.to_string().contains("iif ringway0"),
            "{found:?}"
        );
        namespace.ip(&format!("{family} route del {route}"));
    }
}

#[test]
fn a_blackhole_is_not_taken_for_the_reverse_path_check() {
    let (namespace, _tun) = gateway_at_wan();
    for key in ["all", "eth0", "ringway0"] {
        let path = format!("/proc/sys/net/ipv4/conf/{key}/rp_filter");
        namespace.enter(|| fs::write(path, "1").unwrap());
    }
    assert_eq!(findings(&namespace, true), []);

    namespace.ip("rule add priority 50 to 10.2.0.0/16 blackhole");
    let found = findings(&namespace, true);
    assert!(found[0].what.contains("go nowhere"), "{found:?}");
    assert!(found[0].what.contains("ip rule 50 of"), "{found:?}");
}

#[test]
fn a_rule_before_ours_is_reported_whatever_its_priority() {
    let (namespace, _tun) = gateway_at_wan();
    namespace.ip("route add default dev eth9 table 77");

    // Ours would come after it.
    namespace.ip("rule add priority 4600 to 10.2.0.0/16 lookup 77");
    let found = findings(&namespace, true);
    assert!(found[0].what.contains("ip rule 4600 of"), "{found:?}");
    assert!(
        found[0].remedy.to_string().contains("priority 4599"),
        "{found:?}"
    );
    namespace.ip("rule del priority 4600");

    namespace.ip("rule add priority 0 to 10.2.0.0/16 lookup 77");
    let found = findings(&namespace, true);
    assert!(found[0].what.contains("ip rule 0 of"), "{found:?}");
    assert!(
        found[0].remedy.to_string().contains("rule list priority 0"),
        "{found:?}"
    );
}
