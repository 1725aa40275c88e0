//! A gateway with two attached nodes and a sibling: which pairs of addresses pass out of a tunnel
//! and into one, beside a model of lists and loops.
//!
//! ```text
//!  0 ours         10.1/16, 10.21/16       the gateway's site, and one that is served via it
//!  1 beta         10.2/16, 10.1.128/24    nested in ours
//!  2 node         10.1.77/24, 10.1.128.9  nested in ours, and in beta's
//!  3 node         10.21/16                exactly one that is served here
//! ```
//! Likewise in IPv6.

use std::net::IpAddr;
use std::sync::Arc;

use ringway_dataplane::*;

use crate::craft::{Crafted, Rng, address_in, packet};
use crate::model::{NEVER, Net};

const OURS: u32 = 0;
const BETA: u32 = 1;
const NODES: [u32; 2] = [2, 3];

const HELD: [(&str, u32); 12] = [
    ("10.1.0.0/16", OURS),
    ("10.21.0.0/16", OURS),
    ("10.2.0.0/16", BETA),
    ("10.1.128.0/24", BETA),
    ("10.1.77.0/24", 2),
    ("10.1.128.9/32", 2),
    ("fd00:1::/32", OURS),
    ("fd00:21::/32", OURS),
    ("fd00:2::/32", BETA),
    ("fd00:1:8000::/48", BETA),
    ("fd00:1:77::/48", 2),
    ("fd00:1:8000::9/128", 2),
];
/// As [`HELD`], where the gateway's site has them, too.
const ALIKE: [(&str, u32); 2] = [("10.21.0.0/16", 3), ("fd00:21::/32", 3)];

/// Nobody's, and what no tunnel carries.
const OTHERS: &str = "10.9.0.0/16 fd00:9::/32";

/// Packets of each kind.
const PACKETS: usize = 100_000;

fn holder(address: IpAddr) -> Option<u32> {
    let nodes = ALIKE.iter();
    let mut best: Option<(u32, u32)> = None;
    for (text, site) in HELD.iter().chain(nodes) {
        let net = Net::new(text);
        if net.holds(address) && best.is_none_or(|(len, _)| len <= net.len) {
            best = Some((net.len, *site));
        }
    }
    best.map(|(_, site)| site)
}

fn is_never(address: IpAddr) -> bool {
    NEVER
        .split_whitespace()
        .any(|text| Net::new(text).holds(address))
}

/// Whether a packet that `from` has sealed is taken.
fn admits(from: u32, crafted: &Crafted, is_open: bool) -> bool {
    let (Some(source), Some(destination)) = (holder(crafted.source), holder(crafted.destination))
    else {
        return false;
    };
    if is_never(crafted.source) || is_never(crafted.destination) {
        return false;
    }

    let is_to_node = NODES.contains(&destination);
    match from {
        // A sibling: its own site's, and what it passes on to a node, or from one of our hosts to
        // a site that we have a tunnel to.
        OURS if is_to_node => !NODES.contains(&source),
        OURS if destination == BETA => source == OURS || NODES.contains(&source),
        OURS => source == OURS && destination == OURS,
        BETA => source == BETA && (destination == OURS || is_to_node),
        node => source == node && (!is_to_node || is_open),
    }
}

/// Whether a packet that the kernel has routed to the TUN device goes into a tunnel.
fn routes(crafted: &Crafted, is_open: bool) -> bool {
    let (Some(source), Some(destination)) = (holder(crafted.source), holder(crafted.destination))
    else {
        return false;
    };
    if is_never(crafted.source) || is_never(crafted.destination) || destination == OURS {
        return false;
    }

    let is_to_node = NODES.contains(&destination);
    match source {
        OURS => true,
        BETA => is_to_node,
        _ => !is_to_node || is_open,
    }
}

fn snapshot(is_open: bool) -> Snapshot {
    let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
    let secret = Secret::new([7; 48]);
    let peer = Arc::new(Peer::new());
    let session = Arc::new(Outgoing::new(9, Aead::Aes128Gcm, &secret, path, peer));
    let mut builder = SnapshotBuilder::new(SiteNo(OURS));
    for (text, site) in HELD {
        let prefix = text.parse().unwrap();
        match site {
            OURS => _ = builder.site_prefix(prefix),
            BETA => _ = builder.authorize(prefix, SiteNo(site)),
            _ => {}
        }
    }
    for (text, site) in HELD.iter().chain(&ALIKE) {
        let prefix = text.parse().unwrap();
        if NODES.contains(site) {
            builder.node_prefix(prefix, SiteNo(*site));
        }
        if *site != OURS {
            builder.route(prefix, session.clone());
        }
    }
    if is_open {
        builder.let_nodes_reach_each_other();
    }
    builder.build()
}

fn any(v6: bool, rng: &mut Rng) -> IpAddr {
    let held = HELD.iter().map(|(text, _)| *text);
    let all: Vec<Net> = held
        .chain(OTHERS.split_whitespace())
        .chain(NEVER.split_whitespace())
        .map(Net::new)
        .filter(|net| net.first.is_ipv6() == v6)
        .collect();
    address_in(rng.pick(&all), rng)
}

#[test]
fn only_the_pairs_of_the_table_pass_with_attached_nodes() {
    let mut rng = Rng::new(0x0a77);
    let mut passed = 0;
    for is_open in [false, true] {
        let snapshot = snapshot(is_open);
        for number in 0..PACKETS {
            let v6 = number % 2 == 1;
            let (source, destination) = (any(v6, &mut rng), any(v6, &mut rng));
            let crafted = packet(source, destination, 17, &[], 16);

            for from in [OURS, BETA, NODES[0], NODES[1]] {
                let admitted = admit(&snapshot, SiteNo(from), &crafted.packet).is_ok();
                let expected = admits(from, &crafted, is_open);
                assert_eq!(admitted, expected, "{from}, {is_open}: {crafted:?}");
                passed += usize::from(admitted);
            }
            let routed = route(&snapshot, &crafted.packet).is_ok();
            assert_eq!(routed, routes(&crafted, is_open), "{is_open}: {crafted:?}");
            passed += usize::from(routed);
        }
    }
    assert!(passed > PACKETS / 4, "{passed} passed");
}
