//! [`Resolver`]: configures the resolver of an attached node's host to ask the gateways for the
//! consortium's names, if node.toml says how.
//!
//! | `[dns] resolver` | what is done |
//! |---|---|
//! | `"systemd-resolved"` | the TUN device gets servers and domain (`resolvectl`) |
//! | a file | two servers stand at its top, between two lines of ours, until the daemon ends |
//! | `"none"` | nothing |
//!
//! Servers of gateways with a tunnel come first, and of these the ones that most gateways offer,
//! such as a virtual address. A server that does not answer costs each query a second or more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use ringway_config::{Config, GatewayName, NodeResolver};

use crate::attention::Attention;

/// The name of the finding.
const NAME: &str = "resolver";
const REMEDY: &str = "correct [dns] resolver in node.toml, or write resolver = \"none\"";

/// The lines before and after ours in a file.
const BEGIN: &str = "# ringway: the next lines are those of the consortium's gateways";
const END: &str = "# ringway: end";

/// Number of our servers in a file. glibc uses three at most (resolv.conf(5), MAXNS); the last one
/// is left to a server that the host used before, which knows all other names.
const IN_A_FILE: usize = 2;

/// The servers that gateways offer this host. Clones share it, because changes block and run off
/// the loop, one at a time.
#[derive(Clone, Default)]
pub struct Resolver {
    known: Arc<Mutex<Known>>,
    turn: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Known {
    /// The servers that each gateway has offered.
    offered: BTreeMap<GatewayName, BTreeSet<IpAddr>>,
    /// Gateways without a tunnel.
    lost: BTreeSet<GatewayName>,
}

/// How many gateways offer a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Of these, the gateways with a tunnel.
    reached: usize,
    all: usize,
}

impl Resolver {
    /// Sets the servers that a gateway offers.
    pub fn set_offer(&self, gateway: &GatewayName, servers: BTreeSet<IpAddr>) {
        self.known().offered.insert(gateway.clone(), servers);
    }

    /// Records that a tunnel to this gateway came up or went down.
    pub fn set_reachable(&self, gateway: &GatewayName, is_reached: bool) {
        let mut known = self.known();
        if is_reached {
            known.lost.remove(gateway);
        } else {
            known.lost.insert(gateway.clone());
        }
    }

    /// Configures the host to ask the gateways of `config`. Blocks.
    pub fn apply(&self, config: &Config, attention: &Attention) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);

        let gateways = &config.own.gateways;
        let servers = self.known().servers(
            |name| gateways.iter().any(|gateway| gateway.name == *name),
            // A server that the mesh does not reach would be asked in clear.
            |server| is_taken(config, server),
        );
        set(config, &servers, attention);
    }

    /// Restores the host's former configuration. Blocks.
    pub fn withdraw(&self, config: &Config, attention: &Attention) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);

        set(config, &[], attention);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The servers to use, best first, of the gateways in the record.
    fn servers(
        &self,
        has_gateway: impl Fn(&GatewayName) -> bool,
        counts: impl Fn(IpAddr) -> bool,
    ) -> Vec<IpAddr> {
        let mut ranks: BTreeMap<IpAddr, Rank> = BTreeMap::new();
        let offered = self.offered.iter();
        for (name, servers) in offered.filter(|(name, _)| has_gateway(name)) {
            let is_reached = !self.lost.contains(name);
            for server in servers.iter().filter(|server| counts(**server)) {
                let rank = ranks.entry(*server).or_default();
                rank.reached += usize::from(is_reached);
                rank.all += 1;
            }
        }

        let mut servers: Vec<(IpAddr, Rank)> = ranks.into_iter().collect();
        servers.sort_by_key(|(server, rank)| (Reverse(*rank), *server));
        servers.into_iter().map(|(server, _)| server).collect()
    }
}

fn set(config: &Config, servers: &[IpAddr], attention: &Attention) {
    let Some(attach) = &config.attach else {
        return;
    };

    let result = match &attach.resolver {
        NodeResolver::None => Ok(()),
        NodeResolver::SystemdResolved => configure_resolved(config, servers),
        NodeResolver::File(path) => write(path, &servers[..servers.len().min(IN_A_FILE)]),
    };
    match result {
        Ok(()) => attention.clear(NAME),
        Err(error) => {
            let what = format!("this host does not ask for the consortium's names: {error:#}");
            attention.raise(NAME, &what, REMEDY);
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
fn configure_resolved(config: &Config, servers: &[IpAddr]) -> anyhow::Result<()> {
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
    // The tilde makes it a routing domain, not a search domain.
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

/// In place, because the file may be a mount of its own, as in a container.
fn write(path: &Path, servers: &[IpAddr]) -> anyhow::Result<()> {
    let shown = path.display();
    // Another program owns the target of a link and would overwrite it.
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

/// `text` with these servers before all others (resolv.conf(5) uses them in order).
fn with_servers(text: &str, servers: &[IpAddr]) -> String {
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
        let servers = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
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
    fn the_first_servers_are_those_that_a_tunnel_leads_to_and_most_gateways_have() {
        let resolver = Resolver::default();
        let [first, second] = ["gw1", "gw2"].map(|name| name.parse::<GatewayName>().unwrap());
        let servers = |texts: [&str; 2]| texts.map(|text| text.parse().unwrap()).into();
        resolver.set_offer(&first, servers(["10.1.0.1", "10.1.0.3"]));
        resolver.set_offer(&second, servers(["10.1.0.2", "10.1.0.3"]));
        let ranked = || -> Vec<String> {
            let servers = resolver.known().servers(|_| true, |_| true);
            servers.iter().map(IpAddr::to_string).collect()
        };

        assert_eq!(ranked(), ["10.1.0.3", "10.1.0.1", "10.1.0.2"]);
        resolver.set_reachable(&first, false);
        assert_eq!(ranked(), ["10.1.0.3", "10.1.0.2", "10.1.0.1"]);
        resolver.set_reachable(&second, false);
        resolver.set_reachable(&first, true);
        assert_eq!(ranked(), ["10.1.0.3", "10.1.0.1", "10.1.0.2"]);

        let virtual_address: IpAddr = "10.1.0.3".parse().unwrap();
        let known = resolver.known();
        let counted = known.servers(|name| *name == second, |server| server != virtual_address);
        assert_eq!(counted, ["10.1.0.2".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_link_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("ringway-resolver-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (target, link) = (dir.join("stub"), dir.join("resolv.conf"));
        fs::write(&target, "nameserver 127.0.0.53\n").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let refused = write(&link, &["10.1.0.1".parse().unwrap()]);
        let text = fs::read_to_string(&target).unwrap();
        fs::remove_dir_all(&dir).unwrap();

        assert!(refused.unwrap_err().to_string().contains("is a link"));
        assert_eq!(text, "nameserver 127.0.0.53\n");
    }
}
