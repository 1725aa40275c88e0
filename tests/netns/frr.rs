//! A router of the site runs Debian's FRR with `ringway recipe frr`, and hears BIRD of the gateway:
//! the living routes of both families, and by BFD that the gateway's host is dead.
//!
//! ```text
//!   router peer1.org1, FRR ── BGP, BFD ── gw.org1, BIRD ═══ gw.org2
//! ```

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway_lab::program;
use ringway_tests::scene::eventually;
use ringway_tests::{Background, Scene};

use crate::RINGWAY;
use crate::routing_daemons::{GATEWAY, MEMBER, ROUTER, directory, recipe, start_bird};

/// FRR's programs of a node, and the directory with their sockets.
pub(crate) struct Frr {
    node: &'static str,
    dir: PathBuf,
    _daemons: Vec<Background>,
}

impl Frr {
    pub(crate) fn start(scene: &Scene, node: &'static str, config: &str) -> Frr {
        let dir = directory(scene, node, "frr");
        // They change to a user of their own, and write their sockets there.
        let id = |option| {
            let printed = program::output(Command::new("id").args([option, "frr"]));
            printed.ok().and_then(|id| id.trim().parse().ok())
        };
        chown(&dir, id("-u"), id("-g")).expect("the package frr has made its user");

        let daemons = ["zebra", "bfdd", "bgpd"].map(|name| {
            let daemon = start_daemon(scene, node, &dir, name);
            eventually(name, 10, || dir.join(format!("{name}.vty")).exists());
            daemon
        });
        let file = dir.join("frr.conf");
        fs::write(&file, config).expect("the directory is writable");
        let frr = Frr {
            node,
            dir,
            _daemons: daemons.into(),
        };
        frr.vtysh(scene, &["-f", &file.display().to_string()]);
        frr
    }

    pub(crate) fn vtysh(&self, scene: &Scene, arguments: &[&str]) -> String {
        let dir = self.dir.display().to_string();
        let socket = ["--vty_socket", &dir];

        scene.output(self.node, "vtysh", &[&socket, arguments].concat())
    }

    /// What BFD knows of the gateway.
    fn bfd(&self, scene: &Scene) -> String {
        self.vtysh(scene, &["-c", "show bfd peer 10.10.1.1"])
    }

    /// The prefixes of the other organization that the router has learned.
    fn known(&self, scene: &Scene) -> Vec<&'static str> {
        let show = ["-c", "show ip route bgp", "-c", "show ipv6 route bgp"];
        let shown = self.vtysh(scene, &show);
        let has = |prefix: &&str| {
            let mut lines = shown.lines();
            lines.any(|line| line.starts_with(&format!("B>* {prefix} ")))
        };

        MEMBER.into_iter().filter(has).collect()
    }
}

fn start_daemon(scene: &Scene, node: &str, dir: &Path, name: &str) -> Background {
    let dir = dir.display();
    let empty = format!("{dir}/{name}.conf");
    fs::write(&empty, "").expect("the directory is writable");
    let arguments = [
        "-f".to_owned(),
        empty,
        format!("--pid_file={dir}/{name}.pid"),
        format!("--socket={dir}/zserv.api"),
        format!("--vty_socket={dir}"),
        "--vty_port=0".to_owned(),
    ];
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let control = format!("--bfdctl={dir}/bfdd.sock");
    if name == "bfdd" {
        arguments.push(&control);
    }

    let label = format!("{node}-{name}");
    Background::start(
        scene,
        node,
        &label,
        &format!("/usr/lib/frr/{name}"),
        &arguments,
    )
}

#[test]
fn frr_learns_the_living_routes_and_notices_a_dead_gateway_by_bfd() {
    let mut scene = Scene::new("frr", RINGWAY);
    let bird = format!(
        "router id 10.10.1.1;\nprotocol device {{ }}\n{}",
        recipe(&scene, "bird")
    );
    let (_bird, _) = start_bird(&scene, GATEWAY, &bird);
    let frr = Frr::start(&scene, ROUTER, &recipe(&scene, "frr"));
    eventually("the routes", 40, || frr.known(&scene) == MEMBER);
    eventually("BFD", 15, || frr.bfd(&scene).contains("Status: up"));

    scene.kill("gw.org2").expect("it runs");
    eventually("their end with the tunnel", 10, || {
        frr.known(&scene).is_empty()
    });
    scene.start("gw.org2").expect("it starts");
    eventually("the routes", 20, || frr.known(&scene) == MEMBER);

    // BGP alone would wait for its hold time, which is minutes.
    scene.output(GATEWAY, "ip", &["link", "set", "lan0", "down"]);
    eventually("BFD to notice the dead host", 20, || {
        frr.bfd(&scene).contains("Status: down") && frr.known(&scene).is_empty()
    });
    let bfd = frr.bfd(&scene);
    assert!(bfd.contains("control detection time expired"), "{bfd}");
    scene.close();
}
