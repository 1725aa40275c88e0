//! Strangers begin handshakes and fall silent; members connect all the same, wherever they come
//! from.
//!
//! ```text
//!   30 strangers, each of another network ──► gw.org1 ◄── NAT ── gw.org0, of no recorded address
//! ```

use std::time::Duration;

use ringway_lab::ping::{Family, Outcome};
use ringway_lab::status;
use ringway_tests::scene::{eventually, replace};
use ringway_tests::strangers::Strangers;
use ringway_tests::{Emulator, Scene};

use crate::{EMULATOR, RINGWAY};

const STRANGERS: u8 = 30;
const MEMBER: &str = "gw.org0";
const FLOODED: &str = "gw.org1";

/// Time for a member to connect.
const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn thirty_silent_strangers_do_not_keep_out_a_member_from_an_unrecorded_address() {
    let mut scene = Scene::new("strangers", RINGWAY);
    let mut emulator = Emulator::install(&scene, "org0", EMULATOR, 23);
    let theirs = scene.beside(FLOODED, "members/org0.member.toml");
    let own = r#"endpoints = ["203.0.113.2:4600", "[2001:db8::2]:4600"]"#;
    replace(&theirs, own, "endpoints = []");
    replace(&theirs, "serial = 1 ", "serial = 2 ");
    scene.reload(FLOODED);
    scene.kill(MEMBER).expect("it runs");
    eventually("the other end to notice", 10, || {
        !scene.is_up(FLOODED, MEMBER)
    });

    let peer = "gw.org1".parse().expect("a gateway");
    let target = "203.0.113.6:4600".parse().expect("an address");
    let config = scene.config("gw.org2");
    let strangers = Strangers::start(&scene, STRANGERS, config, &peer, target);
    eventually("handshakes of all strangers", 40, || {
        strangers.waiting() == usize::from(STRANGERS)
    });

    // Each time from an address that has completed no handshake yet.
    for number in 1..=3 {
        emulator.apply(&[&format!("nat 198.51.100.{number} 2001:db8:64:{number}::1")]);
        scene.start(MEMBER).expect("it starts");
        status::wait_for_tunnels(&scene, MEMBER, LIMIT).expect("members connect");
        let to = "10.10.1.11";
        scene.ping_until("orderer0.org0", to, Family::V4, &Outcome::Reply, LIMIT);

        scene.kill(MEMBER).expect("it runs");
        eventually("the other end to notice", 10, || {
            !scene.is_up(FLOODED, MEMBER)
        });
    }
    drop(strangers);
    drop(emulator);
    scene.close();
}
