//! [`AttachedNode`]: a host of org1 in a data centre behind NAT, added to a laboratory that is up.
//!
//! ```text
//!   db1 192.168.7.2 ── 192.168.7.1 NAT 203.0.113.162 ── wan ── gw.org1 (and gw2.org1)
//!   10.20.1.11, fd00:20:1::11 (org1/idc, via vpc)
//! ```
//! As a router, it has the network 10.20.1.64/28 behind it. Another node is behind a NAT of its own
//! that is behind the first one.
//!
//! Its files are made as an operator would: `attach init` with the organization's CA.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ringway_lab::program;
use serde_json::Value;

use crate::Scene;
use crate::daemon::Daemon;
use crate::second_gateway::{batch, ip};

/// Its addresses in the mesh.
pub const ADDRESS: &str = "10.20.1.11";
/// See [`ADDRESS`].
pub const ADDRESS_V6: &str = "fd00:20:1::11";

/// The gateway whose files have the organization's CA and record.
const GATEWAY: &str = "gw.org1";

/// The network behind it as a router.
pub const NETWORK: &str = "10.20.1.64/28";
/// A host there.
pub const BEHIND_IT: &str = "10.20.1.66";

/// What a NAT is connected to, and the network behind it.
struct Uplink {
    /// In the namespace of its router.
    device: &'static str,
    router: &'static str,
    address: &'static str,
    inside: &'static str,
}

const TO_THE_WAN: Uplink = Uplink {
    device: "node0",
    router: "203.0.113.161",
    address: "203.0.113.162",
    inside: "192.168.7",
};
const TO_THE_FIRST_NAT: Uplink = Uplink {
    device: "in1",
    router: "192.168.8.1",
    address: "192.168.8.2",
    inside: "192.168.9",
};

/// Its side of IPv6, which no NAT translates.
const V6_ON_THE_WAN: &str = "address add 2001:db8:0:70::1/64 dev node0 nodad
route add 2001:db8:0:71::/64 via 2001:db8:0:70::2
";
const V6_AT_THE_NAT: &str = "address add 2001:db8:0:70::2/64 dev up0 nodad
address add 2001:db8:0:71::1/64 dev in0 nodad
route add default via 2001:db8:0:70::1
";
const V6_INSIDE: &str = "address add 2001:db8:0:71::2/64 dev eth0 nodad
route add default via 2001:db8:0:71::1
";

/// The node. It is ended and removed when the value is dropped.
pub struct AttachedNode {
    name: String,
    netns: String,
    nat: String,
    dir: PathBuf,
    binary: PathBuf,
    process: Daemon,
    servers: Vec<Child>,
    /// Namespaces of hosts behind it.
    hosts: Vec<String>,
}

impl AttachedNode {
    /// The node `name` behind NAT, with these addresses and networks. It has its files and does not
    /// run yet.
    pub fn create(scene: &Scene, binary: &str, name: &str, addresses: &[&str]) -> AttachedNode {
        let node = AttachedNode::bare(scene, binary, name);
        node.create_files(scene, addresses);
        node
    }

    /// A host behind NAT that has no files of ours.
    pub fn bare(scene: &Scene, binary: &str, name: &str) -> AttachedNode {
        let wan = format!("{}-wan", scene.topology().lab);
        AttachedNode::connected(scene, binary, name, &wan, &TO_THE_WAN)
    }

    fn connected(
        scene: &Scene,
        binary: impl Into<PathBuf>,
        name: &str,
        router: &str,
        uplink: &Uplink,
    ) -> AttachedNode {
        let topology = scene.topology();
        let node = AttachedNode {
            name: name.to_owned(),
            netns: format!("{}-{name}", topology.lab),
            nat: format!("{}-{name}-nat", topology.lab),
            dir: topology.dir().join(name),
            binary: binary.into(),
            process: Daemon::default(),
            servers: Vec::new(),
            hosts: Vec::new(),
        };
        node.connect(router, uplink);
        node
    }

    /// A host of [`NETWORK`] behind it, at [`BEHIND_IT`].
    pub fn add_host(&mut self) {
        let host = format!("{}-host", self.netns);
        ip(&["netns", "add", &host]);
        veth("lan0", &self.netns, "eth0", &host);
        batch(
            &self.netns,
            "address add 10.20.1.65/28 dev lan0\nlink set lan0 up\n",
        );
        batch(
            &host,
            "address add 10.20.1.66/28 dev eth0\nlink set eth0 up\nlink set lo up\n\
             route add default via 10.20.1.65\n",
        );
        self.hosts.push(host);
    }

    /// What a shell script prints at the host behind it, whatever its exit code.
    pub fn at_the_host(&self, script: &str) -> String {
        let host = self.hosts.first().expect("add_host was called");
        let output = Command::new("ip")
            .args(["netns", "exec", host, "sh", "-c", script])
            .output();
        String::from_utf8_lossy(&output.expect("sh runs").stdout).into_owned()
    }

    /// Where it has its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives it a way to the gateways over IPv6. Its router lets nothing in but answers.
    pub fn connect_ipv6(&self, scene: &Scene) {
        batch(&format!("{}-wan", scene.topology().lab), V6_ON_THE_WAN);
        batch(&self.nat, V6_AT_THE_NAT);
        batch(&self.netns, V6_INSIDE);

        self.at_the_nat(
            "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; \
             nft 'table ip6 closed { chain passes { type filter hook forward priority 0; \
             iifname up0 ct state new drop; }; }'",
        );
    }

    /// Another one behind the same NAT, and behind a second one of its own.
    pub fn beside(&self, scene: &Scene, name: &str, addresses: &[&str]) -> AttachedNode {
        let binary = &self.binary;
        let node = AttachedNode::connected(scene, binary, name, &self.nat, &TO_THE_FIRST_NAT);
        node.create_files(scene, addresses);
        node
    }

    /// Starts it.
    pub fn start(&mut self) {
        let command = self.ringway(&["attach", "run"]);
        self.process.start(command, &self.dir);
    }

    /// Starts the pod of the DaemonSet in its place, of the node that this directory is.
    pub fn start_pod(&mut self, worker: &Path) {
        let mut command = self.command(concat!(env!("CARGO_MANIFEST_DIR"), "/pod"));
        command.arg(worker).arg("attach");
        self.process.start(command, &self.dir);
    }

    /// Its files, but for those that it makes itself.
    pub fn files(&self) -> [PathBuf; 4] {
        let names = ["node.toml", "node.crt", "node.key", "org1.member.toml"];
        names.map(|name| self.dir.join(name))
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Its `node.toml`.
    pub fn config(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    /// The program in its namespace, with its configuration.
    pub fn ringway(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.binary.display().to_string());
        command.args(arguments).arg("-c").arg(self.config());
        command
    }

    /// Output of its `ringway status --json`; null while it does not answer.
    pub fn status(&self) -> Value {
        let printed = program::output(&mut self.ringway(&["status", "--json"]));
        printed.map_or(Value::Null, |printed| {
            serde_json::from_str(&printed).expect("the status is JSON")
        })
    }

    /// True if its tunnel to this gateway is up.
    pub fn is_attached_to(&self, gateway: &str) -> bool {
        let status = self.status();
        let mut tunnels = status["tunnels"].as_array().into_iter().flatten();

        tunnels.any(|tunnel| tunnel["peer"] == gateway && tunnel["state"] == "up")
    }

    /// The file of its resolver.
    pub fn resolvers(&self) -> String {
        fs::read_to_string(self.dir.join("resolv.conf")).expect("it was created")
    }

    /// All that it has logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Listens at all of its addresses.
    pub fn serve(&mut self, port: u16) {
        let server = self
            .command("python3")
            .args(["-c", &crate::listener(port)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.servers.push(server.expect("python3 runs"));

        let listens = format!("ss -Hltn sport = :{port}");
        crate::scene::eventually("the server", 10, || !self.sh(&listens).is_empty());
    }

    /// Starts a shell script at it; its stdout is piped.
    pub fn begin(&self, script: &str) -> Child {
        let mut command = self.command("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        command.spawn().expect("sh runs")
    }

    /// What a shell script prints at it, whatever its exit code.
    pub fn sh(&self, script: &str) -> String {
        let output = self.command("sh").args(["-c", script]).output();
        let output = output.expect("sh runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where its tunnel to this gateway leads now, as `[2001:db8::1]:4600`.
    pub fn address_of(&self, gateway: &str) -> String {
        let status = self.status();
        let mut tunnels = status["tunnels"].as_array().into_iter().flatten();
        let tunnel = tunnels.find(|tunnel| tunnel["peer"] == gateway && tunnel["state"] == "up");

        let address = tunnel.and_then(|tunnel| tunnel["address"].as_str());
        address.unwrap_or_default().to_owned()
    }

    /// True if a ping is answered.
    pub fn pings(&self, to: &str) -> bool {
        self.sh(&format!("ping -c 1 -W 1 {to}"))
            .contains(" 0% packet loss")
    }

    /// True if a TCP connection opens.
    pub fn connects(&self, to: &str, port: u16) -> bool {
        let connect = format!(
            "python3 -c 'import socket; socket.create_connection((\"{to}\", {port}), 0.5); \
             print(\"open\")'"
        );
        self.sh(&connect).contains("open")
    }

    /// What its NAT drops from now on: a condition of nft, such as `ip daddr 203.0.113.6`.
    pub fn lose(&self, condition: &str) {
        self.at_the_nat(&format!(
            "nft 'table inet lost; flush table inet lost; table inet lost {{ chain passes {{ \
             type filter hook forward priority 0; {condition} drop; }}; }}'"
        ));
    }

    /// Nothing is lost at its NAT any more.
    pub fn lose_nothing(&self) {
        self.at_the_nat("nft delete table inet lost");
    }

    /// What a shell script prints at its NAT; its failure fails the test.
    pub fn at_the_nat(&self, script: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.nat, "sh", "-ec", script]);
        program::output(&mut command).expect("the script succeeds")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns, program]);
        command
    }

    fn connect(&self, outer: &str, uplink: &Uplink) {
        let Uplink {
            device,
            router,
            address,
            inside,
        } = uplink;
        for netns in [&self.nat, &self.netns] {
            ip(&["netns", "add", netns]);
        }
        veth(device, outer, "up0", &self.nat);
        veth("in0", &self.nat, "eth0", &self.netns);

        let outside = format!("address add {router}/29 dev {device}\nlink set {device} up\n");
        batch(outer, &outside);
        let nat = format!(
            "address add {address}/29 dev up0\nlink set up0 up\nlink set lo up\n\
             route add default via {router}\naddress add {inside}.1/24 dev in0\nlink set in0 up\n"
        );
        batch(&self.nat, &nat);
        let host = format!(
            "address add {inside}.2/24 dev eth0\nlink set eth0 up\nlink set lo up\n\
             route add default via {inside}.1\n"
        );
        batch(&self.netns, &host);

        self.at_the_nat(
            "echo 1 >/proc/sys/net/ipv4/ip_forward; \
             nft 'table ip nat { chain leaves { type nat hook postrouting priority srcnat; \
             oifname up0 masquerade; }; }'",
        );
    }

    fn create_files(&self, scene: &Scene, addresses: &[&str]) {
        let gateway = scene.config(GATEWAY);
        let theirs = gateway.parent().expect("it lies in a directory");
        let mut init = Command::new(&self.binary);
        init.args(["attach", "init", &self.name, "--site", "vpc"])
            .arg("--record")
            .arg(theirs.join("org1.member.toml"))
            .arg("--ca")
            .arg(theirs.join("ca"))
            .arg("--dir")
            .arg(&self.dir);
        for range in addresses {
            let option = if range.contains('/') {
                "--prefix"
            } else {
                "--address"
            };
            init.args([option, range]);
        }
        program::output(&mut init).expect("the CA signs for a node");

        let resolvers = self.dir.join("resolv.conf");
        fs::write(&resolvers, "nameserver 192.0.2.53\n").expect("its directory is writable");
        let dns = format!("\n[dns]\nresolver = \"{}\"\n", resolvers.display());
        crate::scene::append(&self.config(), &dns);
    }
}

impl Drop for AttachedNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("── the log of {}\n{}", self.name, self.logged());
        }
        self.kill();
        for server in &mut self.servers {
            // One that has ended needs no end.
            _ = server.kill();
            _ = server.wait();
        }
        for netns in [&self.netns, &self.nat].into_iter().chain(&self.hosts) {
            // What a pod runs outlives the program that has started it.
            let end = format!("ip netns pids {netns} | xargs --no-run-if-empty kill -KILL");
            _ = Command::new("sh").args(["-c", &end]).status();
            _ = Command::new("ip").args(["netns", "delete", netns]).status();
        }
    }
}

fn veth(one: &str, at_one: &str, two: &str, at_two: &str) {
    let first = ["link", "add", one, "netns", at_one];
    let second = ["type", "veth", "peer", "name", two, "netns", at_two];
    ip(&[&first[..], &second].concat());
}
