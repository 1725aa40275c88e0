//! [`Running`]: the configuration in force and everything made from it; and how SIGHUP replaces it.
//!
//! A reload reads and checks everything anew, as a start does. Any fault, any overlap, and the running
//! set stays as it is. The order of the steps is: what can fail (files, zone, packet filter), then what
//! cannot (trust, membership, names). Sessions that the new trust would not have let begin are cut.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use ringway_config::{Config, Connected, Fault, Faults, GatewayId, Place, Ruling, ZoneName, accepted};
use ringway_core::Membership;

use super::State;
use crate::host::Families;
use crate::host::firewall::{Firewall as _, Nft};
use crate::host::links::Links;
use crate::identity::{Identity, Trust};
use crate::membership::{membership, policy};
use crate::names::Names;
use crate::prepare::{Prepared, prepare};

/// What is in force.
pub struct Running {
    /// What the files say.
    pub config: Config,
    /// The verdict on every prefix.
    pub rulings: Vec<Ruling>,
    /// The networks this host is connected to.
    pub connected: Vec<Connected>,
    /// This host's addresses.
    pub links: Links,
    /// Whom to believe; shared with the TLS stack.
    pub trust: Arc<ArcSwap<Trust>>,
    /// The own certificate and key; shared with the TLS stack.
    pub identity: Arc<ArcSwap<Identity>>,
    /// The DNS.
    pub names: Names,
    /// The packet filter.
    pub firewall: Nft,
    /// Families that forward only because of this daemon.
    pub guard: Families,
}

impl Running {
    /// What the core is told.
    pub fn membership(&self) -> Membership {
        membership(&self.config, &self.rulings)
    }

    pub(super) fn domain(&self) -> &ZoneName {
        &self.config.own.domain
    }

    pub(super) fn trust(&self) -> Guard<Arc<Trust>> {
        self.trust.load()
    }
}

impl State {
    /// Does what SIGHUP asks for, all or nothing.
    pub(super) async fn reload(&mut self, now: Instant) {
        let path = self.drive.running.config.path.clone();
        match self.try_reload(&path, now).await {
            Ok(()) => tracing::info!("Configuration reloaded"),
            Err(faults) => {
                for fault in &faults.0 {
                    tracing::error!(reason = %fault, "Reload refused");
                }
            }
        }
    }

    async fn try_reload(&mut self, path: &Path, now: Instant) -> Result<(), Faults> {
        let prepared = prepare(path).await?;
        let running = &mut self.drive.running;
        check_constants(&running.config, &prepared.config)?;
        if !prepared.conflicts.0.is_empty() {
            return Err(prepared.conflicts);
        }
        let cannot = |error: &dyn std::fmt::Display| {
            Faults::from(vec![Fault { place: Place::whole(path), message: error.to_string() }])
        };
        let Prepared { config, trust, identity, connected, rulings, accepted: before, .. } = prepared;
        let links = Links::read(&config.tun).await.map_err(|error| cannot(&error))?;
        let zone = running.names.build(&config)?;
        let membership = membership(&config, &rulings);
        let spec = policy(&config, &membership, running.guard);
        running.firewall.apply(&spec).await.map_err(|error| cannot(&error))?;
        let accepted = accepted::after(&config, &rulings, &before);
        if let Err(error) = accepted::save(&config.state_dir, &accepted) {
            tracing::error!(%error, "The accepted records are not remembered: a restart may decide otherwise");
        }

        let renewed = identity.chain() != running.identity.load().chain();
        let trust = trust.succeeding(&running.trust.load());
        running.trust.store(Arc::new(trust));
        running.identity.store(Arc::new(identity));
        running.names.publish(&config, &membership, zone);
        running.config = config;
        running.rulings = rulings;
        running.connected = connected;
        running.links = links;
        self.take_over(membership, renewed, now);
        Ok(())
    }

    /// Everybody who works from what changed.
    fn take_over(&mut self, membership: Membership, renewed: bool, now: Instant) {
        let trust = self.drive.running.trust.load_full();
        for (conn, refusal) in self.sessions.untrusted(&trust) {
            self.drive.mesh.handle_untrusted(conn, refusal.to_string(), now);
        }
        for conn in self.sessions.of(|peer| moved(&self.membership, &membership, peer)) {
            self.drive.mesh.handle_untrusted(conn, "the gateway serves another site now".into(), now);
        }
        self.drive.packets.set_local(&self.drive.running.connected);
        self.drive.packets.retain(&membership);
        self.membership = membership.clone();
        self.drive.mesh.handle_membership(membership, now);
        if renewed {
            self.drive.mesh.handle_identity_changed(now);
        }
        self.act();
        self.publish_packets();
        self.publish_routes();
        if self.drive.replicator.renew_own() {
            let offer = self.drive.replicator.offer();
            let up: Vec<_> =
                self.drive.mesh.status(now).tunnels.into_iter().filter_map(|tunnel| tunnel.conn).collect();
            up.into_iter().for_each(|conn| self.sessions.send(conn, &offer));
        }
    }
}

/// True if `peer` serves another site than before: its sessions' packets are held against the old one's
/// prefixes.
fn moved(before: &Membership, after: &Membership, peer: &GatewayId) -> bool {
    let site = |membership: &Membership| membership.gateways.get(peer).map(|info| info.site.clone());
    site(before) != site(after)
}

/// What forwarding was switched on for.
fn families(config: &Config) -> Families {
    Families::of(config.own_prefixes().iter().map(|own| &own.prefix))
}

/// What a running daemon cannot change: each is named, so that the operator restarts knowingly.
fn check_constants(running: &Config, new: &Config) -> Result<(), Faults> {
    let constants = [
        ("org, gateway or site", running.id == new.id && running.site == new.site),
        ("the consortium's domain", running.own.domain == new.own.domain),
        ("listen", running.listen == new.listen),
        ("state-dir", running.state_dir == new.state_dir),
        ("socket", running.socket == new.socket),
        ("tun.name", running.tun == new.tun),
        ("routes", running.routes == new.routes),
        ("dns.listen", running.dns.listen == new.dns.listen),
        ("identity", running.identity == new.identity),
        ("the families of the own site's prefixes", families(running) == families(new)),
    ];
    let fault = |(what, same): (&str, bool)| {
        let message = format!("{what} cannot change at a reload; restart the daemon");
        (!same).then(|| Fault { place: Place::whole(&new.path), message })
    };
    let faults: Vec<Fault> = constants.into_iter().filter_map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.into()) }
}
