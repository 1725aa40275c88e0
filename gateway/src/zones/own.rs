//! [`Own`]: the own zone as it is offered and handed out, whole or as what changed since a version before.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::{Digest, ZoneName};
use ringway_core::Message;
use ringway_dns::Zone;
use ringway_dns::delta::{Journal, Version};
use ringway_dns::transfer::{self, Offer};

use crate::tunnel::link::Load;

/// The own zone of the moment, and how it came to be so.
pub(super) struct Own {
    pub(super) apex: ZoneName,
    pub(super) offer: Offer,
    zone: Arc<Zone>,
    pub(super) whole: Load,
    journal: Journal,
    /// Differences that were asked for, by the serial they start from: every peer is sent the same.
    deltas: BTreeMap<u32, Load>,
}

impl Own {
    pub(super) fn new(apex: ZoneName, zone: Arc<Zone>) -> Own {
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);
        let whole = load(&apex, offer.serial, None, &bytes);
        Own { apex, offer, zone, whole, journal: Journal::default(), deltas: BTreeMap::new() }
    }

    /// Takes `zone` in its place; true if it is another.
    pub(super) fn renew(&mut self, zone: Arc<Zone>) -> bool {
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);
        if offer == self.offer {
            return false;
        }
        self.journal.note(self.version(), &self.zone.encode(), &bytes);
        self.deltas.clear();
        self.whole = load(&self.apex, offer.serial, None, &bytes);
        (self.zone, self.offer) = (zone, offer);
        true
    }

    /// What brings whoever has the version `have` up to date; the shorter of what changed and the zone.
    pub(super) fn since(&mut self, have: Option<Version>) -> Load {
        let Some((from, delta)) = have.and_then(|have| Some((have.0, self.journal.since(have)?))) else {
            return self.whole.clone();
        };
        let (apex, serial) = (&self.apex, self.offer.serial);
        self.deltas.entry(from).or_insert_with(|| load(apex, serial, Some(from), &delta)).clone()
    }

    fn version(&self) -> Version {
        (self.offer.serial, self.offer.digest)
    }
}

fn offer(zone: &Zone, bytes: &[u8]) -> Offer {
    Offer { serial: zone.serial(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn load(apex: &ZoneName, serial: u32, from: Option<u32>, bytes: &[u8]) -> Load {
    let message = |chunk: transfer::Chunk<'_>| Message::ZoneData {
        apex: apex.clone(),
        serial,
        from,
        // A zone is far smaller than 4 GiB (`replica::MAX_SIZE`).
        offset: chunk.offset as u32,
        last: chunk.last,
        bytes: chunk.bytes.to_vec(),
    };
    transfer::chunks(bytes).map(|chunk| message(chunk).encode()).collect()
}
