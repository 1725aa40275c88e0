//! [`PodNode`]: a node of a cluster that is none. `tests/pod` runs the pods of the chart there, as
//! a kubelet and a container runtime would: with their rights, mounts and commands, on the content
//! of the container image.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway_lab::program;

use crate::{Background, Scene};

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The user of the pods, and its group.
const USER: u32 = 64600;

/// See the head of this file. It lies in the laboratory's directory, and goes with it.
pub struct PodNode {
    dir: PathBuf,
    gateway: String,
}

impl PodNode {
    /// For `gateway`, which does not run: its files become ConfigMaps and a Secret, `binary` the
    /// program of the image.
    pub fn new(scene: &Scene, gateway: &str, binary: &str) -> PodNode {
        let dir = scene.topology().dir().join("node");
        let node = PodNode {
            dir,
            gateway: gateway.to_owned(),
        };
        for name in ["gateway", "organization", "members", "identity"] {
            fs::create_dir_all(node.source(name, "")).expect("it is in a directory of the test");
        }

        let from = |file: &str| scene.beside(gateway, file);
        let org = gateway.split('.').nth(1).expect("gw.<org>");
        let record = format!("{org}.member.toml");
        copy(
            &from("gateway.toml"),
            &node.source("gateway", "gateway.toml"),
        );
        copy(&from(&record), &node.source("organization", &record));
        copy(&from("gateway.crt"), &node.source("identity", "tls.crt"));
        copy(&from("gateway.key"), &node.source("identity", "tls.key"));
        for entry in fs::read_dir(from("members")).expect("it has members") {
            let path = entry.expect("it can be read").path();
            let name = path.file_name().and_then(|name| name.to_str());
            copy(&path, &node.source("members", name.expect("ASCII")));
        }

        assemble(&node.dir, binary);
        // The node asks the gateway for names, as hosts of its site do.
        let resolvers = "nameserver 10.10.1.1\n";
        fs::write(node.dir.join("resolv.conf"), resolvers).expect("it is ours");
        node.replace_volumes();
        node
    }

    /// A node of the DaemonSet, as a directory for `tests/pod`: it has these files of an attached
    /// node, and `binary` is the program of the image.
    pub fn worker(scene: &Scene, files: &[PathBuf], binary: &str) -> PathBuf {
        let dir = scene.topology().dir().join("worker");
        let etc = dir.join("host/etc/ringway");
        fs::create_dir_all(&etc).expect("it is in a directory of the test");
        assemble(&dir, binary);

        for file in files {
            let name = file.file_name().expect("a file");
            copy(file, &etc.join(name));
            chown(etc.join(name), Some(USER), Some(USER)).expect("root may");
        }
        dir
    }

    /// A file of a ConfigMap or Secret, to be changed. It counts with [`PodNode::replace_volumes`].
    pub fn source(&self, name: &str, file: &str) -> PathBuf {
        self.dir.join("sources").join(name).join(file)
    }

    /// The manifests that are run.
    pub fn manifests(&self) -> PathBuf {
        self.dir.join("pods.json")
    }

    /// Has the running pod see the sources as they are now.
    pub fn replace_volumes(&self) {
        let mut replace = Command::new(format!("{ROOT}/tests/pod"));
        program::output(replace.arg(&self.dir).arg("volumes")).expect("the sources are there");
    }

    /// Starts the gateway's pod, its init containers first.
    pub fn start(&self, scene: &Scene) -> Background {
        // What the test asks is asked there.
        let socket = scene.beside(&self.gateway, "ringway.sock");
        let there = format!(
            "host/run/ringway/ringway-acme-ringway/{}.sock",
            self.gateway
        );
        std::os::unix::fs::symlink(self.dir.join(there), socket).expect("the gateway has ended");

        self.run(scene, "gateway")
    }

    /// Runs another container: `preStop` or `doctor`.
    pub fn run(&self, scene: &Scene, what: &str) -> Background {
        let dir = self.dir.to_str().expect("it is made of ASCII");
        let pod = format!("{ROOT}/tests/pod");
        let label = format!("pod-{what}");
        Background::start(scene, &self.gateway, &label, &pod, &[dir, what])
    }

    /// `/proc/PID/status` of the first process of the container that `pod` runs.
    pub fn process_status(pod: &Background) -> String {
        let id = pod.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let child = children.expect("it runs").trim().to_owned();

        fs::read_to_string(format!("/proc/{child}/status")).expect("it runs")
    }
}

/// What `tests/pod` needs of a node: manifests, and the content of the image.
fn assemble(dir: &Path, binary: &str) {
    let pods = Path::new(ROOT).join("tests/helm/pods.json");
    copy(&pods, &dir.join("pods.json"));

    let mut assemble = Command::new(format!("{ROOT}/deploy/container/assemble"));
    program::output(assemble.arg(dir.join("image")).arg(binary)).expect("it has all parts");
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
