//! [`Check`]: makes a fragment of what a peer sent, off the loop. A large one takes some 100 ms,
//! and on the loop the probes of every tunnel would wait. There is one check at a time for each
//! organization; of what comes meanwhile, only the latest of each gateway waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::ZoneName;
use ringway_core::ConnId;
use ringway_dns::Zone;
use ringway_dns::transfer::{Offer, Parcel, TransferError};

/// Parcels of one organization that wait at most; the oldest gives way.
const MAX_WAITING: usize = 4;

/// Checks what a peer sent as its fragment.
#[derive(Debug)]
pub struct Check {
    conn: ConnId,
    parcel: Parcel,
    /// The version to which a difference applies.
    held: Option<Arc<Zone>>,
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
    pub(super) fn new(parcel: (ConnId, Parcel), held: Option<Arc<Zone>>) -> Check {
        let (conn, parcel) = parcel;
        Check { conn, parcel, held }
    }

    /// Compares the digest and reads the fragment, after applying a difference to the one that is
    /// held. Blocks.
    pub fn run(self) -> Checked {
        Checked {
            conn: self.conn,
            apex: self.parcel.apex().clone(),
            offer: *self.parcel.offer(),
            was_delta: self.parcel.is_delta(),
            result: self.parcel.check(self.held.as_deref()),
        }
    }
}

/// What became of a parcel.
#[derive(Debug)]
pub(super) enum Begun {
    /// Its organization has no other check under way.
    Now((ConnId, Parcel)),
    /// It waits for the end of one.
    Waits {
        /// The connection whose parcel waited before, and will not be checked.
        instead_of: Option<ConnId>,
    },
}

/// Which organizations' fragments are being checked, and what waits for that.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<ZoneName, Vec<(ConnId, Parcel)>>);

impl Checks {
    /// Takes `parcel`, which came on `conn`.
    pub(super) fn begin(&mut self, conn: ConnId, parcel: Parcel) -> Begun {
        // Few places per organization: an owner with many gateways cannot fill the threads that may
        // block, nor keep many parcels in memory here.
        let Some(waiting) = self.0.get_mut(parcel.apex()) else {
            self.0.insert(parcel.apex().clone(), Vec::new());
            return Begun::Now((conn, parcel));
        };

        let full = waiting.len() >= MAX_WAITING;
        let instead_of = full.then(|| waiting.remove(0).0);
        waiting.push((conn, parcel));
        Begun::Waits { instead_of }
    }

    /// A check of `apex` has ended; the next, if one waits.
    pub(super) fn end(&mut self, apex: &ZoneName) -> Option<(ConnId, Parcel)> {
        let waiting = self.0.get_mut(apex)?;
        if waiting.is_empty() {
            self.0.remove(apex);
            return None;
        }

        Some(waiting.remove(0))
    }
}
