//! An attached node: a host in a data centre behind NAT dials org1's gateways, reaches every
//! member and is reached, under the policy of both ends.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::program;
use ringway_tests::attached_node::{ADDRESS, ADDRESS_V6, AttachedNode, BEHIND_IT, NETWORK};
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::second_gateway::SecondGateway;
use ringway_tests::{Background, Scene, inside};

use crate::RINGWAY;
use crate::via::{HOST, change};

const LIMIT: Duration = Duration::from_secs(10);

/// What org0 may reach at the node.
pub(crate) const AT_ORG1: &str = "
[[policy.allow]]
from = \"org0\"
to = [\"10.20.1.0/24\", \"fd00:20:1::/64\"]
proto = \"icmp\"

[[policy.allow]]
from = \"org0\"
to = [\"10.20.1.0/24\", \"fd00:20:1::/64\"]
proto = \"tcp\"
ports = 9001
";

/// org1's record has the data centre, and its gateway the node.
pub(crate) fn prepare(scene: &Scene) {
    let site = "idc=10.20.1.0/24,fd00:20:1::/64";
    change(scene, "gw.org1", &["site", "add", site, "--via", "vpc"]);
    append(&scene.config("gw.org1"), AT_ORG1);
    let prefixes = ["10.20.1.11/32", "fd00:20:1::11/128", NETWORK];
    add_node(scene, "db1", &prefixes);
}

fn add_node(scene: &Scene, name: &str, prefixes: &[&str]) {
    let mut add = scene.ringway("gw.org1", &["node", "add", name]);
    for prefix in prefixes {
        add.args(["--prefix", prefix]);
    }
    program::output(&mut add).expect("a sound change");
    scene.reload("gw.org1");
}

#[test]
fn a_host_behind_nat_reaches_every_member_and_is_reached_under_policy() {
    let scene = Scene::new("attach", RINGWAY);
    prepare(&scene);
    let ranges = [ADDRESS, ADDRESS_V6, NETWORK];
    let mut node = AttachedNode::create(&scene, RINGWAY, "db1", &ranges);
    node.add_host();
    node.start();
    eventually("the session", 10, || node.is_attached_to("gw.org1"));

    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    scene.ping_until(HOST, ADDRESS_V6, Family::V6, &Outcome::Reply, LIMIT);
    for to in ["10.10.0.11", "fd00:10::11", "10.10.1.11", "fd00:10:1::11"] {
        eventually(to, 10, || node.pings(to));
    }

    its_resolver_asks_the_gateway(&node);
    let status = node.status();
    let attention = &status["attention"];
    assert!(
        attention.as_array().is_some_and(Vec::is_empty),
        "{attention}"
    );
    let status = scene.status("gw.org1");
    assert_eq!(status["nodes"][0]["state"], "up");
    assert_eq!(status["tunnels"].as_array().map(Vec::len), Some(2));
    let attention = &status["attention"];
    assert!(
        attention.as_array().is_some_and(Vec::is_empty),
        "{attention}"
    );

    node.serve(9001);
    node.serve(9002);
    assert!(inside::connects(&scene, HOST, ADDRESS, 9001));
    assert!(!inside::connects(&scene, HOST, ADDRESS, 9002), "no rule");
    assert!(!inside::connects(&scene, "peer0.org2", ADDRESS, 9001));
    assert!(
        inside::connects(&scene, "peer0.org1", ADDRESS, 9002),
        "a host of its own organization"
    );
    a_host_behind_it_has_the_same(&scene, &node);
    scene.assert_no_leaks();

    // It asks no gateway about rules: that would end the session.
    let since = scene.status("gw.org1")["nodes"][0]["since"].clone();
    let explained = node.sh(&format!(
        "{RINGWAY} explain {ADDRESS} 10.10.0.11 --port 8080 -c {} || true",
        node.config().display()
    ));
    assert!(
        explained.contains("?   their rules  gw.org1 judges for this node"),
        "{explained}"
    );
    assert_eq!(scene.status("gw.org1")["nodes"][0]["since"], since);
    names_no_wrong_owner(&node);

    its_session_moves_to_ipv6(&scene, &node);
    a_stop_gives_its_resolver_back(&node);

    drop(node);
    let explain = ["explain", "orderer0.org0", ADDRESS, "--port", "9001"];
    eventually("the cause to be named", 10, || {
        let output = scene
            .ringway("gw.org1", &explain)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.contains("NO  node         node:db1.org1 is down") && said.ends_with("work: node.\n")
    });
    scene.close();
}

fn its_resolver_asks_the_gateway(node: &AttachedNode) {
    let resolvers = node.resolvers();
    assert!(
        resolvers.contains("nameserver 10.10.1.1\n") && resolvers.ends_with("192.0.2.53\n"),
        "{resolvers}"
    );
    // As a DHCP client does with a new lease.
    let lease = "nameserver 192.0.2.54\n";
    std::fs::write(node.dir().join("resolv.conf"), lease).expect("it is writable");
    eventually("the servers again", 10, || {
        let resolvers = node.resolvers();
        resolvers.contains("nameserver 10.10.1.1\n") && resolvers.ends_with(lease)
    });
    let answer = node.sh("dig +short +time=2 orderer0.org0.consortium.example @10.10.1.1");
    assert_eq!(answer, "10.10.0.11\n");
}

/// Its provider's IPv4 fails, and IPv6 does not.
fn its_session_moves_to_ipv6(scene: &Scene, node: &AttachedNode) {
    node.connect_ipv6(scene);
    node.lose("meta nfproto ipv4 udp dport 4600");
    eventually("the session over IPv6", 20, || {
        node.address_of("gw.org1").starts_with("[2001:db8:0:1::2]:")
    });
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    assert!(inside::connects(scene, HOST, ADDRESS, 9001));
}

fn a_stop_gives_its_resolver_back(node: &AttachedNode) {
    let pid = node.status()["daemon"]["pid"].clone();
    node.sh(&format!("kill -TERM {pid}"));
    eventually("its end", 10, || node.logged().contains("Gateway ended"));
    let resolvers = node.resolvers();
    assert!(!resolvers.contains("10.10.1.1"), "{resolvers}");
}

/// In the network that the node is the router of.
fn a_host_behind_it_has_the_same(scene: &Scene, node: &AttachedNode) {
    scene.ping_until(HOST, BEHIND_IT, Family::V4, &Outcome::Reply, LIMIT);
    scene.ping_until("peer0.org1", BEHIND_IT, Family::V4, &Outcome::Reply, LIMIT);
    let asked = "dig +short +time=2 orderer0.org0.consortium.example @10.10.1.1";
    assert_eq!(node.at_the_host(asked), "10.10.0.11\n");
    for to in ["10.10.0.11", "10.10.1.11"] {
        let said = node.at_the_host(&format!("ping -c 1 -W 1 {to}"));
        assert!(said.contains(" 0% packet loss"), "{said}");
    }

    // Of what org1's rules do not open, nothing arrives: not even a reset of the host comes back.
    let refused = |from: &str| {
        let connect = format!(
            "import socket\ntry: socket.create_connection((\"{BEHIND_IT}\", 9002), 1)\n\
             except ConnectionRefusedError: print(\"refused\")\nexcept OSError: pass"
        );
        let said = scene.output_of_any_exit(from, "python3", &["-c", &connect]);
        said.contains("refused")
    };
    assert!(refused("peer0.org1"), "a host of its own organization");
    assert!(!refused(HOST));
}

/// It knows the sites of its own organization, and of no other.
fn names_no_wrong_owner(node: &AttachedNode) {
    let status = node.status();
    for (prefix, org) in [("10.10.0.0/24", ""), ("10.10.1.0/24", "org1")] {
        let mut routes = status["routes"].as_array().into_iter().flatten();
        let route = routes.find(|route| route["prefix"] == prefix);
        assert_eq!(
            route.map(|route| &route["org"]),
            Some(&org.into()),
            "{status}"
        );
    }
}

/// Reads until this many messages have come, and prints `done` and the longest pause in ms.
fn reader(messages: usize) -> String {
    format!(
        "python3 -c '
import socket, time
s = socket.create_connection((\"10.10.0.11\", 7050), 5)
s.settimeout(20)
last = time.monotonic(); longest = 0; count = 0
while count < {messages}:
    data = s.recv(4096)
    if not data: raise SystemExit(\"broken\")
    now = time.monotonic(); longest = max(longest, now - last); last = now
    count += len(data)
    if count == len(data): print(\"begun\", flush=True)
print(\"done\", round(1000 * longest))
'"
    )
}

/// A server that sends a byte every 20 ms on each connection.
fn pushing(scene: &Scene) -> Background {
    let script = "
import socket, threading, time
def push(c):
    try:
        while True: c.sendall(b\"x\"); time.sleep(0.02)
    except OSError: pass
s = socket.create_server((\"10.10.0.11\", 7050))
while True:
    c, _ = s.accept(); threading.Thread(target=push, args=(c,), daemon=True).start()
";
    Background::server(scene, HOST, 7050, "python3", &["-c", script])
}

/// The node is attached to two gateways, of which the first is active.
fn with_two_gateways(test: &str) -> (Scene, SecondGateway, AttachedNode) {
    let scene = Scene::new(test, RINGWAY);
    let site = "idc=10.20.1.0/24,fd00:20:1::/64";
    change(&scene, "gw.org1", &["site", "add", site, "--via", "vpc"]);
    let second = SecondGateway::add(&scene, RINGWAY);
    let block = "
[[node]]
name = \"db1\"
prefixes = [\"10.20.1.11/32\", \"fd00:20:1::11/128\"]
";
    for config in [scene.config("gw.org1"), second.config()] {
        append(&config, block);
        append(&config, AT_ORG1);
    }
    scene.reload("gw.org1");
    second.reload();

    let mut node = AttachedNode::create(&scene, RINGWAY, "db1", &[ADDRESS, ADDRESS_V6]);
    node.start();
    for gateway in ["gw.org1", "gw2.org1"] {
        eventually("the session", 10, || node.is_attached_to(gateway));
    }
    eventually("the first to be active", 20, || {
        scene.status("gw.org1")["role"]["role"] == "active"
    });
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    (scene, second, node)
}

/// A stream on which only the far server sends; it is established on return.
fn begin_stream(node: &AttachedNode) -> Child {
    let stream = node.begin(&reader(500));
    eventually("the stream", 10, || {
        !node
            .sh("ss -Htn state established dport = :7050")
            .is_empty()
    });
    stream
}

#[test]
fn a_node_moves_to_the_other_gateway_without_losing_a_stream() {
    let (scene, second, node) = with_two_gateways("attach-two");
    let server = pushing(&scene);
    let stream = begin_stream(&node);

    scene.kill("gw.org1").expect("it runs");
    let output = stream.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{printed}");
    assert!(printed.contains("done"), "{printed}");
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    assert!(node.pings("10.10.0.11"));

    drop((server, second, node));
    scene.close();
}

#[test]
fn a_node_that_reaches_only_the_standby_is_reached_through_it() {
    let (scene, second, node) = with_two_gateways("attach-relay");
    let server = pushing(&scene);
    let stream = begin_stream(&node);

    // The active gateway lives, and the node's way to it is a black hole in both directions.
    node.lose("ip daddr 203.0.113.6 drop; ip saddr 203.0.113.6");
    let output = stream.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{printed}");
    assert!(printed.contains("done"), "{printed}");
    assert_eq!(scene.status("gw.org1")["role"]["role"], "active");
    scene.ping_until(HOST, ADDRESS, Family::V4, &Outcome::Reply, LIMIT);
    scene.ping_until("peer0.org1", ADDRESS_V6, Family::V6, &Outcome::Reply, LIMIT);

    drop((server, second, node));
    scene.close();
}

#[test]
fn a_node_that_is_removed_is_cut_off_although_the_reload_is_refused() {
    let scene = Scene::new("attach-removed", RINGWAY);
    prepare(&scene);
    add_node(&scene, "db2", &["10.20.1.12/32"]);
    let mut node = AttachedNode::create(&scene, RINGWAY, "db1", &[ADDRESS, ADDRESS_V6]);
    let mut other = node.beside(&scene, "db2", &["10.20.1.12"]);
    node.start();
    other.start();
    for node in [&node, &other] {
        eventually("the session", 10, || node.is_attached_to("gw.org1"));
        eventually("the way to a member", 10, || node.pings("10.10.0.11"));
    }

    // A rule may be for one of them.
    let rule =
        "\n[[policy.allow-egress]]\nfrom = \"org1/node:db1\"\nto = \"org0\"\nproto = \"icmp\"\n";
    let config = scene.config("gw.org1");
    replace(&config, "\n[policy]\n", "\n[policy]\negress = \"none\"\n");
    append(&config, rule);
    scene.reload("gw.org1");
    eventually("the end of what no rule allows", 10, || {
        !other.pings("10.10.0.11")
    });
    assert!(node.pings("10.10.0.11"));
    assert!(!node.pings("10.10.2.11"), "another member");
    let explain = ["explain", "org1/node:db1", "orderer0.org0", "--no-probe"];
    let said = program::output(&mut scene.ringway("gw.org1", &explain)).expect("it is allowed");
    assert!(
        said.contains("name         org1/node:db1 is 10.20.1.11, by its [[node]]"),
        "{said}"
    );

    // Nodes do not reach each other unless the file says so.
    assert!(!node.pings("10.20.1.12"));
    assert!(scene.drops("gw.org1", "isolated") > 0);
    append(&scene.config("gw.org1"), "\n[nodes]\nisolation = false\n");
    scene.reload("gw.org1");
    eventually("the way to the other", 10, || node.pings("10.20.1.12"));

    its_address_changes(&scene, &other);

    let mut remove = scene.ringway("gw.org1", &["node", "remove", "db1"]);
    program::output(&mut remove).expect("it is listed");
    // The rule names it still, which refuses the reload.
    let begun = Instant::now();
    scene.reload("gw.org1");
    eventually("the end of its session", 10, || {
        !node.is_attached_to("gw.org1")
    });
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(scene.logged("gw.org1").contains("Reload refused"));
    assert!(!node.pings("10.10.0.11"));
    assert!(other.is_attached_to("gw.org1"));
    replace(&config, rule, "");
    replace(&config, "egress = \"none\"\n", "");
    scene.reload("gw.org1");
    eventually("the rules of the sound file", 10, || {
        other.pings("10.10.0.11")
    });

    its_key_is_revoked(&scene, &other);

    drop((node, other));
    scene.close();
}

/// A stolen key is revoked, and the node that has it is cut off at once.
fn its_key_is_revoked(scene: &Scene, node: &AttachedNode) {
    let digest = key_of(node);
    let mut revoke = scene.ringway("gw.org1", &["revoke", "key", &digest]);
    program::output(&mut revoke).expect("the record is here");
    let begun = Instant::now();
    scene.reload("gw.org1");
    eventually("the end of its session", 10, || {
        !node.is_attached_to("gw.org1")
    });
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(!node.pings("10.10.0.11"));
}

/// Both files say another address, and are reloaded.
fn its_address_changes(scene: &Scene, node: &AttachedNode) {
    replace(&scene.config("gw.org1"), "10.20.1.12/32", "10.20.1.13/32");
    scene.reload("gw.org1");
    replace(&node.config(), "10.20.1.12", "10.20.1.13");
    program::output(&mut node.ringway(&["reload"])).expect("a sound file");

    eventually("packets from the new address", 10, || {
        node.pings("10.10.1.11")
    });
    let addresses = node.sh("ip -o address show dev ringway0");
    assert!(!addresses.contains("10.20.1.12"), "{addresses}");

    let file = node.dir().join("resolv.conf").display().to_string();
    replace(&node.config(), &format!("{file:?}"), "\"none\"");
    let reloaded = program::output(&mut node.ringway(&["reload"])).expect("a sound file");
    assert!(reloaded.contains("dns.resolver has changed"), "{reloaded}");
    eventually("its resolver of before", 10, || {
        node.resolvers() == "nameserver 192.0.2.53\n"
    });
}

/// The digest of the node's key.
fn key_of(node: &AttachedNode) -> String {
    let certificate = node.dir().join("node.crt");
    let mut show = Command::new(RINGWAY);
    show.args(["cert", "show"]).arg(certificate);

    let said = program::output(&mut show).expect("its certificate is there");
    let digest = said
        .split_whitespace()
        .find(|word| word.starts_with("sha256:"));
    digest.expect("the digest of the key").to_owned()
}

#[test]
fn a_node_leaks_nothing_while_no_gateway_answers() {
    let scene = Scene::new("attach-leak", RINGWAY);
    prepare(&scene);
    let mut node = AttachedNode::create(&scene, RINGWAY, "db1", &[ADDRESS]);
    node.start();
    eventually("the way to a member", 10, || node.pings("10.10.0.11"));
    let seen = "nft 'add table inet seen; add chain inet seen passes { type filter hook forward \
                priority -10; }; add rule inet seen passes ip daddr 10.0.0.0/8 counter'";
    node.at_the_nat(seen);

    node.kill();
    node.lose("udp dport 4600");
    // While the daemon is dead, too.
    assert!(!node.pings("10.10.0.11"));
    node.start();
    eventually("the daemon", 10, || !node.status().is_null());
    assert!(!node.pings("10.10.0.11"));
    let counted = node.at_the_nat("nft list table inet seen");
    assert!(counted.contains("counter packets 0 "), "{counted}");

    // What is in no record of the consortium goes its own way.
    assert!(!node.pings("10.99.0.1"));
    let counted = node.at_the_nat("nft list table inet seen");
    assert!(
        !counted.contains("counter packets 0 "),
        "the counter counts"
    );
    node.lose_nothing();
    eventually("the way to a member", 20, || node.pings("10.10.0.11"));

    drop(node);
    scene.close();
}
