//! A gateway's certificate is replaced and expires while the mesh runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_lab::program;
use ringway_tests::certificate::{self, seconds_since_1970};
use ringway_tests::scene::eventually;
use ringway_tests::{Flow, Scene};
use serde_json::Value;

use crate::RINGWAY;

/// The peers of gw.org2.
const PEERS: [&str; 2] = ["gw.org0", "gw.org1"];

/// Lifetime of the short-lived certificate, in seconds. It is longer than the replaced session
/// drains (10 s): if the new session ended earlier, the replaced one would carry packets again.
const LIFETIME: u64 = 17;

/// Limit for a session to end after its certificate has expired.
const CONTRACT: Duration = Duration::from_secs(2);

#[test]
fn a_new_certificate_is_applied_without_a_lost_packet() {
    let scene = Scene::new("rotation", RINGWAY);
    let flow = Flow::start(&scene, "orderer0.org0", "peer0.org2");
    let since = scene.up_since("gw.org0", "gw.org1");

    let now = seconds_since_1970(SystemTime::now());
    certificate::replace(&scene, "gw.org2", now..now + 3600);
    scene.reload("gw.org2");
    eventually("the new certificate in the status", 5, || {
        certificates(&scene).contains("CN=made with openssl")
    });
    // The replaced sessions drain for 10 s and are closed then. Nothing may be lost at that either.
    let replies = flow.replies();
    eventually("pings for twelve seconds", 30, || {
        flow.replies() > replies + 12 * Flow::RATE
    });

    assert!(scene.is_up("gw.org2", "gw.org0") && scene.is_up("gw.org0", "gw.org2"));
    flow.assert_none_lost("across the rotation");
    assert_eq!(scene.up_since("gw.org0", "gw.org1"), since);
    scene.close();
}

#[test]
fn the_peers_see_a_renewed_certificate_while_the_tunnels_stay_up() {
    let scene = Scene::beside_others("renewed", RINGWAY);
    let flow = Flow::start(&scene, "orderer0.org0", "peer0.org2");
    let since = PEERS.map(|peer| scene.up_since(peer, "gw.org2"));

    // One that ends within the hour first, so that each renewal is seen to end later.
    let now = seconds_since_1970(SystemTime::now());
    certificate::replace(&scene, "gw.org2", now..now + 3600);
    scene.reload("gw.org2");
    let mut shown = wait_until_shown(&scene);
    let within_the_hour = shown.clone();
    for arguments in [&["cert", "renew"][..], &["cert", "renew", "--new-key"]] {
        program::output(&mut scene.ringway("gw.org2", arguments)).expect("the CA is here");
        program::output(&mut scene.ringway("gw.org2", &["reload"])).expect("it is accepted");

        let renewed = wait_until_shown(&scene);
        for (before, after) in shown.iter().zip(&renewed) {
            assert_ne!(before["fingerprint"], after["fingerprint"], "{after}");
        }
        shown = renewed;
    }
    for (before, after) in within_the_hour.iter().zip(&shown) {
        // RFC 3339, of one time zone.
        let ends = |shown: &Value| shown["not_after"].as_str().map(str::to_owned);
        assert!(ends(before) < ends(after), "{before} {after}");
    }
    assert_eq!(PEERS.map(|peer| scene.up_since(peer, "gw.org2")), since);
    flow.assert_none_lost("across three certificates");
    scene.close();
}

/// Waits until the peers of gw.org2 show the certificate that it has in its file, and gives what
/// they show of it.
fn wait_until_shown(scene: &Scene) -> [Value; 2] {
    let serial = certificate::serial(scene, "gw.org2");
    PEERS.map(|peer| {
        let mut shown = Value::Null;
        eventually(&format!("the certificate {serial} at {peer}"), 15, || {
            let tunnel = scene.tunnel(peer, "gw.org2").unwrap_or_default();
            shown = tunnel["certificate"].clone();
            shown["serial"] == serial.as_str()
        });
        let logged = scene.logged(peer);
        assert!(
            logged.contains("Peer has another certificate"),
            "{peer}: {logged}"
        );
        shown
    })
}

#[test]
fn a_session_ends_within_two_seconds_of_its_certificates_expiry() {
    let scene = Scene::beside_others("expiry", RINGWAY);
    let flow = Flow::start(&scene, "orderer0.org0", "peer0.org2");
    let bystander = Flow::start(&scene, "orderer1.org0", "peer0.org1");
    keep_old_pair(&scene);

    // openssl takes whole seconds, and the last of them is still valid (RFC 5280, 4.1.2.5).
    let now = seconds_since_1970(SystemTime::now());
    let not_after = now + LIFETIME;
    let expiry = UNIX_EPOCH + Duration::from_secs(not_after);
    certificate::replace(&scene, "gw.org2", now..not_after);
    scene.reload("gw.org2");
    for gateway in ["gw.org0", "gw.org1"] {
        eventually("the session to end", LIFETIME + 5, || {
            !scene.is_up(gateway, "gw.org2")
        });
        let ended = SystemTime::now();
        assert!(ended >= expiry, "{gateway}: before the certificate expired");
        assert!(
            ended < expiry + Duration::from_secs(1) + CONTRACT,
            "{gateway}: {:?} after the certificate expired",
            ended.duration_since(expiry)
        );
    }
    let tally = flow.stop();
    assert!(tally.replies > Flow::RATE, "{tally:?}");
    assert_eq!(tally.lost, 0, "before the certificate expired: {tally:?}");
    eventually("gw.org0 to report the reason", 5, || {
        last_error(&scene).contains("expired")
    });

    restore_old_pair(&scene);
    scene.reload("gw.org2");
    scene
        .wait_until_joined()
        .expect("the old certificate is still valid");
    bystander.assert_none_lost("the tunnel between the others");
    scene.close();
}

fn certificates(scene: &Scene) -> String {
    scene.status("gw.org2")["certificates"].to_string()
}

fn last_error(scene: &Scene) -> String {
    scene
        .tunnel("gw.org0", "gw.org2")
        .map(|tunnel| tunnel["last_error"].to_string())
        .unwrap_or_default()
}

/// Certificate and key of gw.org2, in the directory of its `gateway.toml`.
const PAIR: [&str; 2] = ["gateway.crt", "gateway.key"];

fn keep_old_pair(scene: &Scene) {
    for file in PAIR {
        let old = scene.beside("gw.org2", &format!("old.{file}"));
        std::fs::copy(scene.beside("gw.org2", file), old).expect("the pair can be copied");
    }
}

fn restore_old_pair(scene: &Scene) {
    for file in PAIR {
        let old = scene.beside("gw.org2", &format!("old.{file}"));
        std::fs::copy(old, scene.beside("gw.org2", file)).expect("the pair can be copied");
    }
}
