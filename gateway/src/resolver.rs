//! [`Resolver`]: has the resolver of an attached node's host ask the gateways for the consortium's
//! names, if node.toml says how.
//!
//! | `[dns] resolver` | what is done |
//! |---|---|
//! | `"systemd-resolved"` | the TUN device gets servers and domain (`resolvectl`) |
//! | a file | the servers stand at its top, between two lines of ours, until the daemon ends |
//! | `"none"` | nothing |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use ringway_config::{Config, GatewayName, NodeResolver};

use crate::attention::Attention;

/// What needs attention, by name.
const NAME: &str = "resolver";
const REMEDY: &str = "correct [dns] resolver in node.toml, or write resolver = \"none\"";

/// The lines around ours in a file.
const BEGIN: &str = "# ringway: the next lines are those of the consortium's gateways";
const END: &str = "# ringway: end";

/// What each gateway has offered. Clones share it: what is done blocks, and is done off the loop,
/// one at a time.
#[derive(Clone, Default)]
pub struct Resolver {
    offered: BTreeMap<GatewayName, BTreeSet<IpAddr>>,
    turn: Arc<Mutex<()>>,
}

impl Resolver {
    /// A gateway answers at these addresses.
    pub fn offered(&mut self, gateway: &GatewayName, servers: BTreeSet<IpAddr>) {
        self.offered.insert(gateway.clone(), servers);
    }

    /// Has the host ask the gateways of `config`. Blocks.
    pub fn apply(&self, config: &Config, attention: &Attention) {
        let gateways = &config.own.gateways;
        let offered = self.offered.iter();
        let servers: BTreeSet<IpAddr> = offered
            .filter(|(name, _)| gateways.iter().any(|gateway| gateway.name == **name))
            .flat_map(|(_, servers)| servers.iter().copied())
            // What the mesh does not lead to would be asked in clear.
            .filter(|server| is_taken(config, *server))
            .collect();

        self.set(config, &servers, attention);
    }

    /// The host asks as it did before. Blocks.
    pub fn withdraw(&self, config: &Config, attention: &Attention) {
        self.set(config, &BTreeSet::new(), attention);
    }

    fn set(&self, config: &Config, servers: &BTreeSet<IpAddr>, attention: &Attention) {
        let Some(attach) = &config.attach else {
            return;
        };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);

        let result = match &attach.resolver {
            NodeResolver::None => Ok(()),
            NodeResolver::SystemdResolved => tell_resolved(config, servers),
            NodeResolver::File(path) => write(path, servers),
        };
        match result {
            Ok(()) => attention.clear(NAME),
            Err(error) => {
                let what = format!("this host does not ask for the consortium's names: {error:#}");
                attention.raise(NAME, &what, REMEDY);
            }
        }
    }
}

fn is_taken(config: &Config, server: IpAddr) -> bool {
    let mut sites = config.own.sites.iter().filter(|site| !site.name.is_node());

    sites.any(|site| {
        let mut prefixes = site.prefixes.iter();
        prefixes.any(|placed| placed.prefix.contains(server))
    })
}

/// resolvectl(1): the settings of a link.
fn tell_resolved(config: &Config, servers: &BTreeSet<IpAddr>) -> anyhow::Result<()> {
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
    let output = Command::new("resolvectl")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot run resolvectl")?;
    if output.status.success() {
        return Ok(());
    }

    let said = String::from_utf8_lossy(&output.stderr);
    bail!("resolvectl {}: {}", arguments.join(" "), said.trim())
}

/// In place: the file may be mounted by itself, as in a container.
fn write(path: &Path, servers: &BTreeSet<IpAddr>) -> anyhow::Result<()> {
    let shown = path.display();
    // What is behind a link is another program's, which writes it again.
    if path.is_symlink() {
        bail!("{shown} is a link, the file of another program (systemd-resolved?)");
    }
    let before = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let after = with_servers(&before, servers);
    if after == before {
        return Ok(());
    }

    fs::write(path, after).with_context(|| format!("cannot write {shown}"))
}

/// The text with these servers before all others (resolv.conf(5) asks them in order).
fn with_servers(text: &str, servers: &BTreeSet<IpAddr>) -> String {
    let mut rest = String::new();
    let mut is_ours = false;
    for line in text.lines() {
        match line {
            BEGIN => is_ours = true,
            END if is_ours => is_ours = false,
            _ if is_ours => {}
            _ => rest.extend([line, "\n"]),
        }
    }
    if servers.is_empty() {
        return rest;
    }

    let servers: String = servers
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    format!("{BEGIN}\n{servers}{END}\n{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_stand_before_all_others_and_are_taken_out_again() {
        let text = "search corp.example\nnameserver 192.0.2.53\n";
        let servers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let one = with_servers(text, &servers(&["10.1.0.1", "fd00:1::1"]));
        assert_eq!(
            one,
            format!("{BEGIN}\nnameserver 10.1.0.1\nnameserver fd00:1::1\n{END}\n{text}")
        );

        let other = with_servers(&one, &servers(&["10.1.0.2"]));
        assert_eq!(
            other,
            format!("{BEGIN}\nnameserver 10.1.0.2\n{END}\n{text}")
        );
        assert_eq!(with_servers(&other, &servers(&[])), text);
    }

    #[test]
    fn a_link_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("ringway-resolver-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (target, link) = (dir.join("stub"), dir.join("resolv.conf"));
        fs::write(&target, "nameserver 127.0.0.53\n").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let refused = write(&link, &BTreeSet::from(["10.1.0.1".parse().unwrap()]));
        let text = fs::read_to_string(&target).unwrap();
        fs::remove_dir_all(&dir).unwrap();

        assert!(refused.unwrap_err().to_string().contains("is a link"));
        assert_eq!(text, "nameserver 127.0.0.53\n");
    }
}
