//! The network of a site with two gateways is cut, and no other way leads from one to the other:
//! one that is started then hears through the other members' gateways that its sibling is active.
//!
//! ```text
//!                            ┌─ gw.org0 ───┐
//!   orderer0.org0 ── vpc ──╱╱┤             ├─╱╱─ wan ── gw.org1, gw.org2
//!                            └─ gw2.org0 ──┘
//! ```

use ringway_lab::status;
use ringway_tests::Scene;
use ringway_tests::scene::eventually;
use ringway_tests::siblings::{active, divide, other, unite, wait_until_it_holds, wait_until_over};
use serde_json::Value;

use crate::RINGWAY;

#[test]
fn a_gateway_that_starts_in_a_partition_learns_from_peers_of_its_active_sibling() {
    let mut scene = Scene::with_siblings("partition", RINGWAY);
    eventually("one to be active", 20, || active(&scene).is_some());
    let first = active(&scene).expect("one is active");
    let second = other(first);
    wait_until_it_holds(&scene, first);
    divide(&scene);
    wait_until_apart(&scene, second, first);

    // The standby is restarted, then the active one: each leaves the other its place.
    scene.kill(second).expect("it runs");
    scene.start(second).expect("it starts");
    wait_until_apart(&scene, second, first);
    assert_eq!(active(&scene), Some(first));

    scene.kill(first).expect("it runs");
    wait_until_it_holds(&scene, second);
    scene.start(first).expect("it starts");
    wait_until_apart(&scene, first, second);
    assert_eq!(active(&scene), Some(second));

    // Both die: the one that comes back is alone.
    scene.kill(first).expect("it runs");
    scene.kill(second).expect("it runs");
    scene.start(first).expect("it starts");
    wait_until_it_holds(&scene, first);

    scene.start(second).expect("it starts");
    wait_until_apart(&scene, second, first);
    unite(&scene);
    wait_until_over(&scene);
    assert_eq!(active(&scene), Some(first));
    scene.close();
}

/// Waits until `standby` knows by a proof that `active` is active; since its start it has never
/// been active itself.
fn wait_until_apart(scene: &Scene, standby: &str, active: &str) {
    eventually(&format!("{standby} to hear of {active}"), 20, || {
        let status = status::ask(scene, standby).unwrap_or(Value::Null);
        let sibling = &status["site"]["siblings"][0];
        sibling["contact"] == "apart" && sibling["role"] == "active"
    });

    let status = scene.status(standby);
    assert_eq!(status["role"]["role"], "standby", "{}", status["role"]);
    assert_eq!(status["site"]["takeovers"], serde_json::json!({}));
}
