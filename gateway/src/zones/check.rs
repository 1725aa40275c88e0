//! [`Check`]: makes a zone of what a peer sent, off the loop. A large one takes some 100 ms, and on
//! the loop the probes of every tunnel would wait. There is one check at a time for each
//! organization; of what comes meanwhile, only the latest waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::ZoneName;
use ringway_core::ConnId;
use ringway_dns::transfer::{Offer, Parcel, TransferError};
use ringway_dns::{Zone, Zones};

/// Checks what a peer sent as its zone.
#[derive(Debug)]
pub struct Check {
    conn: ConnId,
    parcel: Parcel,
    zones: Arc<Zones>,
}

/// The result of a [`Check`].
#[derive(Debug)]
pub struct Checked {
    pub(super) conn: ConnId,
    pub(super) apex: ZoneName,
    pub(super) offer: Offer,
    pub(super) was_delta: bool,
    pub(super) result: Result<Zone, TransferError>,
}

impl Check {
    /// Compares the digest and reads the zone, after applying a difference to the zone that is
    /// served. Blocks.
    pub fn run(self) -> Checked {
        let Check {
            conn,
            parcel,
            zones,
        } = self;
        let apex = parcel.apex().clone();
        let offer = *parcel.offer();
        let was_delta = parcel.is_delta();
        // A difference applies to the version that is served now, if that is still the one that was
        // fetched for.
        let held = zones.zone(&apex);

        // Derived here, since the loop publishes the zone.
        let result = parcel.check(held.as_deref()).inspect(Zone::derive_pointers);

        Checked {
            conn,
            apex,
            offer,
            was_delta,
            result,
        }
    }
}

/// What became of a parcel.
#[derive(Debug)]
pub(super) enum Begun {
    /// Its organization has no other check under way.
    Now(Check),
    /// It waits for the end of one.
    Waits {
        /// The connection whose parcel waited before, and will not be checked.
        instead_of: Option<ConnId>,
    },
}

/// Which organizations' zones are being checked, and what waits for that.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<ZoneName, Option<(ConnId, Parcel)>>);

impl Checks {
    /// Takes `parcel`, which came on `conn`.
    pub(super) fn begin(&mut self, conn: ConnId, parcel: Parcel, zones: &Arc<Zones>) -> Begun {
        // One place per organization: an owner with many gateways cannot fill the threads that may
        // block, nor keep more than one parcel in memory here.
        if let Some(waiting) = self.0.get_mut(parcel.apex()) {
            let replaced = waiting.replace((conn, parcel));
            return Begun::Waits {
                instead_of: replaced.map(|(conn, _)| conn),
            };
        }

        self.0.insert(parcel.apex().clone(), None);
        Begun::Now(Check {
            conn,
            parcel,
            zones: zones.clone(),
        })
    }

    /// A check of `apex`'s zone has ended; the next, if one waits.
    pub(super) fn end(&mut self, apex: &ZoneName, zones: &Arc<Zones>) -> Option<Check> {
        let (conn, parcel) = self.0.remove(apex)??;

        // A check is under way again, and nothing waits for it.
        self.0.insert(apex.clone(), None);
        Some(Check {
            conn,
            parcel,
            zones: zones.clone(),
        })
    }
}
