//! [`Organization`]: what is held of one organization's fragments, and what its zone is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use ringway_config::{Digest, GatewayId, GatewayName, OrgId, ZoneName};
use ringway_dns::delta::Version;
use ringway_dns::replica::MAX_SIZE;
use ringway_dns::{AllowedAddresses, LeftOut, Zone};

use super::merge::Merge;
use crate::names::ZoneSerials;

/// Octets of an organization's encoded fragments together: its union is no larger than
/// [`MAX_SIZE`], but a part of each may be left out.
pub(super) const MAX_TOTAL: u64 = 4 * MAX_SIZE as u64;

/// A fragment that we answer from.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) zone: Arc<Zone>,
    pub(super) digest: Digest,
    /// Octets of its encoding.
    pub(super) size: u64,
    pub(super) received: SystemTime,
    /// The keys of the certificate chain that vouched for it; none for ours.
    pub(super) keys: Vec<Digest>,
    /// Its owner has been silent for longer than the hold.
    pub(super) is_expired: bool,
}

/// What the member record says about an organization's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) apex: ZoneName,
    /// Those that are not revoked.
    pub(super) gateways: BTreeSet<GatewayName>,
    pub(super) revoked_keys: BTreeSet<Digest>,
    pub(super) allowed: BTreeMap<GatewayName, AllowedAddresses>,
}

#[derive(Debug)]
pub(super) struct Organization {
    pub(super) org: OrgId,
    pub(super) terms: Terms,
    pub(super) held: BTreeMap<GatewayName, Held>,
    /// Grows with every change of what the zone is made of.
    generation: u64,
    /// A merge is under way.
    is_merging: bool,
    /// As it was published last.
    pub(super) is_complete: bool,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) left_out_count: usize,
}

impl Organization {
    pub(super) fn new(org: OrgId, terms: Terms) -> Organization {
        Organization {
            org,
            terms,
            held: BTreeMap::new(),
            generation: 0,
            is_merging: false,
            is_complete: false,
            left_out: Vec::new(),
            left_out_count: 0,
        }
    }

    pub(super) fn id_of(&self, gateway: &GatewayName) -> GatewayId {
        GatewayId {
            name: gateway.clone(),
            org: self.org.clone(),
        }
    }

    /// The version of `gateway`'s fragment that is held.
    pub(super) fn version(&self, gateway: &GatewayName) -> Option<Version> {
        let held = self.held.get(gateway)?;
        Some((held.zone.serial(), held.digest))
    }

    /// True if the record admits a fragment of `gateway` that a chain with these keys vouches for.
    pub(super) fn admits(&self, gateway: &GatewayName, keys: &[Digest]) -> bool {
        self.terms.gateways.contains(gateway)
            && keys
                .iter()
                .all(|key| !self.terms.revoked_keys.contains(key))
    }

    /// Drops what the record does not admit. True if there was something.
    pub(super) fn drop_revoked(&mut self) -> bool {
        let before = self.held.len();
        let held = std::mem::take(&mut self.held);
        self.held = held
            .into_iter()
            .filter(|(gateway, held)| self.admits(gateway, &held.keys))
            .collect();

        self.held.len() < before
    }

    /// Drops the fragments of the highest gateway names, as long as all are too large together.
    /// What is kept does not depend on the order in which they came.
    pub(super) fn drop_beyond_total(&mut self, own: Option<&GatewayName>) -> Vec<GatewayName> {
        let mut total = 0;
        let mut dropped = Vec::new();
        for (gateway, held) in &self.held {
            total += held.size;
            // Ours stays, wherever its name stands in their order.
            if total > MAX_TOTAL && Some(gateway) != own {
                total -= held.size;
                dropped.push(gateway.clone());
            }
        }

        for gateway in &dropped {
            self.held.remove(gateway);
        }
        dropped
    }

    /// What the zone is made of has changed: the merge to run, unless one is under way.
    pub(super) fn changed(&mut self, serials: &ZoneSerials, legacy: bool) -> Option<Merge> {
        self.generation += 1;
        if self.is_merging || self.held.is_empty() {
            return None;
        }

        self.is_merging = true;
        Some(self.merge(serials, legacy))
    }

    /// A merge has ended. The next one, if something has changed since it began.
    pub(super) fn merged(&mut self, generation: u64, serials: &ZoneSerials, legacy: bool) -> Ended {
        self.is_merging = false;
        if generation == self.generation {
            return Ended::Current;
        }
        if self.held.is_empty() {
            return Ended::Outdated(None);
        }

        self.is_merging = true;
        Ended::Outdated(Some(self.merge(serials, legacy)))
    }

    pub(super) fn merge(&self, serials: &ZoneSerials, legacy: bool) -> Merge {
        let of = |expired: bool| -> BTreeMap<GatewayName, Arc<Zone>> {
            self.held
                .iter()
                .filter(|(_, held)| held.is_expired == expired)
                .map(|(gateway, held)| (gateway.clone(), held.zone.clone()))
                .collect()
        };

        Merge {
            org: self.org.clone(),
            generation: self.generation,
            apex: self.terms.apex.clone(),
            living: of(false),
            expired: of(true),
            allowed: self.terms.allowed.clone(),
            serials: serials.clone(),
            legacy,
        }
    }

    pub(super) fn received(&self) -> SystemTime {
        let times = self.held.values().map(|held| held.received);
        times.max().unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// What became of a merge.
pub(super) enum Ended {
    /// Its result is to be published.
    Current,
    /// Something has changed meanwhile: its result is out of date.
    Outdated(Option<Merge>),
}
