//! `ringway recipe ipsec` with strongSwan at both ends: a data centre's host reaches another
//! organization's host by name and is reached, through the gateway and IPsec; of two tunnels one
//! fails; keys are replaced; and without any tunnel the data centre is not announced.
//!
//! ```text
//!   orderer0.org0 ── gw.org0 ═══ WAN ═══ gw.org1, charon ┄┄ 2 × IPsec ┄┄ charon ── 10.20.1.11
//!                                        gw.org1 ── peer1.org1, charon ┄┄ 2 × IPsec ┄┄ ┘
//! ```
//! In the second test peer1.org1 stands for the VPN gateway of org1's cloud.

use std::path::PathBuf;

use ringway_lab::ping::Outcome;
use ringway_lab::program;
use ringway_tests::Scene;
use ringway_tests::charon::Charon;
use ringway_tests::scene::{append, eventually};
use ringway_tests::vpn::{HOST as IDC, PEERS, UPLINK, Vpn};

use crate::RINGWAY;
use crate::announce::{ANNOUNCE, said, through};
use crate::via::{ADDRESS, AT_ORG1, HOST, change, ping};

const GATEWAY: &str = "gw.org1";
const PREFIX: &str = "10.20.1.0/24";

/// The address of gw.org1 in the WAN, as its record has it.
const PUBLIC: &str = "203.0.113.6";

/// The cloud's VPN gateway, and its address in the VPC.
const CLOUD: &str = "peer1.org1";
const IN_THE_VPC: &str = "10.10.1.12";

/// The recipe with these options, for the device's addresses.
fn recipe(scene: &Scene, options: &[&str]) -> String {
    let mut arguments = vec!["recipe", "ipsec"];
    arguments.extend(PEERS.iter().flat_map(|peer| ["--peer", peer]));
    arguments.extend(options);
    let printed = program::output(&mut scene.ringway(GATEWAY, &arguments));
    printed.unwrap_or_else(|error| panic!("{error:#}"))
}

fn directory(scene: &Scene, name: &str) -> PathBuf {
    scene.topology().dir().join(name)
}

/// The data centre's record and rules. Nothing leads there yet.
fn connect(scene: &Scene, node: &str) -> Vpn {
    let vpn = Vpn::connect(scene, node);
    append(&scene.config(GATEWAY), AT_ORG1);
    let site = format!("idc={PREFIX}");
    change(scene, GATEWAY, &["site", "add", &site, "--via", "vpc"]);
    vpn
}

fn wait_until_claimed(scene: &Scene, gateway: Option<&str>) {
    eventually(&format!("{gateway:?} for {PREFIX}"), 30, || {
        through(scene, PREFIX).as_str() == gateway
    });
}

fn has_both(charon: &Charon, names: &[String; 2]) -> bool {
    names.iter().all(|name| charon.has(name))
}

#[test]
fn strongswan_on_the_gateways_host_brings_a_data_centre_to_the_members() {
    let scene = Scene::new("ipsec", RINGWAY);
    let vpn = connect(&scene, "wan");
    append(&scene.config(GATEWAY), ANNOUNCE);
    let add = ["dns", "add", "db=10.20.1.11"];
    program::output(&mut scene.ringway(GATEWAY, &add)).expect("a sound name");
    scene.reload(GATEWAY);
    wait_until_claimed(&scene, None);

    let there = recipe(&scene, &["--form", "strongswan"]);
    let _there = Charon::start(vpn.device(), &directory(&scene, "there"), &there);
    let here = recipe(&scene, &[]);
    let node = scene.node(GATEWAY).expect("a gateway of the laboratory");
    let charon = Charon::start(&node.netns, &directory(&scene, "here"), &here);
    let tunnels = ["idc-1", "idc-2"].map(str::to_owned);
    eventually("both tunnels", 20, || has_both(&charon, &tunnels));
    wait_until_claimed(&scene, Some(GATEWAY));

    by_name(&scene, &vpn);
    one_fails(&scene, &vpn, &charon, &tunnels);
    keys_are_replaced(&vpn, &charon, &tunnels);
    both_fail(&scene, &vpn, &charon, &tunnels);

    scene.assert_no_leaks();
    drop((charon, vpn));
    scene.close();
}

/// Both directions, by the names that the gateways answer.
fn by_name(scene: &Scene, vpn: &Vpn) {
    let name = format!("{HOST}.consortium.example");
    let found = vpn.inside(&format!("dig +short +tries=1 @10.10.1.1 {name} A"));
    assert_eq!(found.trim(), ADDRESS);
    assert!(vpn.pings(found.trim()));

    eventually("the data centre's name", 10, || {
        let ping = ["-c", "1", "-W", "1", "db.org1.consortium.example"];
        scene
            .output_of_any_exit(HOST, "ping", &ping)
            .contains(" 0% packet loss")
    });
}

/// Each tunnel falls silent in turn: the other one carries, and the claim stays.
fn one_fails(scene: &Scene, vpn: &Vpn, charon: &Charon, tunnels: &[String; 2]) {
    for (peer, tunnel) in PEERS.iter().zip(tunnels) {
        vpn.lose(&[peer]);
        eventually("the end of the tunnel by DPD", 20, || !charon.has(tunnel));
        ping(scene, IDC, &Outcome::Reply);
        assert!(vpn.pings(ADDRESS));
        assert_eq!(through(scene, PREFIX), GATEWAY);
        assert_eq!(said(scene), [""; 0]);

        vpn.lose(&[]);
        eventually("both tunnels", 30, || has_both(charon, tunnels));
    }
}

/// New keys of both SAs, while packets flow.
fn keys_are_replaced(vpn: &Vpn, charon: &Charon, tunnels: &[String; 2]) {
    for tunnel in tunnels {
        let before = charon.keys(tunnel);
        charon.swanctl(&["--rekey", "--child", tunnel]);
        charon.swanctl(&["--rekey", "--ike", tunnel]);
        eventually("other keys", 20, || {
            let after = charon.keys(tunnel);
            !after.is_empty() && before.iter().all(|key| !after.contains(key))
        });
        assert!(vpn.pings(ADDRESS), "{tunnel}");
    }
}

/// Without any tunnel the claim goes, and comes back with one.
fn both_fail(scene: &Scene, vpn: &Vpn, charon: &Charon, tunnels: &[String; 2]) {
    vpn.lose(&PEERS);
    wait_until_claimed(scene, None);
    eventually("the reason", 10, || {
        said(scene) == [format!("idc is not announced: no route to {PREFIX}")]
    });
    ping(scene, IDC, &Outcome::Unreachable);

    vpn.lose(&PEERS[..1]);
    eventually("the second tunnel", 30, || charon.has(&tunnels[1]));
    wait_until_claimed(scene, Some(GATEWAY));
    ping(scene, IDC, &Outcome::Reply);
    assert!(vpn.pings(ADDRESS));
}

#[test]
fn a_data_centre_behind_the_clouds_vpn_needs_only_prefixes_and_routes() {
    let scene = Scene::new("ipsec-cloud", RINGWAY);
    let vpn = connect(&scene, CLOUD);
    let steps = recipe_for_the_cloud(&scene);
    for part in [PREFIX, "10.10.0.0/24", "10.10.2.0/24"] {
        assert!(steps.contains(&format!("#      {part}\n")), "{steps}");
    }

    // What the cloud's customer sets: a route in the VPC, and the VPN connection.
    let route = format!("ip route add {PREFIX} via {IN_THE_VPC}");
    scene.sh(GATEWAY, &route);
    scene.sh(CLOUD, "echo 1 >/proc/sys/net/ipv4/ip_forward");
    let there = recipe(&scene, &["--form", "strongswan"]).replace(PUBLIC, UPLINK);
    let _there = Charon::start(vpn.device(), &directory(&scene, "there"), &there);
    let here = recipe(&scene, &[]).replace(PUBLIC, UPLINK);
    let node = scene.node(CLOUD).expect("a machine of the laboratory");
    let charon = Charon::start(&node.netns, &directory(&scene, "here"), &here);
    let tunnels = ["idc-1", "idc-2"].map(str::to_owned);
    eventually("both tunnels", 20, || has_both(&charon, &tunnels));

    ping(&scene, IDC, &Outcome::Reply);
    assert!(vpn.pings(ADDRESS));
    for (peer, tunnel) in PEERS.iter().zip(&tunnels) {
        vpn.lose(&[peer]);
        eventually("the end of the tunnel by DPD", 20, || !charon.has(tunnel));
        ping(&scene, IDC, &Outcome::Reply);
        vpn.lose(&[]);
        eventually("both tunnels", 30, || has_both(&charon, &tunnels));
    }

    drop((charon, vpn));
    scene.close();
}

fn recipe_for_the_cloud(scene: &Scene) -> String {
    let arguments = ["recipe", "ipsec", "--cloud"];
    let printed = program::output(&mut scene.ringway(GATEWAY, &arguments));
    printed.unwrap_or_else(|error| panic!("{error:#}"))
}
