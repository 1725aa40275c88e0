//! [`NextConfig`]: what a reload has read, and whether it may be put in force.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use ringway_config::{Config, Connected, Digest, Fault, Faults, Prefix, Ruling, keys, rule};
use ringway_core::Membership;
use ringway_intent::{Families, GuardSpec, Links, Situation, guard, held};

use crate::current::CurrentConfig;
use crate::input::IdentityFacts;

/// What the files and the host said when a reload read them. Every file is in order by itself.
#[derive(Debug, Clone)]
pub struct NextConfig {
    /// What the files say.
    pub config: Arc<Config>,
    /// The verdict on every prefix.
    pub rulings: Vec<Ruling>,
    /// Overlaps, each as a fault: one is enough to refuse the reload.
    pub conflicts: Faults,
    /// The networks that the host is connected to.
    pub connected: Vec<Connected>,
    /// The host's addresses.
    pub links: Links,
    /// The records that were accepted before.
    pub accepted: BTreeSet<Digest>,
    /// Prefixes that must not be reachable by the default route, once this is in force.
    pub held: BTreeSet<Prefix>,
    /// Our certificate.
    pub identity: IdentityFacts,
}

/// A [`NextConfig`] that is about to be put in force, and what follows from it.
#[derive(Debug)]
pub(crate) struct Adoption {
    pub(crate) next: NextConfig,
    pub(crate) membership: Arc<Membership>,
    pub(crate) spec: GuardSpec,
    /// The guard has the rules of `spec` already.
    pub(crate) is_guarded: bool,
    /// This is what a refused reload takes away.
    pub(crate) is_narrowed: bool,
}

impl NextConfig {
    /// What is in force, but for a `config` that allows less.
    pub(crate) fn narrowed(current: &CurrentConfig, config: Arc<Config>) -> NextConfig {
        let rulings = rule(&config, &current.connected, &current.accepted);

        NextConfig {
            held: held(&config, &rulings, &current.held),
            rulings,
            conflicts: Faults::default(),
            connected: current.connected.clone(),
            links: current.links.clone(),
            accepted: current.accepted.clone(),
            // The certificate stays, so that its remaining life is not asked for.
            identity: IdentityFacts {
                certificate: current.certificate,
                remaining: Duration::ZERO,
            },
            config,
        }
    }

    pub(crate) fn guard(&self) -> GuardSpec {
        guard(&Situation {
            config: &self.config,
            rulings: &self.rulings,
            connected: &self.connected,
            links: &self.links,
            held: &self.held,
        })
    }

    /// Goes on holding what was held `before` and is nobody's now.
    pub(crate) fn hold(&mut self, before: &BTreeSet<Prefix>) {
        let both = before | &self.held;

        self.held = held(&self.config, &self.rulings, &both);
    }

    /// Why this must not follow `current` without a restart.
    pub(crate) fn check(&self, current: &Config) -> Result<(), Faults> {
        check_constants(current, &self.config)?;

        if self.conflicts.is_empty() {
            Ok(())
        } else {
            Err(self.conflicts.clone())
        }
    }
}

/// What a running daemon cannot change. Each is named, so that the operator restarts knowingly.
fn check_constants(current: &Config, next: &Config) -> Result<(), Faults> {
    // Sockets, device, routing table and forwarding are set up at the start, and stay.
    let constants: [(&dyn Display, bool); 16] = [
        (&keys::gateway::ORG, current.id.org == next.id.org),
        (&keys::gateway::GATEWAY, current.id.name == next.id.name),
        (&keys::gateway::SITE, current.site == next.site),
        (
            &"the consortium's domain",
            current.own.domain == next.own.domain,
        ),
        (&keys::gateway::LISTEN, current.listen == next.listen),
        (
            &keys::gateway::STATE_DIR,
            current.state_dir == next.state_dir,
        ),
        (&keys::gateway::SOCKET, current.socket == next.socket),
        (
            &keys::gateway::SOCKET_GROUP,
            current.socket_group == next.socket_group,
        ),
        (&keys::tun::NAME, current.tun == next.tun),
        (&keys::tun::LANES, current.lanes == next.lanes),
        (&keys::gateway::ROUTES, current.routes == next.routes),
        (&keys::dns::LISTEN, current.dns.listen == next.dns.listen),
        (&keys::http::LISTEN, current.http == next.http),
        (
            &keys::gateway::WIREGUARD,
            current.wireguard == next.wireguard,
        ),
        (&keys::gateway::IDENTITY, current.identity == next.identity),
        (
            &"the families of this site's prefixes",
            families(current) == families(next),
        ),
    ];

    let faults: Vec<Fault> = constants
        .into_iter()
        .filter(|(_, is_same)| !is_same)
        .map(|(what, _)| Fault {
            place: next.place_of(&what.to_string()),
            message: format!("{what} cannot change at a reload; restart the daemon"),
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.into())
    }
}

/// The families that forwarding was switched on for.
fn families(config: &Config) -> Families {
    Families::of(config.own_prefixes().iter().map(|own| &own.prefix))
}
