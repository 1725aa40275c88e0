//! `ringway chaincode isolate`: chaincode on a bridge reaches its peer's port, and nothing else.
//!
//! ```text
//!   chaincode (172.17.0.3) ─┐
//!   another   (172.17.0.4) ─┼─ docker0 ── gw.org1, with the metadata service's addresses ── mesh
//!   peer      (172.17.0.2) ─┘                                                            └── wan
//! ```
//!
//! This kernel need not tell a frame's bridge: frames are known by the network's prefixes here.

use anyhow::ensure;
use ringway_tests::scene::eventually_ok;
use ringway_tests::{Background, Container, Scene};

use crate::RINGWAY;
use crate::docker::{DOCKER, OPEN};

const GATEWAY: &str = "gw.org1";

/// What the isolation is given.
const ISOLATE: &str = "--bridge docker0 --peer 172.17.0.2 --peer fd00:17::2 \
                       --network 172.17.0.0/16 --network fd00:17::/64";

/// The host answers at these, too. Members see the address of the site's interface: the first one
/// that the kernel finds.
const HOST: &str = "
    sysctl -qw net.ipv6.conf.all.forwarding=1
    ip link add cloud type bridge
    ip link set cloud up
    ip address add 169.254.169.254/32 dev cloud
    ip address add fd00:ec2::254/128 dev cloud nodad
    ip address add fd00:17::1/64 dev docker0 nodad
    nft 'add table ip6 nat'
    nft 'add chain ip6 nat out { type nat hook postrouting priority 100; }'
    nft 'add rule ip6 nat out ip6 saddr fd00:17::/64 oifname != docker0 masquerade'";

/// Prints what it reaches: by TCP, or the echo of a ping.
const REACHED: &str = "
    tcp() { timeout 1 bash -c \"exec 3<>/dev/tcp/$1/$2\" 2>/dev/null && echo \"$1 $2\"; }
    echoes() { ping -n -c 1 -W 1 $1 >/dev/null && echo $1; }
    for way in '172.17.0.2 7052' '172.17.0.2 7053' '172.17.0.4 7052' '172.17.0.1 80' \\
        'fd00:17::2 7052' 'fd00:17::2 7053' 'fd00:17::4 7052' \\
        '169.254.169.254 80' 'fd00:ec2::254 80'; do tcp $way & done
    for address in 172.17.0.2 172.17.0.4 172.17.0.1 203.0.113.5 10.10.1.11 10.10.2.11 \\
        fd00:10:2::11; do echoes $address & done
    wait";

/// Everything that [`REACHED`] tries.
const EVERYTHING: usize = 16;

#[test]
fn chaincode_reaches_its_peer_and_nothing_else() {
    let scene = Scene::new("isolation", RINGWAY);
    scene.sh(GATEWAY, DOCKER);
    scene.sh(GATEWAY, OPEN);
    scene.sh(GATEWAY, HOST);
    let [chaincode, another, peer] =
        [("chaincode", 3), ("another", 4), ("peer", 2)].map(on(&scene));
    let _servers = [
        peer.serve(&scene, "peer-7052", 7052),
        peer.serve(&scene, "peer-7053", 7053),
        another.serve(&scene, "another", 7052),
    ];
    let _host = Background::server(&scene, GATEWAY, 80, "iperf3", &["-s", "-p", "80"]);
    wait_for_everything(&scene, &chaincode);

    // Bridge netfilter shows frames to the other tables, too.
    for netfilter in [0, 1] {
        isolate(&scene, ISOLATE);
        let families = ["iptables", "ip6tables"];
        for call in families.map(|family| format!("net.bridge.bridge-nf-call-{family}")) {
            scene.sh(GATEWAY, &format!("sysctl -qw {call}={netfilter}"));
        }
        let ways = ["172.17.0.2 7052", "fd00:17::2 7052"];
        assert_eq!(reached(&scene, &chaincode), ways, "{netfilter}");
    }

    // Without one of its tables it is none.
    assert!(!doctor(&scene).contains("docker0 is not isolated"));
    scene.sh(GATEWAY, "nft delete table bridge ringway-chaincode-docker0");
    assert!(doctor(&scene).contains("docker0 is not isolated any more"));
    isolate(&scene, ISOLATE);
    assert!(!doctor(&scene).contains("docker0 is not isolated"));

    for _ in 0..2 {
        isolate(&scene, "--bridge docker0 --remove");
    }
    let tables = scene.output(GATEWAY, "nft", &["list", "tables"]);
    assert!(!tables.contains("chaincode"), "{tables}");
    wait_for_everything(&scene, &chaincode);
    scene.close();
}

/// A container on the bridge, with this name and the last part of its addresses.
fn on(scene: &Scene) -> impl Fn((&str, u8)) -> Container {
    move |(name, last)| {
        let address = format!("172.17.0.{last}/16");
        let container = Container::named(scene, GATEWAY, "docker0", name, &address, "172.17.0.1");

        let v6 = format!("ip address add fd00:17::{last}/64 dev eth0 nodad");
        container.sh(scene, &v6);
        container.sh(scene, "ip route add default via fd00:17::1");
        container
    }
}

fn wait_for_everything(scene: &Scene, container: &Container) {
    eventually_ok("everything to be reached", 20, || {
        let reached = reached(scene, container);
        ensure!(reached.len() == EVERYTHING, "{reached:?}");
        Ok(())
    });
}

/// What the container reaches, in order.
fn reached(scene: &Scene, container: &Container) -> Vec<String> {
    let printed = container.sh(scene, REACHED);
    let mut reached: Vec<String> = printed.lines().map(str::to_owned).collect();
    reached.sort();
    reached
}

fn isolate(scene: &Scene, arguments: &str) {
    scene.sh(GATEWAY, &format!("{RINGWAY} chaincode isolate {arguments}"));
}

fn doctor(scene: &Scene) -> String {
    let config = scene.config(GATEWAY);
    let config = config.to_str().expect("a path in UTF-8");
    scene.output_of_any_exit(GATEWAY, RINGWAY, &["doctor", "-c", config])
}
