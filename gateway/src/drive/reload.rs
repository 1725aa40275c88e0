//! [`Running`]: the configuration in force and everything made from it; and how SIGHUP replaces it.
//!
//! A reload reads and checks everything anew, as a start does. Any fault, any overlap, and the running
//! set stays as it is. What can fail (files, zone, packet filter) comes first, apart from the loop
//! ([`super::fresh`]); then what cannot (trust, membership, names). Sessions that the new trust would not have
//! let begin are cut.
//!
//! One change at a time: what else comes meanwhile (a SIGHUP, a new certificate, the host's addresses) waits for
//! its end, each the latest only.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use ringway_config::{Config, Connected, Faults, GatewayId, Ruling, ZoneName};
use ringway_core::{ExternalText, Membership, Message, TrustError};

use super::{Fresh, Input, State, fresh};
use crate::host::Families;
use crate::host::firewall::Filter;
use crate::host::links::Links;
use crate::identity::{Identity, Trust};
use crate::membership::membership;
use crate::names::{Names, others};
use crate::zones::Renewed;

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
    pub filter: Filter,
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

/// The change under way, and what waits for its end.
#[derive(Debug, Default)]
pub(super) struct Reload {
    pub(super) under_way: bool,
    again: bool,
    pub(super) renew: bool,
    pub(super) links: Option<Links>,
}

impl State {
    /// Begins what SIGHUP asks for, all or nothing.
    pub(super) fn begin_reload(&mut self) {
        if self.reload.under_way {
            self.reload.again = true;
            return;
        }
        self.reload.under_way = true;
        let (ground, inputs) = (self.drive.running.ground(), self.drive.inputs.clone());
        tokio::spawn(fresh::reload(ground, inputs));
    }

    /// Takes over what was read, or says why not.
    pub(super) fn end_reload(&mut self, fresh: Result<Box<Fresh>, Faults>, now: Instant) {
        match fresh {
            Ok(fresh) => {
                let (membership, renewed) = self.drive.running.take_over(*fresh);
                let config = &self.drive.running.config;
                self.drive
                    .replicator
                    .set_hold(config.dns.hold, &others(config));
                self.take_over(membership, renewed, now);
                tracing::info!("Configuration reloaded");
            }
            Err(faults) => {
                for fault in &faults.0 {
                    tracing::error!(reason = %fault, "Reload refused");
                }
            }
        }
        self.end_change(now);
    }

    /// The next of what waits.
    pub(super) fn end_change(&mut self, now: Instant) {
        self.reload.under_way = false;
        self.heap.littered(now);
        if std::mem::take(&mut self.reload.renew) {
            self.renew(now);
        }
        if std::mem::take(&mut self.reload.again) {
            // It reads the host's addresses too.
            self.reload.links = None;
            self.begin_reload();
        } else if let Some(links) = self.reload.links.take() {
            self.look_around(links, now);
        }
    }

    /// Everybody who works from what changed.
    pub(super) fn take_over(&mut self, membership: Membership, renewed: bool, now: Instant) {
        let trust = self.drive.running.trust.load_full();
        for (conn, refusal) in self.sessions.untrusted(&trust) {
            self.drive.mesh.handle_untrusted(
                conn,
                TrustError::Certificate(ExternalText::new(refusal)),
                now,
            );
        }
        for conn in self
            .sessions
            .of(|peer| moved(&self.membership, &membership, peer))
        {
            self.drive
                .mesh
                .handle_untrusted(conn, TrustError::SiteChanged, now);
        }
        self.drive.packets.set_local(&self.drive.running.connected);
        self.drive.packets.retain(&membership);
        self.membership = membership.clone();
        self.drive.mesh.handle_membership(membership, now);
        if renewed {
            self.drive.mesh.handle_identity_changed(now);
        }
        self.stale = true;
        self.act();
        self.publish_routes();
        self.begin_renewing_zone();
    }

    /// Has the own zone made ready for the others, if it is another.
    fn begin_renewing_zone(&mut self) {
        let Some(renewal) = self.drive.replicator.renew_own() else {
            return;
        };
        let inputs = self.drive.inputs.clone();
        // The loop is gone only when the daemon ends.
        tokio::task::spawn_blocking(move || {
            _ = inputs.blocking_send(Input::ZoneRenewed(Box::new(renewal.run())));
        });
    }

    /// Offers it.
    pub(super) fn end_renewing_zone(&mut self, renewed: Renewed, now: Instant) {
        self.heap.littered(now);
        if self.drive.replicator.handle_renewed(renewed) {
            let offer = Message::Zone(self.drive.replicator.offer());
            let up: Vec<_> = self
                .drive
                .mesh
                .status(now)
                .tunnels
                .into_iter()
                .filter_map(|tunnel| tunnel.conn)
                .collect();
            up.into_iter()
                .for_each(|conn| self.sessions.send(conn, &offer));
        }
        // It may have changed again meanwhile.
        self.begin_renewing_zone();
    }
}

/// True if `peer` serves another site than before: its sessions' packets are held against the old one's
/// prefixes.
fn moved(before: &Membership, after: &Membership, peer: &GatewayId) -> bool {
    let site =
        |membership: &Membership| membership.gateways.get(peer).map(|info| info.site.clone());
    site(before) != site(after)
}
