//! The two gateways of org0's site in a laboratory with siblings, and what can happen to them.

use std::process::Command;

use ringway_lab::program;
use ringway_lab::status;
use serde_json::Value;

use crate::Scene;
use crate::scene::eventually;

/// Both gateways.
pub const SIBLINGS: [&str; 2] = ["gw.org0", "gw2.org0"];

/// What happens to the active gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It ends as by a power cut.
    Kill,
    /// Its link to the WAN loses its carrier.
    LinkDown,
    /// Its link to its site's network does.
    LanLink,
    /// The WAN drops what comes from it and what goes to it.
    BlackHole,
    /// The WAN drops what comes from it.
    BlackHoleOut,
    /// The WAN drops what goes to it.
    BlackHoleIn,
    /// Its sibling and it do not reach each other in their site's network.
    Partition,
    /// In their site's network, its packets to its sibling are lost.
    PartitionOneWay,
    /// Its operator drains it.
    Drain,
    /// Its machine ends, and its links lose their carriers with it.
    Reboot,
    /// Both gateways are stopped and started, one after the other.
    Upgrade,
}

impl Fault {
    /// Those that a short test has time for.
    pub fn briefly() -> impl Iterator<Item = Fault> {
        let faults = Fault::ALL.into_iter();
        faults.filter(|fault| {
            !matches!(
                fault,
                Fault::PartitionOneWay | Fault::Reboot | Fault::Upgrade
            )
        })
    }

    /// All of them.
    pub const ALL: [Fault; 11] = [
        Fault::Kill,
        Fault::LinkDown,
        Fault::LanLink,
        Fault::BlackHole,
        Fault::BlackHoleOut,
        Fault::BlackHoleIn,
        Fault::Partition,
        Fault::PartitionOneWay,
        Fault::Drain,
        Fault::Reboot,
        Fault::Upgrade,
    ];

    /// True if the other gateway is active after it.
    pub fn moves_the_role(self) -> bool {
        // An upgrade moves it and back.
        !matches!(
            self,
            Fault::Partition | Fault::PartitionOneWay | Fault::Upgrade
        )
    }

    /// Lets it happen to `gateway`.
    pub fn strike(self, scene: &mut Scene, gateway: &str) {
        let link = uplink(scene, gateway);
        match self {
            Fault::Kill => scene.kill(gateway).expect("it runs"),
            Fault::LinkDown => take_uplink_down(scene, &link),
            Fault::LanLink => set_port(scene, gateway, "down"),
            Fault::BlackHole => {
                cut_wan(scene, &format!("iifname {link} drop; oifname {link} drop;"));
            }
            Fault::BlackHoleOut => cut_wan(scene, &format!("iifname {link} drop;")),
            Fault::BlackHoleIn => cut_wan(scene, &format!("oifname {link} drop;")),
            Fault::Partition => cut_switch(scene),
            Fault::PartitionOneWay => {
                let [from, to] = [gateway, other(gateway)].map(port);
                let lost = format!("iifname {from} oifname {to} drop;");
                in_switch(scene, &format!("nft '{}'", hole("bridge", &lost)));
            }
            Fault::Drain => {
                let drained = program::output(&mut scene.ringway(gateway, &["drain"]));
                drained.unwrap_or_else(|error| panic!("{error:#}"));
            }
            Fault::Reboot => {
                set_port(scene, gateway, "down");
                take_uplink_down(scene, &link);
                scene.kill(gateway).expect("it runs");
            }
            Fault::Upgrade => {
                for each in [gateway, other(gateway)] {
                    scene.stop(each);
                    scene.start(each).expect("it starts");
                    wait_until_over(scene);
                }
            }
        }
    }

    /// Takes it back, and waits until all is as before.
    pub fn repair(self, scene: &mut Scene, gateway: &str) {
        match self {
            Fault::Kill => scene.start(gateway).expect("it starts"),
            Fault::LinkDown => take_uplink_up(scene, gateway),
            Fault::LanLink => set_port(scene, gateway, "up"),
            Fault::BlackHole | Fault::BlackHoleOut | Fault::BlackHoleIn => {
                scene.sh("wan", "nft delete table inet hole");
            }
            Fault::Partition | Fault::PartitionOneWay => {
                in_switch(scene, "nft delete table bridge hole");
            }
            Fault::Reboot => {
                take_uplink_up(scene, gateway);
                set_port(scene, gateway, "up");
                scene.start(gateway).expect("it starts");
            }
            Fault::Upgrade => {}
            Fault::Drain => {
                let cancelled =
                    program::output(&mut scene.ringway(gateway, &["drain", "--cancel"]));
                cancelled.unwrap_or_else(|error| panic!("{error:#}"));
            }
        }

        wait_until_over(scene);
    }
}

/// Waits until all is as before a fault.
pub fn wait_until_over(scene: &Scene) {
    scene.wait_until_joined().expect("the tunnels come up");
    eventually("one active gateway and a standby", 20, || {
        let mut roles = SIBLINGS.map(|sibling| role_of(scene, sibling));
        roles.sort();
        roles == ["active", "standby"]
    });
}

/// The site's network is cut between its gateways, and no other way leads from one to the other.
pub fn divide(scene: &Scene) {
    let [one, two] = SIBLINGS.map(|sibling| uplink(scene, sibling));
    let direct = format!("iifname {one} oifname {two} drop; iifname {two} oifname {one} drop;");

    cut_switch(scene);
    cut_wan(scene, &direct);
}

/// Takes [`divide`] back; does not wait.
pub fn unite(scene: &Scene) {
    in_switch(scene, "nft delete table bridge hole");
    scene.sh("wan", "nft delete table inet hole");
}

/// The gateway that says that it is active; none while it is not known.
pub fn active(scene: &Scene) -> Option<&'static str> {
    SIBLINGS
        .into_iter()
        .find(|sibling| role_of(scene, sibling) == "active")
}

/// Waits until `gateway` is active and has the virtual addresses.
pub fn wait_until_it_holds(scene: &Scene, gateway: &str) {
    eventually(&format!("{gateway} to hold the addresses"), 20, || {
        let Ok(status) = status::ask(scene, gateway) else {
            return false;
        };
        let addresses = status["role"]["addresses"].as_array();
        let mut addresses = addresses.into_iter().flatten();
        status["role"]["role"] == "active" && addresses.all(|address| address["state"] == "held")
    });
}

/// The sibling of `gateway`.
pub fn other(gateway: &str) -> &'static str {
    SIBLINGS[usize::from(gateway == SIBLINGS[0])]
}

/// What `gateway` says of its role; empty if it does not answer.
fn role_of(scene: &Scene, gateway: &str) -> String {
    let status = status::ask(scene, gateway).unwrap_or(Value::Null);
    status["role"]["role"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The WAN's end of its link.
fn uplink(scene: &Scene, gateway: &str) -> String {
    let node = scene.node(gateway).expect("a gateway of the laboratory");
    node.uplink.expect("every gateway has one").interface()
}

fn take_uplink_down(scene: &Scene, link: &str) {
    // The router's own addresses outlive that.
    let down =
        format!("echo 1 >/proc/sys/net/ipv6/conf/all/keep_addr_on_down; ip link set {link} down");
    scene.sh("wan", &down);
}

fn take_uplink_up(scene: &Scene, gateway: &str) {
    let link = uplink(scene, gateway);
    scene.sh("wan", &format!("ip link set {link} up"));
}

/// In the site's network, its gateways do not reach each other any more.
fn cut_switch(scene: &Scene) {
    let both = "iifname gw oifname gw2 drop; iifname gw2 oifname gw drop;";
    in_switch(scene, &format!("nft '{}'", hole("bridge", both)));
}

fn cut_wan(scene: &Scene, rules: &str) {
    scene.sh("wan", &format!("nft '{}'", hole("inet", rules)));
}

fn hole(family: &str, rules: &str) -> String {
    format!(
        "table {family} hole {{ chain forwarded {{ \
         type filter hook forward priority 0; {rules} }}\n}}"
    )
}

/// Sets the port of the site's switch where `gateway` is plugged in.
fn set_port(scene: &Scene, gateway: &str, state: &str) {
    let port = port(gateway);

    in_switch(scene, &format!("ip link set {port} {state}"));
}

/// The port of the site's switch where `gateway` is plugged in.
fn port(gateway: &str) -> &str {
    gateway.split('.').next().unwrap_or(gateway)
}

/// Runs a shell script in the namespace of the site's switch.
fn in_switch(scene: &Scene, script: &str) {
    let switch = format!("{}-vpc.org0", scene.topology().lab);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &switch, "sh", "-ec", script]);
    program::output(&mut command).unwrap_or_else(|error| panic!("{error:#}"));
}
