//! [`Check`]: makes a zone of what a peer sent, off the loop: a large one takes some 100 ms, and probes of
//! every tunnel wait behind the loop. One at a time for each organization; of what comes meanwhile, only the
//! latest waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::ZoneName;
use ringway_core::ConnId;
use ringway_dns::transfer::{Offer, Parcel, TransferError};
use ringway_dns::{Zone, Zones};

/// Work to do on a thread that may block.
#[derive(Debug)]
pub struct Check {
    conn: ConnId,
    parcel: Parcel,
    zones: Arc<Zones>,
}

/// What became of it.
#[derive(Debug)]
pub struct Checked {
    pub(super) conn: ConnId,
    pub(super) apex: ZoneName,
    pub(super) offer: Offer,
    pub(super) was_delta: bool,
    pub(super) result: Result<Zone, TransferError>,
}

impl Check {
    /// Does it.
    pub fn run(self) -> Checked {
        let Check {
            conn,
            parcel,
            zones,
        } = self;
        let (apex, offer, was_delta) = (parcel.apex().clone(), *parcel.offer(), parcel.is_delta());
        let held = zones.zone(&apex);
        // Here and not when it is published, which the loop does.
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

/// Which organizations' zones are being checked, and what waits for that.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<ZoneName, Option<(ConnId, Parcel)>>);

impl Checks {
    /// The check of `parcel`, if its organization has none under way; else it waits. Second: the connection
    /// whose parcel waited before and never will be checked.
    pub(super) fn begin(
        &mut self,
        conn: ConnId,
        parcel: Parcel,
        zones: &Arc<Zones>,
    ) -> (Option<Check>, Option<ConnId>) {
        match self.0.get_mut(parcel.apex()) {
            Some(waiting) => (None, waiting.replace((conn, parcel)).map(|(conn, _)| conn)),
            None => {
                self.0.insert(parcel.apex().clone(), None);
                (
                    Some(Check {
                        conn,
                        parcel,
                        zones: zones.clone(),
                    }),
                    None,
                )
            }
        }
    }

    /// A check of `apex`'s zone has ended; the next, if one waits.
    pub(super) fn end(&mut self, apex: &ZoneName, zones: &Arc<Zones>) -> Option<Check> {
        let (conn, parcel) = self.0.remove(apex)??;
        self.0.insert(apex.clone(), None);
        Some(Check {
            conn,
            parcel,
            zones: zones.clone(),
        })
    }
}
