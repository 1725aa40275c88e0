//! [`Guard::hold`]: the table is put back however it was changed, and follows who has switched
//! forwarding on.

use std::fs;
use std::path::PathBuf;

use ringway_host::firewall::DropReason;
use ringway_host::guard::Guard;
use ringway_host::watch::Authors;
use ringway_intent::{Checked, GuardSpec, Thing};

use crate::namespace::Namespace;
use crate::site::{Site, arrives, is_lost, spec};
use crate::tun_name;

const IP_FORWARD: &str = "net/ipv4/ip_forward";
const SITE_FORWARDS: &str = "net/ipv4/conf/eth1/forwarding";

/// The secure bit with which the programs of root are started without any capability
/// (capabilities(7), SECBIT_NOROOT).
const NO_ROOT: libc::c_ulong = 1;

/// A site, and a directory for what the guard remembers.
struct Scene {
    site: Site,
    memory: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let site = Site::new();
        let directory = std::env::temp_dir().join(site.gateway.name());
        fs::create_dir(&directory).unwrap();
        Scene {
            site,
            memory: directory.join("kernel-settings.json"),
        }
    }

    /// Another program's commands at the gateway.
    fn nft(&self, command: &str) {
        let (code, text) = self.site.gateway.run(&format!("nft {command}"));
        assert_eq!(code, 0, "{command}: {text}");
    }

    /// The table without its counts.
    fn table(&self) -> String {
        let (_, text) = self
            .site
            .gateway
            .run("nft --stateless list table inet ringway0");
        text
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.memory.parent().unwrap());
    }
}

/// What one look finds.
async fn look(guard: &mut Guard, leave: bool) -> Checked {
    let authors = Authors::new("ringway0", 4600);
    let mut checked = Checked::default();

    guard.hold(leave, &authors, &mut checked).await;
    checked
}

fn set(namespace: &Namespace, key: &str, value: &str) {
    namespace
        .enter(|| fs::write(format!("/proc/sys/{key}"), value))
        .unwrap();
}

fn read(namespace: &Namespace, key: &str) -> String {
    let value = namespace.enter(|| fs::read_to_string(format!("/proc/sys/{key}")));
    value.unwrap().trim().to_owned()
}

fn things(checked: &Checked) -> Vec<&str> {
    checked
        .restored
        .iter()
        .map(|one| one.thing.kind())
        .collect()
}

#[test]
fn a_table_that_was_changed_in_any_way_is_put_back() {
    let scene = Scene::new();
    let gateway = &scene.site.gateway;
    gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        assert_eq!(look(&mut guard, false).await, Checked::default());
        guard.apply(&spec()).await.unwrap();
        let right = scene.table();

        // Rule for rule, but one accepts what it dropped.
        let (_, rules) = gateway.run("nft --handle list chain inet ringway0 forward");
        let last = rules
            .lines()
            .rev()
            .find_map(|line| line.split_once("# handle "));
        let (_, handle) = last.expect("a rule");
        let replaced = format!("replace rule inet ringway0 forward handle {handle} accept");

        for command in [
            replaced.as_str(),
            "flush ruleset",
            "delete table inet ringway0",
            "flush chain inet ringway0 forward",
            "insert rule inet ringway0 forward accept",
            "delete element inet ringway0 members-v4 { 10.2.0.0/16 }",
            "add element inet ringway0 site { eth0 }",
            "add chain inet ringway0 input { policy drop ; }",
            "add table inet ringway0 { flags dormant ; }",
        ] {
            scene.nft(command);
            assert_ne!(scene.table(), right, "{command} changes nothing");
            let left = look(&mut guard, true).await;
            assert_eq!(left.restored, [], "{command}");
            assert_eq!(left.missing[0].thing, Thing::Table, "{command}");
            assert_ne!(scene.table(), right, "{command}: it is to be left alone");

            assert_eq!(things(&look(&mut guard, false).await), ["table"]);
            assert_eq!(scene.table(), right, "{command}");
            assert_eq!(look(&mut guard, false).await, Checked::default());
        }
    });
}

#[test]
fn what_the_table_counts_and_what_others_have_is_no_change() {
    let scene = Scene::new();
    let gateway = &scene.site.gateway;
    let inside = gateway.enter(|| std::net::UdpSocket::bind("10.1.0.1:4600"));
    let inside = inside.unwrap();
    gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        guard.apply(&spec()).await.unwrap();

        assert!(is_lost(&scene.site.remote, "10.2.0.2", &inside));
        assert!(guard.drops().await.unwrap()[&DropReason::TunnelPort] >= 1);
        scene.nft("add table inet others");
        scene.nft("add table ip ringway0");
        assert_eq!(look(&mut guard, false).await, Checked::default());
    });
}

#[test]
fn after_a_refused_change_the_rules_before_it_are_put_back() {
    let scene = Scene::new();
    scene.site.gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        guard.apply(&spec()).await.unwrap();
        let right = scene.table();

        let mut broken = spec();
        broken.site.insert("a name that is too long".into());
        guard.apply(&broken).await.unwrap_err();
        scene.nft("flush ruleset");
        assert_eq!(things(&look(&mut guard, false).await), ["table"]);
        assert_eq!(scene.table(), right);
    });
}

#[test]
fn the_restriction_applies_only_to_forwarding_that_we_switched_on() {
    let scene = Scene::new();
    let gateway = &scene.site.gateway;
    scene.site.forward("0");
    gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        guard.apply(&spec()).await.unwrap();
        assert!(scene.table().contains("restricted-v4"));
        assert_eq!(read(gateway, SITE_FORWARDS), "1");
        assert_eq!(look(&mut guard, false).await, Checked::default());

        // As a container engine does: it is theirs now.
        set(gateway, IP_FORWARD, "1");
        assert_eq!(look(&mut guard, false).await, Checked::default());
        assert!(!scene.table().contains("restricted-v4"));

        // As a reload of sysctl.conf does: ours, and restricted before it is on again.
        set(gateway, IP_FORWARD, "0");
        assert_eq!(things(&look(&mut guard, true).await), [""; 0]);
        assert!(!scene.table().contains("restricted-v4"), "to be left alone");
        let restored = look(&mut guard, false).await;
        assert!(things(&restored).contains(&"setting"), "{restored:?}");
        assert!(scene.table().contains("restricted-v4"));
        assert_eq!(read(gateway, SITE_FORWARDS), "1");
        assert_eq!(look(&mut guard, false).await, Checked::default());

        guard.remove().await.unwrap();
        assert_eq!(read(gateway, SITE_FORWARDS), "0");
    });
}

#[test]
fn an_interface_that_has_left_the_site_forwards_no_longer() {
    let scene = Scene::new();
    let gateway = &scene.site.gateway;
    scene.site.forward("0");
    let elsewhere = GuardSpec {
        site: [].into(),
        ..spec()
    };
    gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        guard.apply(&spec()).await.unwrap();
        assert_eq!(read(gateway, SITE_FORWARDS), "1");
        guard.apply(&elsewhere).await.unwrap();
        assert_eq!(read(gateway, SITE_FORWARDS), "0");
        assert_eq!(look(&mut guard, false).await, Checked::default());
    });
}

#[test]
fn without_the_restriction_that_it_needs_the_table_counts_as_missing() {
    let scene = Scene::new();
    let gateway = &scene.site.gateway;
    gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        guard.apply(&spec()).await.unwrap();
        assert!(!scene.table().contains("restricted-v4"), "a router");

        set(gateway, IP_FORWARD, "0");
        start_programs_as(NO_ROOT);
        for _ in 0..2 {
            let checked = look(&mut guard, false).await;
            assert_eq!(checked.missing.len(), 1, "{checked:?}");
            assert_eq!(checked.missing[0].thing, Thing::Table);
        }
        start_programs_as(0);
        assert_eq!(look(&mut guard, false).await.missing, []);
        assert!(scene.table().contains("restricted-v4"));
    });
}

/// Sets the secure bits of the calling thread, which the programs that it starts inherit.
fn start_programs_as(bits: libc::c_ulong) {
    // SAFETY: prctl(2) with PR_SET_SECUREBITS reads one number.
    let result = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn removing_takes_back_what_nobody_else_has_changed() {
    let scene = Scene::new();
    let gateway = &scene.site.gateway;
    scene.site.forward("0");
    let leased_line = GuardSpec {
        marks_arrivals: true,
        ..spec()
    };
    let marked = "net/ipv4/conf/all/src_valid_mark";
    gateway.wait(|| async {
        let mut guard = Guard::new(&tun_name(), &scene.memory);
        guard.apply(&leased_line).await.unwrap();
        assert_eq!(read(gateway, marked), "1");

        // What is not ours any more has another value.
        set(gateway, marked, "2");
        Guard::new(&tun_name(), &scene.memory)
            .remove()
            .await
            .unwrap();
        assert_eq!(read(gateway, marked), "2");
        assert_eq!(read(gateway, SITE_FORWARDS), "0");
        assert_eq!(gateway.run("nft list tables").1, "");
        assert!(!scene.memory.exists());
    });

    let node = gateway.enter(|| std::net::UdpSocket::bind("10.1.0.1:9"));
    assert!(arrives(&scene.site.node, "10.1.0.10", &node.unwrap()));
}
