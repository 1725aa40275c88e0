//! Forwarding: switched on, remembered, guarded, restored.

use std::fs;
use std::path::PathBuf;

use ringway_host::forwarding::Forwarding;
use ringway_intent::Families;

use crate::namespace::Namespace;

const BOTH: Families = Families { v4: true, v6: true };
const NONE: Families = Families {
    v4: false,
    v6: false,
};

/// A gateway with one interface that accepts router advertisements, and a state directory.
struct Host {
    namespace: Namespace,
    memory: PathBuf,
}

impl Host {
    fn new() -> Host {
        let namespace = Namespace::new("gw");
        let directory = std::env::temp_dir().join(namespace.name());
        let host = Host {
            namespace,
            memory: directory.join("forwarding.json"),
        };
        fs::create_dir(&directory).unwrap();
        host.namespace.nic("eth0");
        host.write("ipv4/ip_forward", "0");
        host.write("ipv6/conf/eth0/accept_ra", "1");
        host
    }

    fn enable(&self, needed: Families) -> Forwarding {
        self.namespace.enter(|| {
            let forwarding = Forwarding::prepare(needed, &self.memory).unwrap();
            forwarding.enable().unwrap();
            forwarding
        })
    }

    fn read(&self, key: &str) -> String {
        let value = self
            .namespace
            .enter(|| fs::read_to_string(format!("/proc/sys/net/{key}")));
        value.unwrap().trim().to_owned()
    }

    fn write(&self, key: &str, value: &str) {
        self.namespace
            .enter(|| fs::write(format!("/proc/sys/net/{key}"), value))
            .unwrap();
    }

    fn settings(&self) -> [String; 3] {
        [
            "ipv4/ip_forward",
            "ipv6/conf/all/forwarding",
            "ipv6/conf/eth0/accept_ra",
        ]
        .map(|key| self.read(key))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.memory.parent().unwrap());
    }
}

#[test]
fn forwarding_is_switched_on_keeps_router_advertisements_and_is_restored() {
    let host = Host::new();
    let forwarding = host.enable(BOTH);
    assert_eq!(host.settings(), ["1", "1", "2"]);
    assert_eq!(forwarding.ours(), BOTH);
    host.namespace.enter(|| forwarding.restore()).unwrap();
    assert_eq!(host.settings(), ["0", "0", "1"]);
    assert!(!host.memory.exists());
}

#[test]
fn a_router_stays_a_router_and_is_not_guarded() {
    let host = Host::new();
    host.write("ipv4/ip_forward", "1");
    let forwarding = host.enable(BOTH);
    assert_eq!(
        forwarding.ours(),
        Families {
            v4: false,
            v6: true
        }
    );
    host.namespace.enter(|| forwarding.restore()).unwrap();
    assert_eq!(host.settings(), ["1", "0", "1"]);
}

#[test]
fn preparing_changes_nothing_yet() {
    let host = Host::new();
    let forwarding = host
        .namespace
        .enter(|| Forwarding::prepare(BOTH, &host.memory))
        .unwrap();
    assert_eq!(forwarding.ours(), BOTH);
    assert_eq!(host.settings(), ["0", "0", "1"]);
}

#[test]
fn only_the_families_of_the_site_are_switched_on() {
    let host = Host::new();
    assert_eq!(
        host.enable(Families {
            v4: true,
            v6: false
        })
        .ours(),
        Families {
            v4: true,
            v6: false
        }
    );
    assert_eq!(host.settings(), ["1", "0", "1"]);
}

#[test]
fn a_killed_daemon_knows_its_forwarding_again_but_not_in_another_namespace() {
    let host = Host::new();
    drop(host.enable(BOTH));
    let again = host.enable(BOTH);
    assert_eq!(again.ours(), BOTH);

    let other = Host::new();
    other.write("ipv4/ip_forward", "1");
    other.write("ipv6/conf/all/forwarding", "1");
    fs::copy(&host.memory, &other.memory).unwrap();
    assert_eq!(other.enable(BOTH).ours(), NONE);

    host.namespace.enter(|| again.restore()).unwrap();
    assert_eq!(host.settings(), ["0", "0", "1"]);
}

#[test]
fn an_interface_that_is_gone_is_no_error() {
    let host = Host::new();
    drop(host.enable(BOTH));
    host.namespace.ip("link del eth0");
    let again = host.enable(BOTH);
    host.namespace.enter(|| again.restore()).unwrap();
    assert_eq!(host.read("ipv4/ip_forward"), "0");
}

#[test]
fn what_somebody_else_changed_since_is_left_alone() {
    let host = Host::new();
    let forwarding = host.enable(BOTH);
    host.write("ipv6/conf/eth0/accept_ra", "0");
    host.namespace.enter(|| forwarding.restore()).unwrap();
    assert_eq!(host.settings(), ["0", "0", "0"]);
}
