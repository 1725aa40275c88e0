//! The pods of the chart, without a cluster: as the user, with the capabilities, mounts and
//! read-only root of the manifests, on the content of the container image.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use ringway_lab::ping::Family;
use ringway_lab::program;
use ringway_tests::attached_node::{ADDRESS, AttachedNode};
use ringway_tests::attention::attention;
use ringway_tests::pod::PodNode;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Background, Scene};

use crate::{RINGWAY, attach};

const GATEWAY: &str = "gw.org1";
const PEERS: [&str; 2] = ["gw.org0", "gw.org2"];

#[test]
fn a_pod_of_the_chart_serves_with_the_rights_that_the_chart_gives_it() {
    let (scene, node, pod) = start("pod");
    let status = PodNode::process_status(&pod);
    for line in [
        "Uid:\t64600\t64600\t64600\t64600",
        "Gid:\t64600\t64600\t64600\t64600",
        // CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, for `nft` too.
        "CapEff:\t0000000000001400",
        "CapBnd:\t0000000000001400",
        "CapAmb:\t0000000000001400",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line:?} is not in {status}");
    }
    scene.assert_all_reachable(Family::V4);
    assert_eq!(attention(&scene, GATEWAY), "[]");
    assert_eq!(get(&scene, "/readyz"), "200");

    // What other programs remove is restored, although /proc/sys is read-only.
    scene.sh(GATEWAY, "nft flush ruleset; ip route flush table 4600");
    eventually("the guard to be restored", 10, || {
        scene
            .output(GATEWAY, "nft", &["list", "tables"])
            .contains("ringway0")
    });
    scene.assert_all_reachable(Family::V4);
    let doctor = node.run(&scene, "doctor").finish(Duration::from_secs(20));
    assert!(doctor.success, "{}", doctor.printed);
    // It looked at everything, and the device and the resolver are as they should be.
    for missed in ["CAP_NET_ADMIN", "/dev/net/tun", "resolver"] {
        assert!(!doctor.printed.contains(missed), "{}", doctor.printed);
    }

    // Alone at its site, it says that nobody takes over; the pod ends all the same.
    let drain = node.run(&scene, "preStop").finish(Duration::from_secs(20));
    assert!(
        drain.printed.contains("no other gateway"),
        "{}",
        drain.printed
    );
    let said = pod.stop(Signal::SIGTERM);
    assert!(said.contains("Gateway ended"), "{said}");
    scene.close();
}

#[test]
fn a_pod_reads_what_is_changed_in_its_volumes_all_or_nothing() {
    let (scene, node, pod) = start("pod-files");
    let since = PEERS.map(|peer| scene.up_since(GATEWAY, peer));
    let config = node.source("gateway", "gateway.toml");
    append(
        &config,
        "\n[[dns.host]]\nname = \"new\"\naddresses = \"10.10.1.99\"\n",
    );
    node.replace_volumes();
    wait_for_name(&scene, "new", "10.10.1.99");

    // A broken file beside a right one: neither counts.
    replace(&config, "10.10.1.99", "10.10.1.98");
    let record = node.source("members", "org2.member.toml");
    let right = fs::read(&record).expect("it is there");
    fs::write(&record, "version = 2\n").expect("it can be written");
    node.replace_volumes();
    pod.wait_for("Reload refused");
    assert_eq!(address(&scene, "new"), "10.10.1.99");
    fs::write(&record, right).expect("it can be written");
    node.replace_volumes();
    wait_for_name(&scene, "new", "10.10.1.98");
    let now = PEERS.map(|peer| scene.up_since(GATEWAY, peer));
    assert_eq!(now, since, "no tunnel was lost");

    // A member is removed, and another ConfigMap has a file more.
    fs::remove_file(&record).expect("it is there");
    node.replace_volumes();
    eventually("the tunnel to end", 20, || {
        scene.tunnel(GATEWAY, "gw.org2").is_none()
    });
    assert_eq!(scene.up_since(GATEWAY, "gw.org0"), since[0]);
    pod.stop(Signal::SIGTERM);
    scene.close();
}

#[test]
fn without_no_new_privs_nothing_is_passed_on() {
    let (scene, node, pod) = start("pod-privs");
    pod.stop(Signal::SIGTERM);
    let pods = node.manifests();
    replace(
        &pods,
        "\"allowPrivilegeEscalation\": false",
        "\"allowPrivilegeEscalation\": true",
    );

    let pod = node.run(&scene, "gateway").finish(Duration::from_secs(30));
    assert!(!pod.success, "it has no capability that takes effect");
    assert!(pod.printed.contains("not permitted"), "{}", pod.printed);
    scene.close();
}

#[test]
fn a_pod_of_the_daemon_set_attaches_its_node() {
    let scene = Scene::new("pod-node", RINGWAY);
    attach::prepare(&scene);
    let mut node = AttachedNode::create(&scene, RINGWAY, "db1", &[ADDRESS]);
    // The file of its resolver is none of the pod's.
    let config = fs::read_to_string(node.config()).expect("it was made");
    let (config, _) = config.rsplit_once("\n[dns]\n").expect("it has a resolver");
    fs::write(node.config(), config).expect("it can be written");

    let worker = PodNode::worker(&scene, &node.files(), &binary());
    node.start_pod(&worker);
    eventually("the node to be attached", 20, || {
        scene.status(GATEWAY)["nodes"][0]["state"] == "up"
    });
    for to in ["10.10.0.11", "10.10.1.11"] {
        eventually(to, 10, || node.pings(to));
    }
    drop(node);
    scene.close();
}

/// The program in the image.
fn binary() -> String {
    std::env::var("RINGWAY_BINARY").unwrap_or_else(|_| RINGWAY.into())
}

/// A laboratory in which one gateway is a pod that serves.
fn start(test: &str) -> (Scene, PodNode, Background) {
    let scene = Scene::new(test, RINGWAY);
    scene.stop(GATEWAY);
    append(
        &scene.config(GATEWAY),
        "\n[http]\nlisten = \"10.10.1.1:9460\"\n",
    );
    let node = PodNode::new(&scene, GATEWAY, &binary());
    let pod = node.start(&scene);

    pod.wait_for("Gateway running");
    eventually("the tunnels of the pod", 20, || {
        PEERS.iter().all(|peer| scene.is_up(GATEWAY, peer))
    });
    (scene, node, pod)
}

/// What the kubelet's probe gets.
fn get(scene: &Scene, path: &str) -> String {
    let url = format!("http://10.10.1.1:9460{path}");
    let curl = [
        "-s",
        "-m",
        "2",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &url,
    ];

    scene.output_of_any_exit(GATEWAY, "curl", &curl)
}

fn wait_for_name(scene: &Scene, name: &str, expected: &str) {
    eventually(&format!("{name} to be {expected}"), 20, || {
        address(scene, name) == expected
    });
}

/// The address of a name of the gateway's organization, as its site's hosts see it.
fn address(scene: &Scene, name: &str) -> String {
    let name = format!("{name}.org1.consortium.example");
    let mut dig: Command = scene
        .command("peer0.org1", "dig")
        .expect("a machine of the laboratory");
    dig.args(["+short", "+tries=1", "+time=1", "@10.10.1.1", &name]);

    // Without an answer, dig fails.
    program::output(&mut dig)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
