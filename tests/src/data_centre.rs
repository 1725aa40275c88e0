//! [`DataCentre`]: a network without a gateway, behind a router in org1's site, added to a
//! laboratory that is up.
//!
//! ```text
//!   the data centre ───── idc0 peer0.org1 ───── org1's VPC ───── lan0 gw.org1
//!   10.20.1.11/24         10.20.1.1             10.10.1.11       routes 10.20.1.0/24 and
//!   10.20.2.11/24         10.20.2.1                              10.20.2.0/24 to peer0.org1
//! ```

use std::process::{Child, Command, Stdio};

use crate::Scene;
use crate::scene::eventually;
use crate::second_gateway::{batch, ip};

/// The machine that is the data centre's router, and the gateway that is to serve it.
const ROUTER: &str = "peer0.org1";
const GATEWAY: &str = "gw.org1";

const IN_THE_ROUTER: &str = "address add 10.20.1.1/24 dev idc0
address add 10.20.2.1/24 dev idc0
link set idc0 up
";

const INSIDE: &str = "address add 10.20.1.11/24 dev eth0
address add 10.20.2.11/24 dev eth0
link set eth0 up
link set lo up
route add default via 10.20.1.1
";

const AT_THE_GATEWAY: &str = "route add 10.20.1.0/24 via 10.10.1.11
route add 10.20.2.0/24 via 10.10.1.11
";

/// The network, with one host. It is removed when the value is dropped.
pub struct DataCentre {
    netns: String,
    servers: Vec<Child>,
}

impl DataCentre {
    /// Connects it. No gateway knows of it yet.
    pub fn connect(scene: &Scene) -> DataCentre {
        let netns = format!("{}-idc", scene.topology().lab);
        let [router, gateway] = [ROUTER, GATEWAY].map(|name| {
            let node = scene.node(name).expect("a machine of the laboratory");
            node.netns.clone()
        });

        ip(&["netns", "add", &netns]);
        let link = ["link", "add", "idc0", "netns", &router];
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &netns];
        ip(&[&link[..], &peer].concat());
        batch(&router, IN_THE_ROUTER);
        batch(&netns, INSIDE);
        batch(&gateway, AT_THE_GATEWAY);
        scene.sh(ROUTER, "echo 1 >/proc/sys/net/ipv4/ip_forward");

        DataCentre {
            netns,
            servers: Vec::new(),
        }
    }

    /// Listens at all addresses of its host.
    pub fn serve(&mut self, port: u16) {
        let server = self
            .command("python3")
            .args(["-c", &crate::listener(port)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.servers.push(server.expect("python3 runs"));

        let listens = format!("ss -Hltn sport = :{port}");
        eventually("the server", 10, || !self.sh(&listens).is_empty());
    }

    /// What a shell script prints at its host, whatever its exit code.
    pub fn sh(&self, script: &str) -> String {
        let output = self.command("sh").args(["-c", script]).output();
        let output = output.expect("sh runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// True if a ping with this source address is answered.
    pub fn pings(&self, source: &str, to: &str) -> bool {
        let ping = format!("ping -c 1 -W 1 -I {source} {to}");
        self.sh(&ping).contains(" 0% packet loss")
    }

    /// True if a TCP connection with this source address opens.
    pub fn connects(&self, source: &str, to: &str, port: u16) -> bool {
        let connect = format!(
            "python3 -c 'import socket; \
             socket.create_connection((\"{to}\", {port}), 0.5, (\"{source}\", 0)); print(\"open\")'"
        );
        self.sh(&connect).contains("open")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns, program]);
        command
    }
}

impl Drop for DataCentre {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // One that has ended needs no end.
            _ = server.kill();
            _ = server.wait();
        }
        _ = Command::new("ip")
            .args(["netns", "delete", &self.netns])
            .status();
    }
}
