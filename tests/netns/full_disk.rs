//! The state directory of a gateway is on a disk that is full when it starts, reloads and starts
//! again: it runs, says what it could not store, and stores it once there is room.

use nix::sys::signal::Signal;
use ringway_lab::ping::{Family, Outcome};
use ringway_tests::attention::{attention, wait_until_over};
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// What every start stores.
const FILES: [&str; 5] = [
    "accepted",
    "endpoint-keys",
    "kernel-settings.json",
    "policy.json",
    "traces.json",
];

#[test]
fn a_full_disk_keeps_no_gateway_down_and_is_reported_until_there_is_room() {
    let scene = Scene::new("full-disk", RINGWAY);
    scene.stop(GATEWAY);
    let disk = Disk::full(&scene);
    let daemon = disk.start(&scene, "first");
    assert_works(&scene);
    for what in ["accepted records", "rules in force", "stateless resets"] {
        let list = attention(&scene, GATEWAY);
        assert!(list.contains(what), "{what} is not in {list}");
        assert!(list.contains("No space left"), "{list}");
        assert!(daemon.printed().contains(what), "{what} is not in the log");
    }

    assert!(attention(&scene, GATEWAY).contains("less than 1 MiB are free"));
    publish_a_name(&scene, "late", "10.10.2.12");
    eventually("the name of a zone that is not stored", 10, || {
        resolves(&scene, "late")
    });
    scene_reload(&scene, &daemon);
    assert_works(&scene);

    daemon.stop(Signal::SIGTERM);
    let daemon = disk.start(&scene, "second");
    assert_works(&scene);

    disk.make_room(&scene);
    for what in ["accepted records", "rules in force", "stateless resets"] {
        wait_until_over(&scene, GATEWAY, what);
    }
    for file in FILES {
        eventually(file, 10, || disk.has(&scene, file));
    }
    daemon.stop(Signal::SIGTERM);
    scene.close();
}

/// A small file system over the gateway's state directory, in the mount namespace of one process.
struct Disk {
    process: Background,
    directory: String,
}

impl Disk {
    fn full(scene: &Scene) -> Disk {
        let directory = scene.beside(GATEWAY, "state");
        let directory = directory.to_string_lossy().into_owned();
        // `ip netns exec` gives each program mounts of its own, so nothing has to be unmounted.
        let script = format!(
            "mount -t tmpfs -o size=64k,mode=0700 tmpfs {directory}; \
             dd if=/dev/zero of={directory}/filler bs=4k; \
             echo full; exec sleep infinity"
        );
        let process = Background::start(scene, GATEWAY, "disk", "bash", &["-c", &script]);
        process.wait_for("full\n");
        Disk { process, directory }
    }

    fn start(&self, scene: &Scene, label: &str) -> Background {
        // So that the daemon changes it, and has that to remember.
        scene.sh(GATEWAY, "sysctl -qw net.ipv4.conf.lan0.forwarding=0");
        let config = scene.config(GATEWAY);
        let config = config.to_string_lossy();
        let mounts = self.mounts();
        let arguments = [&mounts, "--", RINGWAY, "run", "-c", &config];
        let daemon = Background::start(scene, GATEWAY, label, "nsenter", &arguments);
        daemon.wait_for("Gateway running");
        daemon
    }

    fn make_room(&self, scene: &Scene) {
        let filler = format!("{}/filler", self.directory);
        scene.output(GATEWAY, "nsenter", &[&self.mounts(), "--", "rm", &filler]);
    }

    fn has(&self, scene: &Scene, file: &str) -> bool {
        let list = ["--", "ls", &self.directory].map(str::to_owned);
        let arguments = [&self.mounts(), &*list[0], &*list[1], &*list[2]];
        let files = scene.output(GATEWAY, "nsenter", &arguments);
        files.lines().any(|line| line == file)
    }

    /// The option of `nsenter` for the mount namespace.
    fn mounts(&self) -> String {
        format!("--mount=/proc/{}/ns/mnt", self.process.id())
    }
}

fn assert_works(scene: &Scene) {
    eventually("the tunnels", 15, || {
        ["gw.org0", "gw.org2"]
            .iter()
            .all(|peer| scene.is_up(GATEWAY, peer))
    });
    for (from, to) in [("peer0.org1", "10.10.2.11"), ("peer0.org2", "10.10.1.11")] {
        assert_eq!(scene.ping(from, to, Family::V4), Outcome::Reply);
    }
}

fn publish_a_name(scene: &Scene, name: &str, address: &str) {
    let record =
        format!("\n[[dns.record]]\nname = \"{name}\"\ntype = \"A\"\ndata = \"{address}\"\n");
    append(&scene.config("gw.org2"), &record);
    scene.reload("gw.org2");
}

fn resolves(scene: &Scene, name: &str) -> bool {
    let name = format!("{name}.org2.consortium.example");
    let dig = ["@10.10.1.1", "+short", "+tries=1", "+timeout=1", &name];
    !scene
        .output_of_any_exit("peer0.org1", "dig", &dig)
        .trim()
        .is_empty()
}

/// Reloads with a rule more: what is remembered of the rules cannot be stored either.
fn scene_reload(scene: &Scene, daemon: &Background) {
    append(
        &scene.config(GATEWAY),
        "\n[[policy.allow]]\nfrom = \"org2\"\nto = \"10.10.1.0/24\"\nproto = \"udp\"\nports = 9\n",
    );
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("Configuration reloaded");
}
