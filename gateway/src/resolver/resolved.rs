//! systemd-resolved: the TUN device gets servers and a domain.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use ringway_config::Config;

/// Configures systemd-resolved.
const PROGRAM: &str = "resolvectl";

/// Where it keeps what it was told of a link, by interface index.
const KEPT: &str = "/run/systemd/resolve/netif";

/// resolvectl(1): the settings of a link.
pub(super) fn configure(config: &Config, servers: &[IpAddr]) -> anyhow::Result<()> {
    let device = config.tun.as_str();
    if servers.is_empty() {
        return resolvectl(&["revert", device]);
    }

    let servers: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
    let servers = servers.iter().map(String::as_str);
    resolvectl(
        &["dns", device]
            .into_iter()
            .chain(servers)
            .collect::<Vec<_>>(),
    )?;
    // The tilde: names below it are asked there, and it is no search domain.
    resolvectl(&["domain", device, &format!("~{}", config.own.domain)])
}

fn resolvectl(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot run resolvectl, the program of systemd-resolved")?;
    if output.status.success() {
        return Ok(());
    }

    let said = String::from_utf8_lossy(&output.stderr);
    bail!("resolvectl {}: {}", arguments.join(" "), said.trim())
}

/// True if its program is on this host.
pub(super) fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();

    std::env::split_paths(&path).any(|dir| dir.join(PROGRAM).is_file())
}

/// What the settings of the device stand and fall with: the device itself, and the file in which
/// systemd-resolved keeps them, if it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    index: Option<String>,
    kept: Option<String>,
}

impl Mark {
    pub(super) fn of(device: &str) -> Mark {
        let index = fs::read_to_string(format!("/sys/class/net/{device}/ifindex")).ok();
        let index = index.map(|index| index.trim().to_owned());
        let kept = index
            .as_ref()
            .and_then(|index| fs::read_to_string(Path::new(KEPT).join(index)).ok());

        Mark { index, kept }
    }

    pub(super) fn has_device(&self) -> bool {
        self.index.is_some()
    }
}
