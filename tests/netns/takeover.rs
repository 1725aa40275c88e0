//! Two gateways of one site with `[ha]`: the virtual addresses and the commands follow the role
//! when the active gateway dies, and the site's hosts with them.
//!
//! ```text
//!                          ┌─ gw.org1 ──┐
//!   peer0.org1 ── vpc ─────┤            ├── wan ── gw.org0 ── orderer0.org0
//!     default: 10.10.1.250 └─ gw2.org1 ─┘
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_lab::{program, status};
use ringway_tests::Scene;
use ringway_tests::attention::wait_until_over;
use ringway_tests::pushed::Pushed;
use ringway_tests::scene::{append, eventually};
use ringway_tests::second_gateway::SecondGateway;
use serde_json::Value;

use crate::RINGWAY;

const FIRST: &str = "gw.org1";
const HOST: &str = "peer0.org1";

/// Where a stream comes from on which only the far end sends.
const SERVER: &str = "orderer0.org0";
const SERVED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 10, 0, 11)), 7050);

/// For packets to come through again.
const LIMIT: Duration = Duration::from_secs(10);

/// `[ha]` with the stub as both commands.
fn ha(stub: &str) -> String {
    format!(
        "
[ha]
addresses = [\"10.10.1.250/24\", \"fd00:10:1::250/64\"]
interface = \"lan0\"
on-active = [\"{stub}\", \"active\"]
on-standby = [\"{stub}\", \"standby\"]
"
    )
}

/// A program that records its calls, and the file with them.
fn stub(scene: &Scene) -> (String, PathBuf) {
    let dir = scene.topology().dir();
    let (program, calls) = (dir.join("stub"), dir.join("calls"));
    let script = format!(
        "#!/bin/sh\necho \"$1 $RINGWAY_GATEWAY $RINGWAY_ROLE $RINGWAY_REASON $RINGWAY_SIBLING\" \
         >>{}\n",
        calls.display()
    );
    fs::write(&program, script).expect("the laboratory's directory is writable");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    (program.display().to_string(), calls)
}

/// Two gateways, both with `[ha]`; the first one is active, and the host uses the addresses. The
/// file has the calls of the commands.
fn two_gateways(test: &str) -> (Scene, SecondGateway, PathBuf) {
    let scene = Scene::new(test, RINGWAY);
    let second = SecondGateway::add(&scene, RINGWAY);
    let (program, calls) = stub(&scene);
    append(&scene.config(FIRST), &ha(&program));
    append(&second.config(), &ha(&program));
    scene.reload(FIRST);
    second.reload();

    eventually("the first to be active", 20, || holds(&scene.status(FIRST)));
    eventually("the second to be standby", 20, || {
        second.status()["role"]["role"] == "standby"
    });
    for address in ["10.10.1.250", "fd00:10:1::250"] {
        let replace = ["route", "replace", "default", "via", address];
        scene.output(HOST, "ip", &replace);
    }
    scene.ping_until(HOST, "10.10.0.11", Family::V4, &Outcome::Reply, LIMIT);
    (scene, second, calls)
}

fn holds(status: &Value) -> bool {
    let role = &status["role"];
    let mut addresses = role["addresses"].as_array().into_iter().flatten();
    role["role"] == "active" && addresses.all(|address| address["state"] == "held")
}

#[test]
fn addresses_and_commands_follow_the_role_when_the_active_gateway_dies() {
    let (mut scene, second, calls) = two_gateways("takeover");

    scene.kill(FIRST).expect("it runs");
    let killed = Instant::now();
    eventually("the second to hold the addresses", 10, || {
        holds(&second.status())
    });
    for (family, to) in [(Family::V4, "10.10.0.11"), (Family::V6, "fd00:10::11")] {
        scene.ping_until(HOST, to, family, &Outcome::Reply, LIMIT);
    }
    println!("hosts reach others again after {:.1?}", killed.elapsed());
    let called = || fs::read_to_string(&calls).unwrap_or_default();
    eventually("the second's command", 5, || {
        called().contains("active gw2 active silent gw.org1")
    });

    // It comes back as standby, and takes nothing from the active one.
    scene.start(FIRST).expect("it starts");
    eventually("the first to be standby", 20, || {
        // One that has just been started does not answer yet.
        let first = status::ask(&scene, FIRST);
        first.is_ok_and(|first| first["role"]["role"] == "standby") && holds(&second.status())
    });
    let away = &scene.status(FIRST)["role"]["addresses"][0]["state"];
    assert_eq!(*away, "away");
    eventually("the first's command", 5, || {
        let called = called();
        called
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("standby gw standby"))
    });
    scene.ping_until(HOST, "10.10.0.11", Family::V4, &Outcome::Reply, LIMIT);
    drop(second);
    scene.close();
}

/// Another preference of the first needs no restart.
fn prefer(scene: &Scene, second: &SecondGateway, preference: u32) {
    let line = format!("preference = {preference}\n");
    append(&scene.config(FIRST), &line);
    scene.reload(FIRST);
    eventually("the second to hear of it", 5, || {
        second.status()["site"]["siblings"][0]["preference"] == preference
    });
}

/// The stream has not broken, and some more of it comes.
fn goes_on(stream: &Pushed) {
    let seen = stream.seen().messages;

    stream.wait_for(seen + 5, 20);
    assert_eq!(stream.seen().connections, 1);
}

/// The ports of the switch of the site have the names of the gateways.
fn set_port(scene: &Scene, port: &str, state: &str) {
    let switch = format!("{}-vpc.org1", scene.topology().lab);
    let mut command = Command::new("ip");
    command.args(["-n", &switch, "link", "set", port, state]);
    program::output(&mut command).expect("it is a port of the switch");
}

#[test]
fn a_gateway_whose_interface_to_the_site_loses_its_carrier_hands_over() {
    let (scene, second, _) = two_gateways("carrier");
    prefer(&scene, &second, 101);
    let stream = Pushed::start(&scene, SERVER, SERVED, HOST);

    set_port(&scene, "gw", "down");
    let lost = Instant::now();
    eventually("the second to hold the addresses", 5, || {
        holds(&second.status())
    });
    println!(
        "the second holds the addresses after {:.2?}",
        lost.elapsed()
    );
    goes_on(&stream);
    for (family, to) in [(Family::V4, "10.10.0.11"), (Family::V6, "fd00:10::11")] {
        scene.ping_until(HOST, to, family, &Outcome::Reply, LIMIT);
    }

    // It says why.
    eventually("the first to stand down", 5, || {
        scene.status(FIRST)["role"]["cause"] == "no-carrier"
    });
    let status = scene.status(FIRST);
    let reason = "lan0 does not lead to the site's hosts, and gw2.org1 is active";
    assert_eq!(status["role"]["reason"], reason);
    assert!(
        status["attention"]
            .to_string()
            .contains("lan0 has no carrier")
    );
    // Both without: nobody moves, and the first that has it again is active.
    set_port(&scene, "gw2", "down");
    eventually("the second to say so", 5, || {
        second.status()["site"]["no_carrier"] == "lan0"
    });
    let epoch = second.status()["role"]["epoch"].clone();
    set_port(&scene, "gw", "up");
    eventually("the first to hold the addresses", 10, || {
        holds(&scene.status(FIRST))
    });
    assert_eq!(scene.status(FIRST)["role"]["cause"], "handed-over");
    assert_eq!(epoch, 2, "while both were without, nobody took over");
    goes_on(&stream);
    set_port(&scene, "gw2", "up");
    wait_until_over(&scene, FIRST, "site network");

    // A lost DHCP lease, or a restart of networkd: the carrier stays, and the routes go.
    scene.sh(FIRST, "ip -4 address flush dev lan0");
    eventually("the second to hold the addresses again", 10, || {
        holds(&second.status())
    });
    let attention = scene.status(FIRST)["attention"].to_string();
    assert!(
        attention.contains("lan0 has no IPv4 route into the site"),
        "{attention}"
    );
    goes_on(&stream);

    drop(stream);
    drop(second);
    scene.close();
}

#[test]
fn a_gateway_that_was_suspended_leaves_the_role_to_the_one_that_took_over() {
    let (scene, second, _) = two_gateways("still");
    let process = scene.process(FIRST).expect("it runs");

    process.signal(Signal::SIGSTOP);
    eventually("the second to hold the addresses", 10, || {
        holds(&second.status())
    });
    // All sessions of the first have ended by then, and its kernel has lost the addresses.
    eventually("the others to have given the first up", 10, || {
        !scene.is_up("gw.org0", FIRST) && !scene.is_up("gw.org2", FIRST)
    });
    let epoch = second.status()["role"]["epoch"].clone();

    process.signal(Signal::SIGCONT);
    eventually("the first to be back, as standby", 20, || {
        scene.status(FIRST)["role"]["role"] == "standby" && scene.is_up("gw.org0", FIRST)
    });
    second.wait_for_tunnels(&scene);
    assert_eq!(second.status()["role"]["epoch"], epoch);
    assert!(holds(&second.status()), "{}", second.status()["role"]);
    scene.ping_until(HOST, "10.10.0.11", Family::V4, &Outcome::Reply, LIMIT);
    drop(second);
    scene.close();
}
