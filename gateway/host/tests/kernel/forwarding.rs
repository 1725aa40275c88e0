//! Forwarding: switched on for the TUN and the site's interfaces, remembered, handed over, undone.

use std::fs;
use std::path::PathBuf;

use ringway_host::forwarding::Forwarding;

use crate::namespace::Namespace;
use crate::site::spec;

/// A gateway with a card in the site and one elsewhere, and a state directory.
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
        for nic in ["ringway0", "eth0", "eth1"] {
            host.namespace.nic(nic);
        }
        host.write("ipv4/ip_forward", "0");
        host
    }

    /// Enables as a daemon does that starts.
    fn enable(&self) -> (Forwarding, Vec<String>) {
        self.namespace.enter(|| {
            let mut forwarding = Forwarding::load(&self.memory);
            let restriction = forwarding.plan(&spec());
            forwarding.release();
            forwarding.enable();
            (forwarding, restriction.v4.into_iter().collect())
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

    /// All, elsewhere, the site, the TUN.
    fn settings(&self) -> [String; 4] {
        [
            "ipv4/ip_forward",
            "ipv4/conf/eth0/forwarding",
            "ipv4/conf/eth1/forwarding",
            "ipv4/conf/ringway0/forwarding",
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
fn only_the_tun_and_the_sites_interface_forward_and_undoing_stops_the_latter() {
    let host = Host::new();
    let (forwarding, restricted) = host.enable();
    assert_eq!(host.settings(), ["0", "0", "1", "1"]);
    assert_eq!(restricted, ["eth1"]);
    host.namespace.enter(|| forwarding.undo());
    assert_eq!(host.settings(), ["0", "0", "0", "1"]);
    assert!(!host.memory.exists());
}

#[test]
fn a_router_stays_a_router_and_is_not_restricted() {
    let host = Host::new();
    host.write("ipv4/ip_forward", "1");
    let (forwarding, restricted) = host.enable();
    assert!(restricted.is_empty());
    host.namespace.enter(|| forwarding.undo());
    assert_eq!(host.settings(), ["1", "1", "1", "1"]);
}

#[test]
fn forwarding_for_all_that_is_switched_on_later_belongs_to_another_program() {
    let host = Host::new();
    assert_eq!(host.enable().1, ["eth1"]);
    assert_eq!(host.enable().1, ["eth1"], "a restart knows it");

    host.write("ipv4/ip_forward", "1");
    let (forwarding, restricted) = host.enable();
    assert!(restricted.is_empty());
    host.namespace.enter(|| forwarding.undo());
    assert_eq!(host.settings(), ["1", "1", "1", "1"]);

    // As systems that reload their settings do.
    host.write("ipv4/ip_forward", "0");
    assert_eq!(host.enable().1, ["eth1"]);
    assert_eq!(host.settings(), ["0", "0", "1", "1"]);
}

#[test]
fn settings_changed_in_another_namespace_are_not_ours_here() {
    let host = Host::new();
    host.enable();
    let other = Host::new();
    other.write("ipv4/conf/eth1/forwarding", "1");
    fs::copy(&host.memory, &other.memory).unwrap();
    assert!(other.enable().1.is_empty());
}

#[test]
fn an_interface_that_is_gone_is_no_error_and_forwards_again_when_it_is_back() {
    let host = Host::new();
    host.enable();
    host.namespace.ip("link del eth1");
    assert!(host.enable().1.is_empty());
    host.namespace.nic("eth1");
    assert_eq!(host.enable().1, ["eth1"]);
    assert_eq!(host.settings(), ["0", "0", "1", "1"]);
}
