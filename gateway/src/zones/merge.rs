//! [`Merge`]: merges an organization's fragments into its zone, off the loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::{GatewayName, OrgId, ZoneName};
use ringway_dns::{AllowedAddresses, LeftOut, Name, Zone, unite};

use super::legacy::Legacy;
use crate::names::ZoneSerials;

/// The merge of one organization's fragments.
#[derive(Debug)]
pub struct Merge {
    pub(super) org: OrgId,
    pub(super) generation: u64,
    pub(super) apex: ZoneName,
    pub(super) living: BTreeMap<GatewayName, Arc<Zone>>,
    /// Fragments whose owners have been silent for longer than the hold.
    pub(super) expired: BTreeMap<GatewayName, Arc<Zone>>,
    pub(super) allowed: BTreeMap<GatewayName, AllowedAddresses>,
    pub(super) serials: ZoneSerials,
    /// True if a peer without fragments needs the whole zone.
    pub(super) legacy: bool,
}

/// The result of a [`Merge`].
#[derive(Debug)]
pub struct Merged {
    pub(super) org: OrgId,
    pub(super) generation: u64,
    /// `None` without any fragment.
    pub(super) zone: Option<Arc<Zone>>,
    pub(super) expired: Option<Arc<Zone>>,
    /// All fragments are expired.
    pub(super) is_stale: bool,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) left_out_count: usize,
    pub(super) legacy: Option<Legacy>,
}

impl Merge {
    /// Merges the fragments and assigns the serial. Blocks; a large zone takes some 100 ms.
    pub fn run(self) -> Merged {
        let apex = Name::from(&self.apex);
        let is_stale = self.living.is_empty();
        let base = if is_stale {
            &self.expired
        } else {
            &self.living
        };

        let mut merged = Merged {
            org: self.org,
            generation: self.generation,
            zone: None,
            expired: None,
            is_stale,
            left_out: Vec::new(),
            left_out_count: 0,
            legacy: None,
        };
        let Some(union) = unite(&apex, base, &self.allowed) else {
            return merged;
        };

        let zone = Arc::new(self.serials.number(&self.apex, union.zone));
        merged.legacy = self.legacy.then(|| Legacy::of(&self.apex, &zone));
        merged.zone = Some(zone);
        merged.left_out = union.left_out;
        merged.left_out_count = union.left_out_count;
        // Names that only expired fragments have: they fail, while all others are answered.
        if !is_stale {
            let expired = unite(&apex, &self.expired, &self.allowed);
            merged.expired = expired.map(|union| Arc::new(union.zone));
        }
        merged
    }
}
