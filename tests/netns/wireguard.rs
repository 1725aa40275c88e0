//! A standard WireGuard client (Debian's wireguard-go and wg-quick) behind NAT: with the file that
//! `ringway node add --wireguard` prints, it reaches every member by name and is reached, under the
//! policy of both ends.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::{program, status};
use ringway_tests::attached_node::{ADDRESS, ADDRESS_V6};
use ringway_tests::attention::{self, wait_until_over};
use ringway_tests::scene::{append, eventually};
use ringway_tests::second_gateway::SecondGateway;
use ringway_tests::wireguard_client::WireGuardClient;
use ringway_tests::{Scene, inside};

use crate::RINGWAY;
use crate::attach::AT_ORG1;
use crate::via::{HOST, change};

const LIMIT: Duration = Duration::from_secs(10);
const GATEWAY: &str = "gw.org1";

/// org1's gateway serves WireGuard clients at this address. While it cannot, the rest of it runs.
fn prepare(scene: &mut Scene, listen: &str) {
    let site = "idc=10.20.1.0/24,fd00:20:1::/64";
    change(scene, GATEWAY, &["site", "add", site, "--via", "vpc"]);
    append(&scene.config(GATEWAY), AT_ORG1);
    let listen = format!("\n[wireguard]\nlisten = \"{listen}\"\n");
    append(&scene.config(GATEWAY), &listen);
    let key = key_file(scene);
    fs::write(&key, "damaged").expect("a writable directory");

    scene.stop(GATEWAY);
    scene.start(GATEWAY).expect("it is there");
    for peer in ["gw.org0", "gw.org2"] {
        // It does not answer at once.
        eventually("the tunnels", 20, || {
            status::ask(scene, GATEWAY).is_ok() && scene.is_up(GATEWAY, peer)
        });
    }

    let remedy = attention::remedy(scene, GATEWAY, "wireguard");
    assert!(remedy.contains("restore the file"), "{remedy}");
    fs::remove_file(key).expect("it is there");
    wait_until_over(scene, GATEWAY, "WireGuard clients");
}

/// Where the gateway keeps its key for clients.
fn key_file(scene: &Scene) -> PathBuf {
    scene.config(GATEWAY).with_file_name("state/wireguard.key")
}

/// What the verb prints to stdout: the client's file.
fn file(mut verb: Command) -> String {
    program::output(&mut verb).unwrap_or_else(|error| panic!("{error:#}"))
}

fn state(scene: &Scene) -> String {
    scene.status(GATEWAY)["nodes"][0]["state"]
        .as_str()
        .expect("there is a node")
        .to_owned()
}

/// The line of a client's file that begins with this.
fn line<'f>(file: &'f str, begin: &str) -> &'f str {
    let mut lines = file.lines();
    lines
        .find_map(|line| line.strip_prefix(begin))
        .unwrap_or_else(|| panic!("no {begin} in {file}"))
}

#[test]
fn a_wireguard_client_reaches_every_member_and_is_reached_under_policy() {
    let mut scene = Scene::new("wireguard", RINGWAY);
    prepare(&mut scene, "0.0.0.0:51820");
    let mut add = scene.ringway(GATEWAY, &["node", "add", "db1", "--wireguard"]);
    for prefix in ["10.20.1.11/32", "fd00:20:1::11/128"] {
        add.args(["--prefix", prefix]);
    }
    let first = file(add);
    scene.reload(GATEWAY);
    // Until it is there, senders get ICMP errors.
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Unreachable, LIMIT);
    scene.ping_until(
        "peer0.org1",
        ADDRESS_V6,
        Family::V6,
        &Outcome::Unreachable,
        LIMIT,
    );
    let mut client = WireGuardClient::create(&scene, RINGWAY, "db1");
    client.up("wgdb1", &first);

    for to in ["10.10.0.11", "fd00:10::11", "10.10.1.11", "fd00:10:1::11"] {
        eventually(to, 10, || client.pings(to));
    }
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    scene.ping_until(HOST, ADDRESS_V6, Family::V6, &Outcome::Reply, LIMIT);
    let resolvers = client.resolvers();
    assert!(resolvers.contains("nameserver 10.10.1.1\n"), "{resolvers}");
    let answer = client.sh("dig +short +time=2 orderer0.org0.consortium.example @10.10.1.1");
    assert_eq!(answer, "10.10.0.11\n");

    client.serve(9001);
    client.serve(9002);
    assert!(inside::connects(&scene, HOST, ADDRESS, 9001));
    assert!(!inside::connects(&scene, HOST, ADDRESS, 9002), "no rule");
    assert!(inside::connects(&scene, "peer0.org1", ADDRESS, 9002));

    // Another source than its own, in the site and in a member's.
    client.sh("ip address add 10.20.1.12/32 dev wgdb1; ip address add 10.10.2.9/32 dev wgdb1");
    for source in ["10.20.1.12", "10.10.2.9"] {
        client.sh(&format!("ping -c 2 -W 1 -i 0.2 -I {source} 10.10.0.11"));
    }
    assert_eq!(scene.drops(GATEWAY, "source"), 4);
    assert_eq!(state(&scene), "up");

    meddle(&scene, &client);
    replace_key(&scene, &mut client, &first);
    scene.assert_no_leaks();
    drop(client);
    scene.close();
}

/// Another program changes, and removes, the device of clients.
fn meddle(scene: &Scene, client: &WireGuardClient) {
    scene.sh(GATEWAY, "ip link set ringway-wg0 mtu 1300");
    eventually("the MTU", 10, || {
        scene
            .sh(GATEWAY, "ip link show ringway-wg0")
            .contains("mtu 1420")
    });

    scene.sh(GATEWAY, "ip link delete ringway-wg0");
    eventually("the way to a member", 10, || client.pings("10.10.0.11"));
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    scene.ping_until(HOST, ADDRESS_V6, Family::V6, &Outcome::Reply, LIMIT);
}

/// The former key is refused at once; the private keys are in no file of the gateway.
fn replace_key(scene: &Scene, client: &mut WireGuardClient, first: &str) {
    let second = file(scene.ringway(GATEWAY, &["node", "rekey", "db1"]));
    scene.reload(GATEWAY);
    // By itself it would end after three minutes.
    eventually("the end of the session", 10, || state(scene) == "down");
    assert!(!client.pings("10.10.0.11"));

    client.up("wgdb1", &second);
    eventually("the new key", 10, || client.pings("10.10.0.11"));
    client.up("wgdb1", first);
    assert!(!client.pings("10.10.0.11"));
    let drops = &scene.status(GATEWAY)["drops"];
    assert!(drops["wireguard_unknown_key"].as_u64() > Some(0), "{drops}");

    let gateway = scene.config(GATEWAY);
    let dir = gateway.parent().expect("it lies in a directory");
    for file in [first, &second] {
        let key = line(file, "PrivateKey = ");
        let mut search = Command::new("grep");
        search.args(["-rF", key]).arg(dir);
        assert!(program::output(&mut search).is_err(), "{key} is stored");
    }
    let key = key_file(scene);
    let text =
        fs::read_to_string(&key).unwrap_or_else(|error| panic!("{}: {error}", key.display()));
    assert_eq!(text.len(), 45);

    client.up("wgdb1", &second);
    eventually("the new key", 10, || client.pings("10.10.0.11"));
    let mut remove = scene.ringway(GATEWAY, &["node", "remove", "db1"]);
    program::output(&mut remove).expect("it is listed");
    scene.reload(GATEWAY);
    eventually("the end", 10, || !client.pings("10.10.0.11"));
}

#[test]
fn a_client_that_takes_the_other_gateways_file_is_followed() {
    let mut scene = Scene::new("wireguard-two", RINGWAY);
    prepare(&mut scene, "[::]:51820");
    // Its file is made of the first one's, and has what that has.
    let second = SecondGateway::add(&scene, RINGWAY);

    const ADD: [&str; 5] = ["node", "add", "db1", "--prefix", "10.20.1.11/32"];
    let mut add = scene.ringway(GATEWAY, &ADD);
    let added = add.arg("--wireguard").output().expect("it runs");
    let said = String::from_utf8_lossy(&added.stderr).into_owned();
    assert!(said.contains("Site vpc has 2 gateways"), "{said}");
    let first = String::from_utf8_lossy(&added.stdout).into_owned();
    scene.reload(GATEWAY);

    // As the first command has said.
    let mut words = said.split_whitespace();
    words
        .find(|word| *word == "--wireguard")
        .expect("the command");
    let key = words.next().expect("a public key");
    let mut add = second.ringway(&ADD);
    add.args(["--wireguard", key]);
    let other = file(add).replace("(the client's own)", line(&first, "PrivateKey = "));
    assert_ne!(line(&first, "PublicKey = "), line(&other, "PublicKey = "));
    second.reload();

    let mut client = WireGuardClient::create(&scene, RINGWAY, "db1");
    for file in [&first, &other, &first] {
        client.up("wgtwo", file);
        eventually("the way to a member", 10, || client.pings("10.10.0.11"));
        scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
        scene.ping_until("peer0.org1", ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    }

    reach_it_over_ipv6(&scene, &mut client);
    drop((client, second));
    scene.close();
}

/// The client takes another way to the same port.
fn reach_it_over_ipv6(scene: &Scene, client: &mut WireGuardClient) {
    client.connect_ipv6(scene);
    let mut rekey = scene.ringway(GATEWAY, &["node", "rekey", "db1"]);
    rekey.args(["--endpoint", "[2001:db8:0:1::2]:51820"]);
    let over_ipv6 = file(rekey);
    scene.reload(GATEWAY);

    client.up("wgtwo", &over_ipv6);
    eventually("the way to a member", 10, || client.pings("10.10.0.11"));
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    eventually("its address", 10, || {
        let address = scene.status(GATEWAY)["nodes"][0]["address"].clone();
        let address = address.as_str().unwrap_or_default();
        address.starts_with("[2001:db8:0:71::2]:")
    });
}
