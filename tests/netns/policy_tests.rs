//! A policy test that fails, at a start and at a reload: it judges rules, and holds back nothing
//! that the members' records take away.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ringway_lab::program;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Background, Pushed, Scene, inside};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const SERVER: &str = "peer0.org1";
const SERVER_V4: [u8; 4] = [10, 10, 1, 11];
const CLIENT: &str = "orderer0.org0";

/// A rule of the laboratory allows it.
const STREAM: u16 = 8080;
/// A port for [`RULE`].
const NEW: u16 = 2222;
const RULE: &str = "\n[[policy.allow]]\nfrom = \"all\"\nto = \"10.10.1.0/24\"\nproto = \"tcp\"\n\
     ports = 2222\n";
/// [`RULE`] fails it.
const TEST: &str = "\n[[policy.test]]\nfrom = \"org0\"\nto = \"10.10.1.11\"\nproto = \"tcp\"\n\
     ports = 2222\nexpect = \"deny\"\n";

#[test]
fn a_reload_that_fails_a_policy_test_grants_nothing_and_applies_its_removals() {
    let scene = Scene::new("policy-tests", RINGWAY);
    let _server = serve_new_port(&scene);
    let address = SocketAddr::from((SERVER_V4, STREAM));
    let stream = Pushed::start(&scene, SERVER, address, CLIENT);
    let config = scene.config(GATEWAY);

    // One rule more, one less, one organization less.
    append(&config, RULE);
    replace(&config, "ports = [5201, 8080]", "ports = 5201");
    let place = place_of_next_table(&scene);
    append(&config, TEST);
    program::output(&mut scene.ringway(GATEWAY, &["member", "remove", "org2"]))
        .expect("org2 is a member");
    scene.reload(GATEWAY);

    eventually("the removed member's tunnel to disappear", 5, || {
        scene.tunnel(GATEWAY, "gw.org2").is_none()
    });
    let attention = attention(&scene);
    assert!(attention.contains("policy-test"), "{attention}");
    assert!(attention.contains(&place), "{place}: {attention}");
    let logged = scene.logged(GATEWAY);
    let refusal = logged
        .lines()
        .find(|line| line.contains("A policy test failed; the earlier rules stay"));
    assert!(
        refusal.is_some_and(|line| line.contains(&place)),
        "{logged}"
    );
    assert!(!new_port_is_open(&scene), "no rule of before allows it");
    // The rule that this reload narrows is in force all the same.
    stream.wait_for_silence(Duration::from_secs(1), 15);

    replace(&config, "expect = \"deny\"", "expect = \"allow\"");
    scene.reload(GATEWAY);
    eventually("the new rules", 5, || new_port_is_open(&scene));
    assert!(!self::attention(&scene).contains("policy-test"));
    scene.close();
}

#[test]
fn a_start_that_fails_a_policy_test_runs_by_the_new_rules_and_says_so() {
    let mut scene = Scene::new("policy-start", RINGWAY);
    let _server = serve_new_port(&scene);
    let config = scene.config(GATEWAY);
    append(&config, RULE);
    let place = place_of_next_table(&scene);
    append(&config, TEST);
    assert!(!new_port_is_open(&scene), "the control");

    scene.stop(GATEWAY);
    scene
        .start(GATEWAY)
        .expect("a failed test keeps no gateway down");
    scene.wait_until_joined().expect("all tunnels come back");
    eventually("the new rules", 5, || new_port_is_open(&scene));
    let attention = attention(&scene);
    assert!(attention.contains("policy-test"), "{attention}");
    assert!(attention.contains(&place), "{place}: {attention}");

    let check = scene.ringway(GATEWAY, &["check"]).output();
    let check = check.expect("ringway can be run");
    assert!(!check.status.success());
    let check = String::from_utf8_lossy(&check.stderr);
    assert!(check.contains(&place), "{place}: {check}");

    // A reload of the same files keeps them too.
    scene.reload(GATEWAY);
    eventually("the reload", 5, || {
        self::attention(&scene).contains("open nothing that was closed before")
    });
    assert!(new_port_is_open(&scene));
    scene.close();
}

fn serve_new_port(scene: &Scene) -> Background {
    let port = NEW.to_string();

    Background::server(scene, SERVER, NEW, "iperf3", &["-s", "-p", &port])
}

fn new_port_is_open(scene: &Scene) -> bool {
    let address = SocketAddr::from((SERVER_V4, NEW));

    inside::run(scene, CLIENT, move || {
        TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
    })
}

fn attention(scene: &Scene) -> String {
    scene.status(GATEWAY)["attention"].to_string()
}

/// `gateway.toml:LINE:` of a table that is appended, after an empty line.
fn place_of_next_table(scene: &Scene) -> String {
    let text = fs::read_to_string(scene.config(GATEWAY)).expect("the file is there");

    format!("gateway.toml:{}:", text.lines().count() + 2)
}
