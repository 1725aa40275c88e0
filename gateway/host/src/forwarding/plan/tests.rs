use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;

/// Settings as the kernel couples them.
struct Host(RefCell<BTreeMap<String, String>>);

impl Settings for Host {
    fn read(&self, key: &str) -> Option<String> {
        self.0.borrow().get(key).cloned()
    }

    fn entries(&self, key: &str) -> Vec<String> {
        let prefix = format!("{key}/");
        let settings = self.0.borrow();
        let names = settings.keys().filter_map(|key| key.strip_prefix(&prefix));
        let first = names.filter_map(|rest| rest.split('/').next());
        first
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}

const INTERFACES: [&str; 4] = ["lan0", "lan1", "ringway0", "wan0"];

impl Host {
    /// Nothing forwards.
    fn new(has_force: bool) -> Host {
        let host = Host(RefCell::new(BTreeMap::new()));
        host.set(ALL_V4, "0");
        host.set(ALL_V6, "0");
        host.set(MARKED_SOURCES, "0");
        if has_force {
            host.set(&switch_v6("all"), "0");
        }
        for interface in INTERFACES {
            host.set(&switch_v4(interface), "0");
            host.set(&format!("net/ipv6/conf/{interface}/accept_ra"), "1");
            if has_force {
                host.set(&switch_v6(interface), "0");
            }
        }
        host
    }

    fn set(&self, key: &str, value: &str) {
        self.0.borrow_mut().insert(key.into(), value.into());
    }

    fn get(&self, key: &str) -> String {
        self.read(key).unwrap()
    }

    /// As `sysctl -w net.ipv4.ip_forward=...` does.
    fn router_v4(&self, value: &str) {
        if self.get(ALL_V4) != value {
            for interface in INTERFACES {
                self.set(&switch_v4(interface), value);
            }
        }
        self.set(ALL_V4, value);
    }

    /// Carries a plan out as `Forwarding` does.
    fn apply(&self, spec: &GuardSpec, recalled: &[Change]) -> Plan {
        let plan = plan(spec, recalled, self);
        for change in &plan.released {
            if self.get(&change.key) == change.after {
                self.set(&change.key, &change.before);
            }
        }
        for (key, value) in &plan.wanted {
            self.set(key, value);
        }
        plan
    }

    fn forwards_v4(&self) -> Vec<&str> {
        let on = INTERFACES.into_iter();
        on.filter(|name| self.get(&switch_v4(name)) == "1")
            .collect()
    }
}

fn spec(site: &[&str]) -> GuardSpec {
    GuardSpec {
        tun: "ringway0".parse().unwrap(),
        own: ["10.1.0.0/16", "fd00:1::/48"]
            .map(|prefix| prefix.parse().unwrap())
            .into(),
        site: site.iter().map(|name| (*name).to_owned()).collect(),
        ..crate::firewall::testing::spec()
    }
}

fn names(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

#[test]
fn only_the_tun_and_the_sites_interfaces_forward_and_the_switch_for_all_stays() {
    let host = Host::new(true);
    let plan = host.apply(&spec(&["lan0"]), &[]);

    assert_eq!(host.forwards_v4(), ["lan0", "ringway0"]);
    assert_eq!(
        (host.get(ALL_V4), host.get(ALL_V6)),
        ("0".into(), "0".into())
    );
    assert_eq!(host.get(&switch_v6("lan0")), "1");
    assert_eq!(host.get(&switch_v6("wan0")), "0");
    assert_eq!(host.get("net/ipv6/conf/wan0/accept_ra"), "1");
    assert_eq!(names(&plan.restriction.v4), ["lan0"]);
    assert_eq!(names(&plan.restriction.v6), ["lan0"]);
    assert!(!plan.restriction.everywhere_v6);
}

#[test]
fn interfaces_that_forwarded_before_are_not_restricted() {
    let host = Host::new(true);
    host.router_v4("1");
    host.set(ALL_V6, "1");
    let plan = host.apply(&spec(&["lan0"]), &[]);
    assert_eq!(plan.restriction, Restriction::default());
    assert_eq!(plan.changes, []);
    assert_eq!(host.get(&switch_v6("lan0")), "0", "not needed");
}

#[test]
fn forwarding_for_all_interfaces_belongs_to_the_program_that_switched_it_on() {
    let host = Host::new(true);
    let ours = host.apply(&spec(&["lan0"]), &[]);

    host.router_v4("1");
    host.set(ALL_V6, "1");
    let theirs = host.apply(&spec(&["lan0"]), &ours.changes);
    assert_eq!(theirs.restriction, Restriction::default());
    assert_eq!(theirs.changes, []);
    // Also when our interface is gone: it is a part of their router.
    let gone = plan(&spec(&[]), &ours.changes, &host);
    assert!(
        gone.released
            .iter()
            .all(|change| change.key.starts_with("net/ipv6"))
    );

    host.router_v4("0");
    host.set(ALL_V6, "0");
    let ours_again = host.apply(&spec(&["lan0"]), &theirs.changes);
    assert_eq!(host.forwards_v4(), ["lan0", "ringway0"]);
    assert_eq!(ours_again.restriction, ours.restriction);
}

#[test]
fn an_interface_that_did_not_forward_is_ours_until_a_router_switches_forwarding_on() {
    let host = Host::new(true);
    host.router_v4("1");
    host.set(&switch_v4("lan0"), "0");
    let first = host.apply(&spec(&["lan0"]), &[]);
    assert_eq!(names(&first.restriction.v4), ["lan0"]);

    host.router_v4("0");
    let second = host.apply(&spec(&["lan0"]), &first.changes);
    assert_eq!(names(&second.restriction.v4), ["lan0"]);
    host.router_v4("1");
    let third = host.apply(&spec(&["lan0"]), &second.changes);
    assert_eq!(names(&third.restriction.v4), [""; 0]);
}

#[test]
fn a_restart_knows_what_was_ours() {
    let host = Host::new(true);
    let first = host.apply(&spec(&["lan0"]), &[]);
    let again = host.apply(&spec(&["lan0"]), &first.changes);
    assert_eq!(again, first);
    // Without the memory, it would pass for the host's.
    assert_eq!(
        plan(&spec(&["lan0"]), &[], &host).restriction,
        Restriction::default()
    );
}

#[test]
fn an_interface_that_leaves_the_site_forwards_no_longer() {
    let host = Host::new(true);
    let first = host.apply(&spec(&["lan0", "lan1"]), &[]);
    assert_eq!(host.forwards_v4(), ["lan0", "lan1", "ringway0"]);
    let second = host.apply(&spec(&["lan1"]), &first.changes);
    assert_eq!(host.forwards_v4(), ["lan1", "ringway0"]);
    assert_eq!(names(&second.restriction.v4), ["lan1"]);
    assert_eq!(host.get(&switch_v6("lan0")), "0");
}

#[test]
fn without_ipv6_forwarding_per_interface_all_forward_restricted_and_accept_adverts() {
    let host = Host::new(false);
    let first = host.apply(&spec(&["lan0"]), &[]);
    assert_eq!(host.get(ALL_V6), "1");
    assert!(first.restriction.everywhere_v6);
    assert_eq!(names(&first.restriction.v6), ["lan0"]);
    assert_eq!(host.get("net/ipv6/conf/wan0/accept_ra"), "2");

    let again = host.apply(&spec(&["lan0"]), &first.changes);
    assert_eq!(again.restriction, first.restriction);
    assert_eq!(again.changes.len(), first.changes.len());

    let router = Host::new(false);
    router.set(ALL_V6, "1");
    let plan = router.apply(&spec(&["lan0"]), &[]);
    assert!(!plan.restriction.everywhere_v6);
    assert_eq!(
        router.get("net/ipv6/conf/wan0/accept_ra"),
        "1",
        "not ours to change"
    );
}

#[test]
fn marked_sources_are_asked_for_where_an_endpoint_needs_them_only() {
    let host = Host::new(true);
    host.apply(&spec(&["lan0"]), &[]);
    assert_eq!(host.get(MARKED_SOURCES), "0");

    let mut leased_line = spec(&["lan0"]);
    leased_line.marks_arrivals = true;
    let plan = host.apply(&leased_line, &[]);
    assert_eq!(host.get(MARKED_SOURCES), "1");
    host.apply(&spec(&["lan0"]), &plan.changes);
    assert_eq!(host.get(MARKED_SOURCES), "0");
}
