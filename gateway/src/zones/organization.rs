//! [`Organization`]: the fragments that are held of one organization, and the state of its merges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use ringway_config::{Digest, GatewayId, GatewayName, OrgId, ZoneName};
use ringway_core::ServicesOrigin;
use ringway_dns::delta::Version;
use ringway_dns::replica::MAX_SIZE;
use ringway_dns::{AllowedAddresses, LeftOut, Zone};

use super::merge::Merge;
use crate::names::ZoneSerials;

/// Maximum size, in octets, of an organization's encoded fragments together. Its union is limited
/// to [`MAX_SIZE`], but a part of each fragment may be left out of it.
pub(super) const MAX_TOTAL: u64 = 4 * MAX_SIZE as u64;

/// A fragment that is answered from.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) zone: Arc<Zone>,
    pub(super) digest: Digest,
    /// Size of its encoding, octets.
    pub(super) size: u64,
    pub(super) received: SystemTime,
    /// The keys of the certificate chain that vouched for it; none for our own.
    pub(super) keys: Vec<Digest>,
    /// Its owner has been silent for longer than the hold.
    pub(super) is_expired: bool,
    /// Where its names of Kubernetes Services come from; unknown of a copy from disk.
    pub(super) services: Option<ServicesOrigin>,
}

/// What the member record allows an organization's zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) apex: ZoneName,
    /// Gateways that are not revoked.
    pub(super) gateways: BTreeSet<GatewayName>,
    pub(super) revoked_keys: BTreeSet<Digest>,
    pub(super) allowed: BTreeMap<GatewayName, AllowedAddresses>,
}

#[derive(Debug)]
pub(super) struct Organization {
    pub(super) org: OrgId,
    pub(super) terms: Terms,
    pub(super) held: BTreeMap<GatewayName, Held>,
    /// Incremented with every change of the fragments.
    generation: u64,
    /// A merge is running.
    is_merging: bool,
    /// The completeness that was last published.
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

    /// The held version of `gateway`'s fragment.
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

    /// Drops fragments that the record no longer admits. True if there were any.
    pub(super) fn drop_revoked(&mut self) -> bool {
        let before = self.held.len();
        let held = std::mem::take(&mut self.held);
        self.held = held
            .into_iter()
            .filter(|(gateway, held)| self.admits(gateway, &held.keys))
            .collect();

        self.held.len() < before
    }

    /// Drops fragments, the highest gateway names first, until the total fits. The result does not
    /// depend on the order of arrival.
    pub(super) fn drop_beyond_total(&mut self, own: Option<&GatewayName>) -> Vec<GatewayName> {
        let mut total = 0;
        let mut dropped = Vec::new();
        for (gateway, held) in &self.held {
            total += held.size;
            // Our own fragment stays in any case.
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

    /// Records a change of the fragments. Returns the merge to run, unless one is running.
    pub(super) fn changed(&mut self, serials: &ZoneSerials, legacy: bool) -> Option<Merge> {
        self.generation += 1;
        if self.is_merging || self.held.is_empty() {
            return None;
        }

        self.is_merging = true;
        Some(self.merge(serials, legacy))
    }

    /// Handles the end of a merge. Returns the next one if the fragments have changed since.
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

/// The result of a merge.
pub(super) enum Ended {
    /// It is current: publish it.
    Current,
    /// The fragments have changed meanwhile: discard it and run this one.
    Outdated(Option<Merge>),
}
