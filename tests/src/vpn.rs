//! [`Vpn`]: a data centre behind a VPN device of its own, which has two public addresses.
//!
//! ```text
//!   10.20.1.11 ── 10.20.1.1 device 203.0.113.162, .163 ── 203.0.113.161 (the WAN, or a machine)
//! ```

use std::process::Command;

use crate::Scene;
use crate::second_gateway::{batch, ip};

/// The device's addresses, one for each tunnel.
pub const PEERS: [&str; 2] = ["203.0.113.162", "203.0.113.163"];

/// The other end of its uplink.
pub const UPLINK: &str = "203.0.113.161";

/// The data centre's host.
pub const HOST: &str = "10.20.1.11";

const DEVICE: &str = "address add 203.0.113.162/29 dev up0
address add 203.0.113.163/29 dev up0
link set up0 up
link set lo up
route add default via 203.0.113.161
address add 10.20.1.1/24 dev in0
link set in0 up
";

const INSIDE: &str = "address add 10.20.1.11/24 dev eth0
link set eth0 up
link set lo up
route add default via 10.20.1.1
";

const ROUTER: &str = "address add 203.0.113.161/29 dev vpn0
link set vpn0 up
";

/// The two machines. They are removed when the value is dropped.
pub struct Vpn {
    device: String,
    host: String,
}

impl Vpn {
    /// Connects the device to `node`, such as the WAN.
    pub fn connect(scene: &Scene, node: &str) -> Vpn {
        let lab = &scene.topology().lab;
        let vpn = Vpn {
            device: format!("{lab}-vpn"),
            host: format!("{lab}-vpnhost"),
        };
        let router = scene.node(node).expect("a machine of the laboratory");

        for netns in [&vpn.device, &vpn.host] {
            ip(&["netns", "add", netns]);
        }
        link("vpn0", &router.netns, "up0", &vpn.device);
        link("in0", &vpn.device, "eth0", &vpn.host);
        batch(&router.netns, ROUTER);
        batch(&vpn.device, DEVICE);
        batch(&vpn.host, INSIDE);
        vpn.sh(&vpn.device, "echo 1 >/proc/sys/net/ipv4/ip_forward");
        vpn
    }

    /// The device's namespace.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What a shell script prints at the data centre's host, whatever its exit code.
    pub fn inside(&self, script: &str) -> String {
        self.sh(&self.host, script)
    }

    /// True if a ping of the data centre's host is answered.
    pub fn pings(&self, to: &str) -> bool {
        self.inside(&format!("ping -c 1 -W 1 {to}"))
            .contains(" 0% packet loss")
    }

    /// What comes to the device at these addresses is lost from now on, and nothing else.
    pub fn lose(&self, addresses: &[&str]) {
        let lost: String = addresses
            .iter()
            .map(|address| format!("ip daddr {address} drop; ip saddr {address} drop; "))
            .collect();
        let hook = "type filter hook";
        self.sh(
            &self.device,
            &format!(
                "nft 'table inet lost; flush table inet lost; table inet lost {{
                    chain came {{ {hook} input priority 0; {lost} }}
                    chain goes {{ {hook} output priority 0; {lost} }}
                }}'"
            ),
        );
    }

    fn sh(&self, netns: &str, script: &str) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", netns, "sh", "-c", script])
            .output()
            .expect("sh runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn link(one: &str, at_one: &str, two: &str, at_two: &str) {
    let first = ["link", "add", one, "netns", at_one];
    let second = ["type", "veth", "peer", "name", two, "netns", at_two];
    ip(&[&first[..], &second].concat());
}

impl Drop for Vpn {
    fn drop(&mut self) {
        for netns in [&self.device, &self.host] {
            _ = Command::new("ip").args(["netns", "delete", netns]).status();
        }
    }
}
