//! Virtual addresses: their lifetime, what is left alone, and who hears of them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_host::links::{self, SharedScope, Watch};
use ringway_host::virtual_address::announce::{AnnounceError, Announcer, Hardware};
use ringway_host::virtual_address::{Interface, VirtualAddresses};
use ringway_intent::Scope;

use crate::namespace::Namespace;
use crate::site::Site;
use crate::tun_name;

const INTERFACE: &str = "eth1";

/// Longer than an address lives without a renewal, and the kernel's look once a second.
const END: Duration = Duration::from_secs(6);

fn addresses() -> [IpAddr; 2] {
    ["10.1.0.250", "fd00:1::250"].map(|address| address.parse().unwrap())
}

/// What `ip` says of the virtual addresses.
fn shown(namespace: &Namespace) -> String {
    let all = namespace.ip(&format!("-oneline address show dev {INTERFACE}"));
    let lines = all.lines().filter(|line| line.contains("250/"));
    lines.collect::<Vec<_>>().join("\n")
}

async fn open() -> (VirtualAddresses, Interface) {
    let kernel = VirtualAddresses::open().unwrap();
    let interface = kernel.interface(INTERFACE).await.unwrap().unwrap();
    (kernel, interface)
}

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + END;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn addresses_live_as_long_as_they_are_renewed_and_end_by_themselves() {
    let site = Site::new();
    let gateway = &site.gateway;
    gateway.wait(|| async {
        let (kernel, interface) = open().await;
        let all: BTreeSet<IpAddr> = addresses().into();
        assert_eq!(
            kernel.renew(interface.index, &addresses()).await.unwrap(),
            all
        );

        // Twice their lifetime.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(4500) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let missing = kernel.renew(interface.index, &addresses()).await.unwrap();
            assert_eq!(missing, BTreeSet::new());
        }
        let text = shown(gateway);
        assert!(text.contains("inet 10.1.0.250/32 "), "{text}");
        assert!(text.contains("inet6 fd00:1::250/128 "), "{text}");
        assert!(
            !text.contains("tentative") && !text.contains("forever"),
            "{text}"
        );

        until("they end", || shown(gateway).is_empty()).await;
    });
    assert!(gateway.ip("address show").contains("10.1.0.1/24"));
}

#[test]
fn addresses_go_at_once_and_those_of_other_programs_stay() {
    let site = Site::new();
    let gateway = &site.gateway;
    gateway.wait(|| async {
        let (kernel, interface) = open().await;
        kernel.renew(interface.index, &addresses()).await.unwrap();
        let foreign = kernel.remove(interface.index, &addresses()).await.unwrap();
        assert_eq!(foreign, BTreeSet::new());
        assert_eq!(shown(gateway), "");
        kernel.remove(interface.index, &addresses()).await.unwrap();

        gateway.ip("address add 10.1.0.250/24 dev eth1");
        let foreign = kernel.remove(interface.index, &addresses()).await.unwrap();
        assert_eq!(foreign, [addresses()[0]].into());
        assert!(shown(gateway).contains("10.1.0.250/24"));
    });
}

#[test]
fn what_another_program_removes_is_missed_and_restored() {
    let site = Site::new();
    let gateway = &site.gateway;
    gateway.wait(|| async {
        let (kernel, interface) = open().await;
        kernel.renew(interface.index, &addresses()).await.unwrap();
        gateway.ip("address flush dev eth1 to 10.1.0.250/32");

        let missing = kernel.renew(interface.index, &addresses()).await.unwrap();
        assert_eq!(missing, [addresses()[0]].into());
        assert!(shown(gateway).contains("10.1.0.250/32"));
    });
}

#[test]
fn virtual_addresses_are_no_change_of_the_host() {
    let site = Site::new();
    let scope = Scope {
        own: vec!["10.1.0.0/16".parse().unwrap()],
        left_out: addresses().into(),
        ..Scope::default()
    };
    let gateway = &site.gateway;
    gateway.wait(|| async {
        let before = links::read(&tun_name(), &scope).await.unwrap();
        let shared = SharedScope::new(ArcSwap::new(Arc::new(scope.clone())));
        let mut watch = Watch::open(shared).unwrap();
        let (kernel, interface) = open().await;

        kernel.renew(interface.index, &addresses()).await.unwrap();
        kernel.renew(interface.index, &addresses()).await.unwrap();
        assert_eq!(links::read(&tun_name(), &scope).await.unwrap(), before);
        kernel.remove(interface.index, &addresses()).await.unwrap();

        // The notifications come in order: the first that is reported is this one.
        let pause = Duration::from_millis(300);
        let reported = tokio::time::timeout(pause, watch.change()).await;
        assert!(reported.is_err(), "a virtual address was reported");
        gateway.ip("address add 10.1.0.7/24 dev eth1");
        watch.change().await.unwrap();
    });
}

#[test]
fn hosts_follow_an_announcement_to_the_gateway_that_sends_it() {
    let site = Site::new();
    // Another gateway of the site, on the same link as far as the node can tell.
    for address in ["10.1.0.250", "fd00:1::250"] {
        let stale = format!("neigh replace {address} lladdr 02:00:00:00:00:09 dev eth0 nud stale");
        site.node.ip(&stale);
    }
    let gateway = &site.gateway;
    let node = &site.node;
    gateway.wait(|| async {
        let (kernel, interface) = open().await;
        kernel.renew(interface.index, &addresses()).await.unwrap();
        let announcer = Announcer::open(interface, &addresses()).unwrap();
        let ours = Hardware(interface.hardware.unwrap()).to_string();

        for address in addresses() {
            announcer.announce(address, INTERFACE).unwrap();
            let known = || node.ip(&format!("neigh show {address}")).contains(&ours);
            until("the node follows", known).await;
        }
        // Hosts drop a router that says it is none.
        let neighbour = node.ip("-6 neigh show fd00:1::250");
        assert!(neighbour.contains("router"), "{neighbour}");
    });
}

#[test]
fn a_probe_finds_another_owner_of_the_address_and_none_if_it_is_free() {
    let site = Site::new();
    let gateway = &site.gateway;
    let node = &site.node;
    gateway.wait(|| async {
        let (_, interface) = open().await;
        // What the node has is asked for last: its answers come last.
        let own = ["10.1.0.10", "fd00:1::10"].map(|own| own.parse::<IpAddr>().unwrap());
        let asked = [addresses(), own].concat();
        let announcer = Announcer::open(interface, &asked).unwrap();
        let mut found = BTreeSet::new();
        until("the node answers for its own", || {
            for address in &asked {
                announcer.probe(*address).unwrap();
            }
            found.extend(announcer.others(&asked).into_keys());
            found.len() >= own.len()
        })
        .await;
        assert_eq!(found, own.into());

        node.ip("address add 10.1.0.250/24 dev eth0");
        node.ip("address add fd00:1::250/64 dev eth0 nodad");
        let mut found = BTreeSet::new();
        until("both answer", || {
            for address in addresses() {
                announcer.probe(address).unwrap();
            }
            found.extend(announcer.others(&addresses()).into_keys());
            found.len() == 2
        })
        .await;
    });
}

#[test]
fn an_interface_that_is_no_ethernet_is_refused_and_one_that_is_missing_is_none() {
    let gateway = Namespace::new("gw");
    gateway.wait(|| async {
        let kernel = VirtualAddresses::open().unwrap();
        assert_eq!(kernel.interface("nowhere0").await.unwrap(), None);

        gateway.ip("tuntap add plain0 mode tun");
        let plain = kernel.interface("plain0").await.unwrap().unwrap();
        let refused = Announcer::open(plain, &addresses()).unwrap_err();
        assert!(matches!(refused, AnnounceError::NotEthernet), "{refused}");
    });
}
