//! Two gateways at one site, of which one is active: it dies, loses its uplink, and is drained.
//!
//! ```text
//!                                   ┌─ gw.org1 ──┐
//!                             vpc ──┤            ├── wan ── gw.org0, gw.org2
//!                                   └─ gw2.org1 ─┘
//! ```

use std::process::Stdio;

use ringway_tests::Scene;
use ringway_tests::scene::eventually;
use ringway_tests::second_gateway::{NAME, SecondGateway};
use serde_json::Value;

use crate::RINGWAY;

const FIRST: &str = "gw.org1";

/// The site whose gateways they are, and its peers.
const RANGE: &str = "10.10.1.0/24";
const PEERS: [&str; 2] = ["gw.org0", "gw.org2"];

/// Drops everything on the way to the WAN and from it.
const CUT: &str = "nft 'table inet cut {
    chain out { type filter hook output priority -400; oifname wan0 drop; }
    chain in { type filter hook input priority -400; iifname wan0 drop; }
}'";

#[test]
fn the_site_goes_on_when_the_active_gateway_dies_loses_its_uplink_or_is_drained() {
    let mut scene = Scene::beside_others("siblings", RINGWAY);
    let mut second = SecondGateway::add(&scene, RINGWAY);
    wait_for_roles(&scene, &second, "active", "standby");
    inside_the_site(&scene);

    // It dies, and does not take its place back.
    scene.kill(FIRST).expect("it runs");
    eventually("the second to be active", 5, || {
        role(&second.status()) == "active"
    });
    wait_for_route(&scene, NAME);
    let role = &second.status()["role"];
    assert_eq!(role["cause"], "silent", "{role}");
    assert!(
        role["gap_s"].as_f64().is_some_and(|gap| gap < 1.0),
        "{role}"
    );
    println!("killed: nobody was heard of for {} s", role["gap_s"]);
    scene.start(FIRST).expect("it starts");
    second.wait_for_tunnels(&scene);
    wait_for_roles(&scene, &second, "standby", "active");

    // Its uplink dies while the site's network lives.
    second.sh(CUT);
    wait_for_roles(&scene, &second, "active", "standby");
    wait_for_route(&scene, FIRST);
    assert_eq!(scene.status(FIRST)["role"]["cause"], "handed-over");
    second.sh("nft delete table inet cut");
    second.wait_for_tunnels(&scene);

    // It is drained, and stopped.
    let drained = scene.ringway(FIRST, &["drain"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&drained.stdout);
    assert!(drained.status.success(), "{said}");
    assert!(said.starts_with("drained: gw2.org1 is active"), "{said}");
    wait_for_roles(&scene, &second, "standby", "active");
    wait_for_route(&scene, NAME);

    // It is drained while the other one dies: then it must not be stopped.
    let cancel = scene.ringway(FIRST, &["drain", "--cancel"]).output();
    assert!(cancel.expect("it runs").status.success());
    wait_for_roles(&scene, &second, "standby", "active");
    let mut drain = scene.ringway(FIRST, &["drain"]);
    let drain = drain.stdout(Stdio::piped()).spawn().expect("it runs");
    eventually("the first to hand over", 5, || {
        scene.status(FIRST)["site"]["hands_over"] == true
    });
    second.kill();
    let drained = drain.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&drained.stdout);
    assert!(!drained.status.success(), "{said}");
    let found = scene.status(FIRST)["attention"].clone();
    let mut found = found.as_array().into_iter().flatten();
    assert!(found.any(|item| item["kind"] == "drained"));
    assert_eq!(
        said,
        "this gateway is active again, because gw2.org1 does not answer; it hands over as soon as \
         a sibling can take over; to take that back: ringway drain --cancel\n"
    );

    drop(second);
    scene.close();
}

fn wait_for_roles(scene: &Scene, second: &SecondGateway, of_first: &str, of_second: &str) {
    eventually(
        &format!("{FIRST} {of_first}, {NAME} {of_second}"),
        20,
        || role(&scene.status(FIRST)) == of_first && role(&second.status()) == of_second,
    );
}

fn role(status: &Value) -> &str {
    status["role"]["role"].as_str().unwrap_or_default()
}

/// The peers send to the site through this gateway.
fn wait_for_route(scene: &Scene, gateway: &str) {
    for peer in PEERS {
        eventually(&format!("{peer} to use {gateway}"), 5, || {
            let status = scene.status(peer);
            let routes = status["routes"].as_array();
            let route = routes
                .into_iter()
                .flatten()
                .find(|route| route["prefix"] == RANGE);
            route.is_some_and(|route| route["gateway"] == gateway)
        });
    }
}

/// The siblings' session goes over the site's network, which their record does not name.
fn inside_the_site(scene: &Scene) {
    eventually("the siblings' session inside the site", 10, || {
        let tunnel = scene.tunnel(FIRST, NAME);
        let address = tunnel
            .as_ref()
            .and_then(|tunnel| tunnel["address"].as_str());
        address.is_some_and(|address| {
            address.starts_with("10.10.1.2:") || address.starts_with("[fd00:10:1::2]:")
        })
    });
}
