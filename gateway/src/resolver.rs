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
//!
//! Changes by other programs are restored within a second, like those of kernel settings: a DHCP
//! client writes the file with each lease.

mod file;
mod pace;
mod resolved;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ringway_config::{Config, Fault, GatewayName, NodeResolver, Place};

use crate::attention::Attention;
use pace::Pace;
use resolved::Mark;

/// The name of the finding.
const NAME: &str = "resolver";
const REMEDY: &str = "correct [dns] resolver in node.toml, or write resolver = \"none\"";
const FIGHT: &str = "resolver fight";
const PEACE: &str = "have the other program leave it alone, or write resolver = \"none\" in \
                     node.toml and have that program ask the gateways";

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
    /// The settings applied last.
    applied: Option<Applied>,
    /// The daemon ends. Its tunnels go down after that, which changes the servers' order.
    is_withdrawn: bool,
    pace: Pace,
}

/// The settings that the host has.
#[derive(Clone)]
struct Applied {
    config: Arc<Config>,
    servers: Vec<IpAddr>,
    /// Detects changes at systemd-resolved.
    mark: Option<Mark>,
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
    pub fn apply(&self, config: &Arc<Config>, attention: &Attention) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.known().is_withdrawn {
            return;
        }

        // If the file of before is another one, restore it.
        let former = self.known().applied.take();
        if let Some(former) = former.filter(|former| former.resolver() != resolver_of(config)) {
            set(&former.config, &[], attention);
        }

        let gateways = &config.own.gateways;
        let servers = self.known().servers(
            |name| gateways.iter().any(|gateway| gateway.name == *name),
            // A server that the mesh does not reach would be asked in clear.
            |server| is_taken(config, server),
        );
        set(config, &servers, attention);
        self.known().applied = Some(Applied::now(config, servers));
    }

    /// Restores the settings if another program has changed them. Blocks.
    pub fn restore(&self, attention: &Attention, now: Instant) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(applied) = self.known().applied.clone() else {
            return;
        };
        let stands = match applied.stands() {
            Ok(stands) => stands,
            // A file that is gone, or replaced by a link, is reported until it is back.
            Err(error) => return unusable(&error, attention),
        };
        if stands {
            if matches!(applied.resolver(), NodeResolver::File(_)) {
                attention.clear(NAME);
            }
            if self.known().pace.is_calm(now) {
                attention.clear(FIGHT);
            }
            return;
        }
        if !self.known().pace.may_restore(now) {
            return;
        }

        let what = applied.what();
        tracing::warn!(
            reason = what,
            "Another program changed the resolver; restored"
        );
        set(&applied.config, &applied.servers, attention);
        if !self.known().pace.is_calm(now) {
            let text = format!("another program changes {what} again and again");
            attention.raise(FIGHT, &text, PEACE);
        }
        self.known().applied = Some(Applied::now(&applied.config, applied.servers));
    }

    /// Restores the host's former configuration, for good. Blocks.
    pub fn withdraw(&self, config: &Config, attention: &Attention) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);

        let mut known = self.known();
        known.applied = None;
        known.is_withdrawn = true;
        drop(known);
        set(config, &[], attention);
    }

    /// The servers that the host asks, for an operator; `None` at a gateway.
    pub fn line(&self, config: &Config) -> Option<String> {
        config.attach.as_ref()?;
        let known = self.known();
        let Some(applied) = &known.applied else {
            return Some("not set yet".to_owned());
        };

        let servers: Vec<String> = applied.servers.iter().map(IpAddr::to_string).collect();
        Some(match (applied.resolver(), servers.as_slice()) {
            (NodeResolver::None, _) => "left as it is".to_owned(),
            (_, []) => "no gateway has offered a server yet".to_owned(),
            _ if applied.stands().is_err() => format!("cannot be set in {}", applied.what()),
            (_, servers) => format!("{} in {}", servers.join(", "), applied.what()),
        })
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

impl Applied {
    fn now(config: &Arc<Config>, servers: Vec<IpAddr>) -> Applied {
        let is_resolved = *resolver_of(config) == NodeResolver::SystemdResolved;

        Applied {
            config: config.clone(),
            servers,
            mark: is_resolved.then(|| Mark::of(config.tun.as_str())),
        }
    }

    fn resolver(&self) -> &NodeResolver {
        resolver_of(&self.config)
    }

    /// True if no other program has changed the settings. Fails if the file cannot be used.
    fn stands(&self) -> anyhow::Result<bool> {
        Ok(match self.resolver() {
            NodeResolver::None => true,
            NodeResolver::File(path) => file::stands(path, &self.servers)?,
            NodeResolver::SystemdResolved => {
                let mark = Mark::of(self.config.tun.as_str());
                // A missing device is configured once it is re-created.
                !mark.has_device() || self.mark == Some(mark)
            }
        })
    }

    fn what(&self) -> String {
        match self.resolver() {
            NodeResolver::None => "nothing".to_owned(),
            NodeResolver::SystemdResolved => {
                format!("the settings of {} in systemd-resolved", self.config.tun)
            }
            NodeResolver::File(path) => path.display().to_string(),
        }
    }
}

fn resolver_of(config: &Config) -> &NodeResolver {
    const NONE: &NodeResolver = &NodeResolver::None;

    config
        .attach
        .as_ref()
        .map_or(NONE, |attach| &attach.resolver)
}

fn set(config: &Config, servers: &[IpAddr], attention: &Attention) {
    let result = match resolver_of(config) {
        NodeResolver::None => Ok(()),
        NodeResolver::SystemdResolved => resolved::configure(config, servers),
        NodeResolver::File(path) => file::write(path, servers).map(drop),
    };
    match result {
        Ok(()) => attention.clear(NAME),
        Err(error) => unusable(&error, attention),
    }
}

fn unusable(error: &anyhow::Error, attention: &Attention) {
    let what = format!("this host does not ask for the consortium's names: {error:#}");
    attention.raise(NAME, &what, REMEDY);
}

/// Removes our lines from the resolver's file, which a killed daemon has left there. Returns the
/// file if it had any.
pub fn purge(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    match resolver_of(config) {
        NodeResolver::File(path) if path.exists() => {
            Ok(file::write(path, &[])?.then(|| path.clone()))
        }
        // The settings of a device go with it.
        _ => Ok(None),
    }
}

/// Why the resolver that node.toml names cannot be configured.
pub fn doubtful(config: &Config) -> Option<Fault> {
    let message = match resolver_of(config) {
        NodeResolver::None => return None,
        NodeResolver::SystemdResolved if resolved::is_installed() => return None,
        NodeResolver::SystemdResolved => {
            "[dns] resolver is systemd-resolved, and this host does not have it (no resolvectl); \
             install it, or write resolver = \"/etc/resolv.conf\" or \"none\""
                .to_owned()
        }
        NodeResolver::File(path) => format!("[dns] resolver: {:#}", file::usable(path).err()?),
    };

    Some(Fault {
        place: Place::whole(&config.path),
        message,
    })
}

fn is_taken(config: &Config, server: IpAddr) -> bool {
    let mut sites = config.own.sites.iter().filter(|site| !site.name.is_node());

    sites.any(|site| {
        let mut prefixes = site.prefixes.iter();
        prefixes.any(|placed| placed.prefix.contains(server))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_a_tunnel_and_of_the_most_gateways_come_first() {
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
}
