//! [`Container`]: a network namespace on a machine of the laboratory, connected to one of its
//! bridges, as a container engine does it. It goes when the value is dropped.

use crate::{Background, Scene};

/// See the head of this file.
pub struct Container {
    /// A process that does nothing; the namespace lives as long as it does.
    process: Background,
    node: String,
}

impl Container {
    /// Connects a container to `bridge` of `node`: its interface is `eth0` with `address`, a prefix
    /// length behind it, and a default route by `router`.
    pub fn start(
        scene: &Scene,
        node: &str,
        bridge: &str,
        address: &str,
        router: &str,
    ) -> Container {
        Container::named(scene, node, bridge, bridge, address, router)
    }

    /// The same for one of several containers on a bridge, with a `name` of up to ten letters.
    pub fn named(
        scene: &Scene,
        node: &str,
        bridge: &str,
        name: &str,
        address: &str,
        router: &str,
    ) -> Container {
        let label = format!("container-{node}-{name}");
        let script = "echo started; exec sleep infinity";
        let arguments = ["--net", "sh", "-c", script];
        let process = Background::start(scene, node, &label, "unshare", &arguments);
        process.wait_for("started");
        let container = Container {
            process,
            node: node.to_owned(),
        };

        let id = container.process.id();
        scene.sh(
            node,
            &format!(
                "ip link add veth-{name} type veth peer name eth0 netns {id}; \
                 ip link set veth-{name} master {bridge} up"
            ),
        );
        container.sh(
            scene,
            &format!(
                "ip link set lo up; ip link set eth0 up; ip address add {address} dev eth0; \
                 ip route add default via {router}"
            ),
        );
        container
    }

    /// Runs a shell script in it, and returns what it prints; its failure fails the test.
    pub fn sh(&self, scene: &Scene, script: &str) -> String {
        let netns = self.netns();
        let arguments = [&netns, "--", "bash", "-ec", script];
        scene.output(&self.node, "nsenter", &arguments)
    }

    /// True if `address` answers a ping within a second.
    pub fn reaches(&self, scene: &Scene, address: &str) -> bool {
        let ping = format!("ping -n -c 1 -W 1 {address} && echo reached");
        let netns = self.netns();
        let arguments = [&netns, "--", "bash", "-ec", &ping];
        let printed = scene.output_of_any_exit(&self.node, "nsenter", &arguments);
        printed.contains("reached")
    }

    /// Starts a server of iperf3 in it; it has `label`.
    pub fn serve(&self, scene: &Scene, label: &str, port: u16) -> Background {
        let netns = self.netns();
        let port = port.to_string();
        let arguments = [&netns, "--", "iperf3", "--forceflush", "-s", "-p", &port];
        let server = Background::start(scene, &self.node, label, "nsenter", &arguments);
        server.wait_for("Server listening");
        server
    }

    /// The option of `nsenter` for its namespace.
    fn netns(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.process.id())
    }
}
