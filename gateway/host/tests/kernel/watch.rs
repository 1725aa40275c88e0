//! What others change of what the daemon holds, and what of theirs is in the way.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use ringway_config::Routes as Numbers;
use ringway_host::sysctl::Setting;
use ringway_host::tun::open_tun;
use ringway_host::watch::{Held, inquire};
use ringway_intent::{Checked, Finding, Inquiry, Thing, Way};

use crate::namespace::Namespace;
use crate::tun_name;

const FORWARDING: &str = "net/ipv4/conf/eth0/forwarding";

const NUMBERS: Numbers = Numbers {
    table: 4600,
    protocol: 146,
    mark: 7,
};

/// A gateway with one interface of its site that forwards, and a device.
fn gateway() -> Namespace {
    let namespace = Namespace::new("gw");
    namespace.nic("eth0");
    namespace.ip("addr add 10.1.0.1/24 dev eth0");

    namespace.enter(|| set("1"));
    namespace
}

fn set(value: &str) {
    fs::write(format!("/proc/sys/{FORWARDING}"), value).unwrap();
}

fn forwards() -> bool {
    let value = fs::read_to_string(format!("/proc/sys/{FORWARDING}"));

    value.unwrap().trim() == "1"
}

async fn check(held: &mut Held, leave: &[Thing]) -> Checked {
    let leave = BTreeSet::from_iter(leave.iter().cloned());
    let mut checked = Checked::default();

    held.check(&leave, &mut checked).await;
    checked
}

#[test]
fn device_and_settings_are_restored_and_what_is_left_is_reported() {
    let namespace = gateway();
    let (_tun, index) = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    let meddle = || {
        namespace.ip("link set ringway0 mtu 1200");
        namespace.ip("link set ringway0 group 0");
        namespace.ip("link set ringway0 txqueuelen 0");
        set("0");
    };
    let setting = Setting {
        key: FORWARDING.into(),
        value: "1".into(),
        is_closable: true,
    };

    namespace.wait(|| async {
        let index = Arc::new(index.into());
        // Such as nobody has been able to set, where /proc/sys is read-only: of the device's
        // settings it was said at the start, and forwarding does not work without its own.
        let never_right = Setting {
            key: "kernel/ostype".into(),
            value: "other".into(),
            is_closable: false,
        };
        let of_device = vec![never_right.clone()];
        let mut held = Held::open("ringway0", index, 1440, of_device).unwrap();
        held.set_forwarding(vec![never_right]);
        assert!(!check(&mut held, &[]).await.missing.is_empty());
        held.set_forwarding(vec![setting]);
        let right = Checked {
            forwards_for_us: true,
            ..Checked::default()
        };
        assert_eq!(check(&mut held, &[]).await, right);

        meddle();
        let restored = check(&mut held, &[]).await.restored;
        let kinds: Vec<_> = restored.iter().map(|one| one.thing.kind()).collect();
        assert_eq!(kinds, ["mtu", "group", "queue", "setting"]);
        assert!(forwards());
        let link = namespace.ip("link show ringway0");
        for part in ["mtu 1440", "group 1381450073", "qlen 1000"] {
            assert!(link.contains(part), "{part} is not in {link}");
        }

        meddle();
        let checked = check(&mut held, &[Thing::Mtu]).await;
        assert_eq!(checked.missing[0].thing, Thing::Mtu);
        assert_eq!(checked.restored.len(), 3);
        set("0");
        let left = Thing::Setting(FORWARDING.replace('/', "."));
        let checked = check(&mut held, &[Thing::Mtu, left]).await;
        assert_eq!(checked.missing.len(), 2);
        assert!(!forwards());

        // Closed on purpose: no look opens it.
        held.switch_forwarding(false);
        assert!(check(&mut held, &[Thing::Mtu]).await.restored.is_empty());
        assert!(!forwards());
        held.switch_forwarding(true);
        assert!(forwards());
    });
}

#[test]
fn a_host_that_the_reverse_path_check_drops_is_found() {
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

/// What is found about the way from eth0 to a member, which a tunnel serves or not.
fn findings(namespace: &Namespace, is_tunnelled: bool) -> Vec<Finding> {
    let inquiry = Inquiry {
        ways: vec![Way {
            interface: "eth0".into(),
            host: "10.1.0.2".parse().unwrap(),
            remote: "10.2.0.1".parse().unwrap(),
            prefix: "10.2.0.0/16".parse().unwrap(),
            is_tunnelled,
        }],
        unasked: 0,
        dns: vec!["10.1.0.1".parse().unwrap()],
        tunnel_port: Some(4600),
        outside: ["eth9".to_owned()].into(),
        dialled_ports: [4600, 4700].into(),
        ports: [7051].into(),
    };

    namespace
        .wait(|| async move { inquire(&tun_name(), NUMBERS, inquiry).await })
        .unwrap()
}

#[test]
fn a_route_that_leads_elsewhere_is_found_with_the_rule_that_is_guilty() {
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
fn rules_and_routes_of_others_that_lead_nowhere_are_found() {
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
fn routes_of_others_in_our_table_are_found_and_the_remedy_removes_them() {
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

#[test]
fn chains_that_drop_are_found_and_the_remedies_open_them() {
    let namespace = gateway();
    for (ruleset, name) in [
        (
            "table inet a { chain f { type filter hook forward priority 0; policy drop;
                ct state vmap { established : accept, invalid : drop }; }
            }",
            "foreign filter inet a f",
        ),
        (
            "table ip b { chain f { type filter hook forward priority 0;
                ip daddr 10.2.0.0/16 counter drop; }
            }",
            "foreign filter ip b f",
        ),
        (
            "table inet c { chain i { type filter hook input priority 0; policy drop;
                ct state established,related accept; iifname { lo, eth9 } accept; }
            }",
            "foreign filter inet c i",
        ),
        (
            "table inet d { chain i { type filter hook input priority 0; policy drop;
                iifname eth0 accept; }
            }",
            "foreign filter inet d i",
        ),
        (
            "table inet e { set bogons { type ipv4_addr; flags interval;
                elements = { 10.0.0.0/8, 172.16.0.0/12 }; }
              chain f { type filter hook forward priority 0; ip daddr @bogons drop; }
            }",
            "foreign filter inet e f",
        ),
        (
            "table ip f { chain p { type filter hook prerouting priority raw; policy drop;
                iifname lo accept; }
            }",
            "foreign filter ip f p",
        ),
        (
            "table inet g { chain o { type filter hook output priority 0; policy drop;
                oifname lo accept; udp dport 123 accept; }
            }",
            "foreign filter inet g o",
        ),
        (
            "table ip h { chain p { type filter hook postrouting priority 0;
                oifname != { eth7, lo } drop; }
            }",
            "foreign filter ip h p",
        ),
        (
            "table ip i { set known { type ipv4_addr; elements = { 192.0.2.1 }; }
              chain f { type filter hook forward priority 0; ip saddr != @known drop; }
            }",
            "foreign filter ip i f",
        ),
    ] {
        nft(&namespace, ruleset);
        let found = findings(&namespace, false);
        assert_eq!(found.len(), 1, "{ruleset}: {found:?}");
        assert_eq!(found[0].name, name);

        // Each remedy may show the next packet that is dropped.
        for _ in 0..3 {
            for finding in findings(&namespace, false) {
                nft(
                    &namespace,
                    &finding
                        .remedy
                        .to_string()
                        .replace("nft ", "")
                        .replace(" && ", "\n"),
                );
            }
        }
        assert_eq!(findings(&namespace, false), [], "{ruleset}");
        nft(&namespace, "flush ruleset");
    }
}

#[test]
fn chains_that_may_accept_are_no_finding() {
    let namespace = gateway();
    for rules in [
        "policy drop; iifname \"eth*\" accept; oifname \"eth*\" accept;",
        "policy drop; iif eth0 accept; ct state established accept;",
        "policy drop; meta mark 5 accept;",
        "policy drop; ip saddr @known accept;",
        "policy accept; iifname \"docker0\" drop;",
        "policy accept; limit rate 5/second drop;",
        "policy accept; ip saddr != { 10.0.0.0/8, 192.0.2.1 } drop;",
    ] {
        let set = "set known { type ipv4_addr; flags interval; }";
        let chain = format!("chain f {{ type filter hook forward priority 0; {rules} }}");
        nft(&namespace, &format!("table inet a {{\n{set}\n{chain}\n}}"));
        assert_eq!(findings(&namespace, false), [], "{rules}");
        nft(&namespace, "flush ruleset");
    }
}

fn nft(namespace: &Namespace, commands: &str) {
    let path = std::env::temp_dir().join(namespace.name());
    fs::write(&path, commands).unwrap();

    let (code, text) = namespace.run(&format!("nft -f {}", path.display()));
    let _ = fs::remove_file(&path);
    assert_eq!(code, 0, "{commands}: {text}");
}
