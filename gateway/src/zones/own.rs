//! [`Own`]: the own zone as it is offered and handed out, whole or as what changed since a version before.
//!
//! ```text
//!   published ─► Renewal, off the loop: encode, compare, cut into messages ─► Renewed ─► offered
//! ```
//! A large zone takes some 100 ms for that, and probes of every tunnel would wait. Until it is done, the
//! version before is on offer, and handed out to whoever asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::{Digest, ZoneName};
use ringway_core::{Message, ZoneMessage};
use ringway_dns::Zone;
use ringway_dns::delta::{Journal, Step, Version};
use ringway_dns::transfer::{self, Offer};

use crate::quic::link::Load;

/// The own zone of the moment, and how it came to be so.
pub(super) struct Own {
    pub(super) apex: ZoneName,
    pub(super) offer: Offer,
    zone: Arc<Zone>,
    pub(super) whole: Load,
    journal: Journal,
    /// Differences that were asked for, by the serial they start from: every peer is sent the same.
    deltas: BTreeMap<u32, Load>,
    /// A [`Renewal`] is under way.
    renewing: bool,
}

/// Work to do on a thread that may block: makes ready what is told of a new own zone.
#[derive(Debug)]
pub struct Renewal {
    apex: ZoneName,
    before: (Arc<Zone>, Version),
    zone: Arc<Zone>,
}

/// What a [`Renewal`] has made.
#[derive(Debug)]
pub struct Renewed {
    zone: Arc<Zone>,
    /// `None`: it is the version before.
    change: Option<(Offer, Load, Step)>,
}

impl Renewal {
    /// Does it.
    pub fn run(self) -> Renewed {
        let Renewal {
            apex,
            before: (old, version),
            zone,
        } = self;
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);
        let change = (version != (offer.serial, offer.digest)).then(|| {
            let step = Step::new(version, &old.encode(), &bytes);
            (offer, load(&apex, offer.serial, None, &bytes), step)
        });
        Renewed { zone, change }
    }
}

impl Own {
    pub(super) fn new(apex: ZoneName, zone: Arc<Zone>) -> Own {
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);
        let whole = load(&apex, offer.serial, None, &bytes);
        let (journal, deltas) = (Journal::default(), BTreeMap::new());
        Own {
            apex,
            offer,
            zone,
            whole,
            journal,
            deltas,
            renewing: false,
        }
    }

    /// What is to be done for `zone` to take its place; nothing while another has not done so.
    pub(super) fn renewal(&mut self, zone: Arc<Zone>) -> Option<Renewal> {
        if self.renewing || Arc::ptr_eq(&zone, &self.zone) {
            return None;
        }
        self.renewing = true;
        Some(Renewal {
            apex: self.apex.clone(),
            before: (self.zone.clone(), self.version()),
            zone,
        })
    }

    /// The zone takes its place; true if it is another version.
    pub(super) fn renew(&mut self, Renewed { zone, change }: Renewed) -> bool {
        (self.zone, self.renewing) = (zone, false);
        let Some((offer, whole, step)) = change else {
            return false;
        };
        self.journal.note(step);
        self.deltas.clear();
        (self.offer, self.whole) = (offer, whole);
        true
    }

    /// What brings whoever has the version `have` up to date; the shorter of what changed and the zone.
    pub(super) fn since(&mut self, have: Option<Version>) -> Load {
        let Some((from, delta)) = have.and_then(|have| Some((have.0, self.journal.since(have)?)))
        else {
            return self.whole.clone();
        };
        let (apex, serial) = (&self.apex, self.offer.serial);
        self.deltas
            .entry(from)
            .or_insert_with(|| load(apex, serial, Some(from), &delta))
            .clone()
    }

    fn version(&self) -> Version {
        (self.offer.serial, self.offer.digest)
    }
}

fn offer(zone: &Zone, bytes: &[u8]) -> Offer {
    Offer {
        serial: zone.serial(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

fn load(apex: &ZoneName, serial: u32, from: Option<u32>, bytes: &[u8]) -> Load {
    let message = |chunk: transfer::Chunk<'_>| ZoneMessage::Data {
        apex: apex.clone(),
        serial,
        from,
        // A zone is far smaller than 4 GiB (`replica::MAX_SIZE`).
        offset: chunk.offset as u32,
        last: chunk.last,
        bytes: chunk.bytes.to_vec(),
    };
    transfer::chunks(bytes)
        .map(|chunk| Message::Zone(message(chunk)).encode())
        .collect()
}
