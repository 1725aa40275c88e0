//! Checks settings of the host that affect a gateway: bridge netfilter, and a clock without
//! synchronization.

use std::fs;
use std::process::{Command, Stdio};

use ringway_intent::{Finding, Remedy};

pub(super) fn find() -> Vec<Finding> {
    bridge().into_iter().chain(clock()).collect()
}

/// Bridged packets of the site's hosts pass this host's firewall, which may drop them.
fn bridge() -> Option<Finding> {
    let value = fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables").ok()?;

    (value.trim() == "1").then(bridged)
}

pub(super) fn bridged() -> Finding {
    Finding {
        name: "bridge-netfilter".to_owned(),
        what: "packets between hosts on a bridge of this host pass its iptables rules \
               (bridge-nf-call-iptables)"
            .to_owned(),
        remedy: Remedy::command(
            "sysctl -w net.bridge.bridge-nf-call-iptables=0   # unless Docker or Kubernetes needs \
             it",
        ),
    }
}

/// Certificates depend on the clock.
fn clock() -> Option<Finding> {
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .output();
    // Without systemd there is no answer.
    let answer = String::from_utf8(output.ok()?.stdout).ok()?;

    (answer.trim() == "no").then(unsynchronized)
}

pub(super) fn unsynchronized() -> Finding {
    Finding {
        name: "clock synchronization".to_owned(),
        what: "this host's clock is not synchronized: certificates are judged by it".to_owned(),
        remedy: Remedy::command("timedatectl set-ntp true"),
    }
}
