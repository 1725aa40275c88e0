//! [`Fresh`]: everything that a reload needs, read and checked apart from the loop, the packet filter changed last.
//! Nothing else changes here; [`super::reload`] takes over what this gives.
//!
//! Most reloads leave the filter's rules as they are. The filter is then set anew all the same, in case somebody
//! else has flushed it, but nobody waits for it: a changed name is served before `nft` has started.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use ringway_config::{
    Config, Connected, Digest, Fault, Faults, OrgId, Place, Ruling, accepted, keys,
};
use ringway_core::Membership;
use ringway_dns::Zone;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Input, Running};
use crate::host::Families;
use crate::host::firewall::{Filter, Firewall as _, PolicySpec};
use crate::host::links::{self, Links};
use crate::identity::{Identity, Trust};
use crate::membership::{membership, policy};
use crate::names::OwnZone;
use crate::prepare::{Prepared, prepare};

/// What is in force next.
#[derive(Debug)]
pub struct Fresh {
    pub(super) config: Config,
    pub(super) rulings: Vec<Ruling>,
    pub(super) connected: Vec<Connected>,
    pub(super) links: Links,
    pub(super) trust: Trust,
    pub(super) identity: Identity,
    pub(super) zone: Zone,
    pub(super) membership: Membership,
    spec: PolicySpec,
    /// The records accepted from now on, if they are others than before.
    accepted: Option<BTreeMap<Digest, OrgId>>,
}

/// What a reload knows of what is in force.
pub(super) struct Ground {
    config: Config,
    own: OwnZone,
    filter: Filter,
    guard: Families,
    /// The filter's rules in force.
    spec: PolicySpec,
}

impl Running {
    pub(super) fn ground(&self) -> Ground {
        let (config, own, filter) = (
            self.config.clone(),
            self.names.own.clone(),
            self.filter.clone(),
        );
        let spec = policy(&config, &self.membership(), self.guard);
        Ground {
            config,
            own,
            filter,
            guard: self.guard,
            spec,
        }
    }
}

/// Reads what `ground`'s files say now, sets the filter, and tells `inputs`. Any fault, any overlap: all of
/// them are told, and nothing has changed.
pub(super) async fn reload(ground: Ground, inputs: mpsc::Sender<Input>) {
    // Held to the end: no older rules come after newer ones.
    let mut filter = ground.filter.clone().lock_owned().await;
    let fresh = Fresh::read(&ground).await;
    // The drive is gone only when the daemon ends, so nobody minds what a send says.
    match fresh {
        Ok(fresh) if fresh.spec == ground.spec => {
            fresh.remember();
            _ = inputs.send(Input::Reloaded(Ok(Box::new(fresh)))).await;
            if let Err(error) = filter.apply(&ground.spec).await {
                tracing::error!(%error, "The packet filter could not be set anew; its rules are the same");
            }
        }
        Ok(fresh) => {
            let applied = filter
                .apply(&fresh.spec)
                .await
                .map_err(|error| cannot(&ground, &error));
            let fresh = applied.map(|()| {
                fresh.remember();
                Box::new(fresh)
            });
            _ = inputs.send(Input::Reloaded(fresh)).await;
        }
        Err(faults) => _ = inputs.send(Input::Reloaded(Err(faults))).await,
    }
}

fn cannot(ground: &Ground, error: &dyn std::fmt::Display) -> Faults {
    vec![Fault {
        place: Place::whole(&ground.config.path),
        message: error.to_string(),
    }]
    .into()
}

impl Fresh {
    async fn read(ground: &Ground) -> Result<Fresh, Faults> {
        let path = &ground.config.path;
        let prepared = prepare(path).await?;
        check_constants(&ground.config, &prepared.config)?;
        if !prepared.conflicts.0.is_empty() {
            return Err(prepared.conflicts);
        }
        let Prepared {
            config,
            trust,
            identity,
            connected,
            rulings,
            accepted: before,
            ..
        } = prepared;
        let links = links::read(config.tun.as_str())
            .await
            .map_err(|error| cannot(ground, &error))?;
        let (own, described) = (ground.own.clone(), config.clone());
        let zone = spawn_blocking(move || own.build(&described)).await;
        let zone = zone.map_err(|error| cannot(ground, &error))??;
        let membership = membership(&config, &rulings);
        let spec = policy(&config, &membership, ground.guard);
        let accepted = accepted::after(&config, &rulings, &before);
        let accepted = (!accepted.keys().eq(&before)).then_some(accepted);
        Ok(Fresh {
            config,
            rulings,
            connected,
            links,
            trust,
            identity,
            zone,
            membership,
            spec,
            accepted,
        })
    }

    /// Whose ranges count from now on, also after a restart.
    fn remember(&self) {
        let saved = self
            .accepted
            .iter()
            .try_for_each(|accepted| accepted::save(&self.config.state_dir, accepted));
        if let Err(error) = saved {
            tracing::error!(%error, "The accepted records are not remembered: a restart may decide otherwise");
        }
    }
}

impl Running {
    /// Puts `fresh` in force. Gives the membership that it stands for, and whether the own certificate is another.
    pub(super) fn take_over(&mut self, fresh: Fresh) -> (Membership, bool) {
        let Fresh {
            config,
            rulings,
            connected,
            links,
            trust,
            identity,
            zone,
            membership,
            ..
        } = fresh;
        let renewed = identity.chain() != self.identity.load().chain();
        let trust = trust.succeeding(&self.trust.load());
        self.trust.store(Arc::new(trust));
        self.identity.store(Arc::new(identity));
        self.names.publish(&config, &membership, zone);
        (self.config, self.rulings, self.connected, self.links) =
            (config, rulings, connected, links);
        (membership, renewed)
    }
}

/// What forwarding was switched on for.
fn families(config: &Config) -> Families {
    Families::of(config.own_prefixes().iter().map(|own| &own.prefix))
}

/// What a running daemon cannot change: each is named, so that the operator restarts knowingly.
fn check_constants(running: &Config, new: &Config) -> Result<(), Faults> {
    let constants: [(&dyn Display, bool); 11] = [
        (
            &"org, gateway or site",
            running.id == new.id && running.site == new.site,
        ),
        (
            &"the consortium's domain",
            running.own.domain == new.own.domain,
        ),
        (&keys::gateway::LISTEN, running.listen == new.listen),
        (
            &keys::gateway::STATE_DIR,
            running.state_dir == new.state_dir,
        ),
        (&keys::gateway::SOCKET, running.socket == new.socket),
        (&keys::tun::NAME, running.tun == new.tun),
        (&keys::tun::LANES, running.lanes == new.lanes),
        (&keys::gateway::ROUTES, running.routes == new.routes),
        (&keys::dns::LISTEN, running.dns.listen == new.dns.listen),
        (&keys::gateway::IDENTITY, running.identity == new.identity),
        (
            &"the families of this site's prefixes",
            families(running) == families(new),
        ),
    ];
    let fault = |(what, same): (&dyn Display, bool)| {
        let message = format!("{what} cannot change at a reload; restart the daemon");
        (!same).then(|| Fault {
            place: Place::whole(&new.path),
            message,
        })
    };
    let faults: Vec<Fault> = constants.into_iter().filter_map(fault).collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.into())
    }
}
