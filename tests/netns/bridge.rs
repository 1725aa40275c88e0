//! The site's network is a bridge on the gateway's host, and bridge netfilter hands its frames to
//! the packet filters (br_netfilter, as Docker and Kubernetes load it): hosts behind the bridge
//! reach each other and the mesh.
//!
//! ```text
//!   container (10.10.1.50) ──┐
//!   peer0.org1 ── … ── lan0 ─┴ br0 gw.org1 ═══ gw.org2 ── peer0.org2
//! ```

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::eventually;
use ringway_tests::{Container, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// Moves the site's addresses to a bridge, and switches bridge netfilter on. iptables' match
/// `physdev` loads the module.
const BRIDGE: &str = "
    ip link add br0 type bridge
    ip address flush dev lan0
    ip link set lan0 master br0
    ip address add 10.10.1.1/24 dev br0
    ip address add fd00:10:1::1/64 dev br0 nodad
    ip link set br0 up
    iptables -A FORWARD -m physdev --physdev-is-bridged -j ACCEPT
    iptables -D FORWARD -m physdev --physdev-is-bridged -j ACCEPT
    sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
    nft 'add table inet seen'
    nft 'add chain inet seen bridged { type filter hook forward priority -10; }'
    nft 'add rule inet seen bridged iifname br0 oifname br0 counter'";

#[test]
fn frames_between_hosts_behind_a_bridge_of_the_gateway_pass_the_guard() {
    let scene = Scene::new("bridge", RINGWAY);
    scene.sh(GATEWAY, BRIDGE);
    let host = Container::start(&scene, GATEWAY, "br0", "10.10.1.50/24", "10.10.1.1");
    host.sh(
        &scene,
        "ip address add fd00:10:1::50/64 dev eth0 nodad; \
                     ip route add default via fd00:10:1::1",
    );

    for address in ["10.10.1.11", "fd00:10:1::11"] {
        eventually("a neighbour behind the bridge", 5, || {
            host.reaches(&scene, address)
        });
    }
    let seen = scene.output(GATEWAY, "nft", &["list", "table", "inet", "seen"]);
    assert!(
        !seen.contains("packets 0 "),
        "frames do not meet the filters: {seen}"
    );

    for address in ["10.10.2.11", "fd00:10:2::11"] {
        eventually("a member's host", 5, || host.reaches(&scene, address));
    }
    for (family, to) in [
        (Family::V4, "10.10.1.50"),
        (Family::V4, "10.10.1.11"),
        (Family::V6, "fd00:10:1::50"),
    ] {
        let limit = Duration::from_secs(5);
        scene.ping_until("peer0.org2", to, family, &Outcome::Reply, limit);
    }

    assert_members_packets_are_bridged(&scene, &host);
    let filtered = &scene.status(GATEWAY)["filtered"];
    for reason in ["spoofed", "transit", "leak"] {
        assert!(filtered[reason].is_null(), "{filtered}");
    }
    scene.close();
}

/// What another gateway on the same network has taken out of its tunnel, or is about to put in, is
/// none of this gateway's business.
fn assert_members_packets_are_bridged(scene: &Scene, host: &Container) {
    host.sh(
        scene,
        "ip address add 10.10.2.77/32 dev eth0; ip route add 10.10.1.11 dev eth0 src 10.10.2.77",
    );
    scene.sh("peer0.org1", "ip route add 10.10.2.77/32 dev eth0");
    eventually("a packet with a member's source", 5, || {
        host.reaches(scene, "10.10.1.11")
    });
    scene.sh("peer0.org1", "ip route del 10.10.2.77/32 dev eth0");
}
