//! `ringway recipe keepalived | bird`, in Debian's programs: the site's hosts and routers use
//! the gateway while it can carry their packets.
//!
//! ```text
//!   router peer1.org1, BIRD ── BGP, BFD ── gw.org1, BIRD ═══ gw.org2
//!          peer1.org1, keepalived ── VRRP ── gw.org1, keepalived
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use ringway_lab::program;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

pub(crate) const GATEWAY: &str = "gw.org1";
pub(crate) const ROUTER: &str = "peer1.org1";

/// The prefixes of another organization.
pub(crate) const MEMBER: [&str; 2] = ["10.10.2.0/24", "fd00:10:2::/64"];

/// What stands in angle brackets in a recipe.
const SITE: [(&str, &str); 4] = [
    ("<as>", "65001"),
    ("<router>", "10.10.1.12"),
    ("<gateway>", "10.10.1.1"),
    ("<as of the router>", "65002"),
];

const ROUTER_CONFIG: &str = "router id 10.10.1.12;
protocol device { }
protocol bfd { interface \"*\" { interval 300 ms; multiplier 3; }; }
protocol bgp ringway {
    local as 65002;
    neighbor 10.10.1.1 as 65001;
    bfd on;
    ipv4 { import all; export none; };
    ipv6 { import all; export none; };
}
";

/// The recipe for `name`, with the site's values.
pub(crate) fn recipe(scene: &Scene, name: &str) -> String {
    let printed = program::output(&mut scene.ringway(GATEWAY, &["recipe", name]));
    let mut text = printed.unwrap_or_else(|error| panic!("{error:#}"));
    for (placeholder, value) in SITE {
        text = text.replace(placeholder, value);
    }
    text
}

/// A directory for the files of `program` on `node`.
pub(crate) fn directory(scene: &Scene, node: &str, program: &str) -> PathBuf {
    let dir = scene.topology().dir().join(format!("{node}-{program}"));
    fs::create_dir_all(&dir).expect("the laboratory's directory is writable");
    dir
}

/// Starts BIRD in the foreground; its socket is `ctl` in the directory.
pub(crate) fn start_bird(scene: &Scene, node: &str, config: &str) -> (Background, PathBuf) {
    let dir = directory(scene, node, "bird");
    let file = dir.join("bird.conf");
    fs::write(&file, config).expect("the directory is writable");

    let socket = dir.join("ctl");
    let [file, control] = [&file, &socket].map(|path| path.display().to_string());
    let arguments = ["-f", "-c", &file, "-s", &control];
    let label = format!("{node}-bird");
    let bird = Background::start(scene, node, &label, "/usr/sbin/bird", &arguments);
    (bird, socket)
}

/// The prefixes of [`MEMBER`] that the router has.
fn known(scene: &Scene, socket: &Path) -> Vec<&'static str> {
    let control = socket.display().to_string();
    let show = ["-s", &control, "show", "route"];
    let printed = scene.output_of_any_exit(ROUTER, "/usr/sbin/birdc", &show);
    let has = |prefix: &&str| {
        let mut lines = printed.lines();
        lines.any(|line| line.starts_with(&format!("{prefix} ")))
    };
    MEMBER.into_iter().filter(has).collect()
}

/// Waits until the router knows both prefixes, over a session that BFD guards.
fn wait_until_known(scene: &Scene, socket: &Path) {
    eventually("the routes", 30, || known(scene, socket) == MEMBER);
    let control = socket.display().to_string();
    let sessions = ["-s", &control, "show", "bfd", "sessions"];

    eventually("BFD", 10, || {
        let shown = scene.output_of_any_exit(ROUTER, "/usr/sbin/birdc", &sessions);
        let mut lines = shown.lines();
        lines.any(|line| line.starts_with("10.10.1.1 ") && line.contains("Up"))
    });
}

#[test]
fn bird_exports_the_living_routes_of_both_families_alone() {
    let mut scene = Scene::new("bird", RINGWAY);
    let config = format!(
        "router id 10.10.1.1;\nprotocol device {{ }}\n{}",
        recipe(&scene, "bird")
    );
    let (_gateway, _) = start_bird(&scene, GATEWAY, &config);
    let (_router, socket) = start_bird(&scene, ROUTER, ROUTER_CONFIG);
    wait_until_known(&scene, &socket);

    scene.kill("gw.org2").expect("it runs");
    eventually("their end with the tunnel", 10, || {
        known(&scene, &socket).is_empty()
    });
    scene.start("gw.org2").expect("it starts");
    eventually("the routes", 20, || known(&scene, &socket) == MEMBER);

    scene.kill(GATEWAY).expect("it runs");
    eventually("their end with the daemon", 10, || {
        known(&scene, &socket).is_empty()
    });
    scene.close();
}

const VIRTUAL: &str = "
[ha]
addresses = [\"10.10.1.250/24\", \"fd00:10:1::250/64\"]
interface = \"lan0\"
";

#[test]
fn keepalived_moves_the_addresses_away_from_a_gateway_without_the_role() {
    let scene = Scene::new("keepalived", RINGWAY);
    // As the recipe says, the file that runs does not have them.
    append(&scene.config(GATEWAY), VIRTUAL);
    let text = recipe(&scene, "keepalived");
    replace(&scene.config(GATEWAY), VIRTUAL, "");
    // Another gateway of the site, whose daemon is never active.
    let quoted = text
        .split("script \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let script = quoted.expect("it has a script");
    let other = text
        .replace(script, "/bin/false")
        .replace("interface lan0", "interface eth0")
        .replace("priority 33", "priority 50");
    assert_ne!(text, other);

    let _gateway = start_keepalived(&scene, GATEWAY, &text);
    let _other = start_keepalived(&scene, ROUTER, &other);
    eventually("the addresses", 15, || {
        has(&scene, GATEWAY) && !has(&scene, ROUTER)
    });

    scene.kill(GATEWAY).expect("it runs");
    eventually("the addresses to move", 10, || {
        has(&scene, ROUTER) && !has(&scene, GATEWAY)
    });
    scene.close();
}

fn start_keepalived(scene: &Scene, node: &str, config: &str) -> Background {
    let dir = directory(scene, node, "keepalived");
    let file = dir.join("keepalived.conf");
    fs::write(&file, config).expect("the directory is writable");

    let file = file.display().to_string();
    let [pid, vrrp] = ["pid", "vrrp.pid"].map(|name| dir.join(name).display().to_string());
    let arguments = ["-n", "-l", "-P", "-f", &file, "-p", &pid, "-r", &vrrp];
    let label = format!("{node}-keepalived");
    Background::start(scene, node, &label, "/usr/sbin/keepalived", &arguments)
}

/// True if `node` has both virtual addresses.
fn has(scene: &Scene, node: &str) -> bool {
    let shown = scene.output(node, "ip", &["-oneline", "address", "show"]);
    shown.contains(" 10.10.1.250/") && shown.contains(" fd00:10:1::250/")
}
