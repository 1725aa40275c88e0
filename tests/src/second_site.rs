//! [`SecondSite`]: a second site of org1 with a gateway and a host of its own, added to a
//! laboratory that is up.
//!
//! ```text
//!   peer2.org1 ───────── lan0 gw2.org1 wan0 ─── 203.0.113.130 ─── wan
//!   10.11.1.11/24        10.11.1.1
//!   fd00:11:1::11/64     fd00:11:1::1
//! ```
//! The record gets site and gateway in one change, by `gateway add`.

use std::process::Command;

use crate::Scene;
use crate::second_gateway::{Place, SecondGateway, batch, ip};

const WEST: Place = Place {
    site: "west=10.11.1.0/24,fd00:11:1::/64",
    lan: ["10.11.1.1/24", "fd00:11:1::1/64"],
};

/// What is done in the host's namespace.
const HOST: &str = "address add 10.11.1.11/24 dev gw2
address add fd00:11:1::11/64 dev gw2
link set gw2 up
link set lo up
route add default via 10.11.1.1
route add default via fd00:11:1::1
";

/// The site. It is removed when the value is dropped.
pub struct SecondSite {
    /// Its gateway.
    pub gateway: SecondGateway,
    host: String,
}

impl SecondSite {
    /// Adds the site and starts its gateway, with `binary`; returns when the others have tunnels to
    /// it.
    pub fn add(scene: &Scene, binary: &str) -> SecondSite {
        let host = format!("{}-peer2.org1", scene.topology().lab);
        ip(&["netns", "add", &host]);
        let no_dad = "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad";
        ip(&["netns", "exec", &host, "sh", "-c", no_dad]);

        let gateway = SecondGateway::create(scene, binary, &WEST, &host);
        batch(&host, HOST);
        SecondSite {
            gateway: gateway.run(scene),
            host,
        }
    }

    /// What a shell script prints at its host, whatever its exit code.
    pub fn sh(&self, script: &str) -> String {
        let arguments = ["netns", "exec", &self.host, "sh", "-c", script];
        let output = Command::new("ip").args(arguments).output();
        let output = output.expect("ip runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for SecondSite {
    fn drop(&mut self) {
        _ = Command::new("ip")
            .args(["netns", "delete", &self.host])
            .status();
    }
}
