//! [`Own`]: our zone as it is offered and sent to the other organizations, whole or as what changed
//! since an earlier version.
//!
//! ```text
//!   published ─► Preparation, off the loop: encode, compare, cut ─► Prepared ─► offered
//! ```
//! A large zone takes some 100 ms for that, and on the loop the probes of every tunnel would wait.
//! Until it is done, the version before is on offer.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::{Digest, ZoneName};
use ringway_core::{Message, ZoneMessage};
use ringway_dns::Zone;
use ringway_dns::delta::{Journal, Step, Version};
use ringway_dns::transfer::{self, Offer};

use crate::quic::link::Load;

/// Our zone, and its latest changes.
pub(super) struct Own {
    pub(super) apex: ZoneName,
    pub(super) offer: Offer,
    zone: Arc<Zone>,
    pub(super) whole: Load,
    journal: Journal,
    /// Differences that were asked for, by the serial they start from. Every peer is sent the same.
    deltas: BTreeMap<u32, Load>,
    /// A [`Preparation`] is under way.
    is_preparing: bool,
}

/// Makes a new version of our zone ready to be offered.
#[derive(Debug)]
pub struct Preparation {
    apex: ZoneName,
    /// The zone that is on offer now.
    before: (Arc<Zone>, Version),
    zone: Arc<Zone>,
}

/// A version of our zone that is ready to be offered.
#[derive(Debug)]
pub struct Prepared {
    zone: Arc<Zone>,
    /// `None`: it is the version before.
    change: Option<(Offer, Load, Step)>,
}

impl Preparation {
    /// Encodes the new version and compares it with the one before. Blocks.
    pub fn run(self) -> Prepared {
        let Preparation {
            apex,
            before: (old, version),
            zone,
        } = self;
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);

        // A reload builds the zone again even if its records are the same: peers are not bothered.
        let change = (version != (offer.serial, offer.digest)).then(|| {
            let step = Step::new(version, &old.encode(), &bytes);
            (offer, load(&apex, offer.serial, None, &bytes), step)
        });

        Prepared { zone, change }
    }
}

impl Own {
    pub(super) fn new(apex: ZoneName, zone: Arc<Zone>) -> Own {
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);
        let whole = load(&apex, offer.serial, None, &bytes);

        Own {
            apex,
            offer,
            zone,
            whole,
            journal: Journal::default(),
            deltas: BTreeMap::new(),
            is_preparing: false,
        }
    }

    /// The preparation of `zone`, if it is another one than before and no preparation is under way.
    pub(super) fn prepare(&mut self, zone: Arc<Zone>) -> Option<Preparation> {
        if self.is_preparing || Arc::ptr_eq(&zone, &self.zone) {
            return None;
        }

        self.is_preparing = true;
        Some(Preparation {
            apex: self.apex.clone(),
            before: (self.zone.clone(), self.version()),
            zone,
        })
    }

    /// Puts a prepared zone on offer. True if it is another version.
    pub(super) fn replace(&mut self, prepared: Prepared) -> bool {
        self.zone = prepared.zone;
        self.is_preparing = false;
        let Some((offer, whole, step)) = prepared.change else {
            return false;
        };

        self.journal.note(step);
        // They lead to the version that was on offer until now.
        self.deltas.clear();
        self.offer = offer;
        self.whole = whole;
        true
    }

    /// The messages that bring a peer with the version `have` up to date: what changed, or the
    /// whole zone if that is shorter.
    pub(super) fn since(&mut self, have: Option<Version>) -> Load {
        let delta = have.and_then(|have| Some((have.0, self.journal.since(have)?)));
        let Some((from, delta)) = delta else {
            return self.whole.clone();
        };

        // Encoded once: after a change, all peers fetch the same difference at about the same time.
        let apex = &self.apex;
        let serial = self.offer.serial;
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

/// `bytes`, a zone or the difference since the serial `from`, as encoded messages.
fn load(apex: &ZoneName, serial: u32, from: Option<u32>, bytes: &[u8]) -> Load {
    transfer::chunks(bytes)
        .map(|chunk| {
            let data = ZoneMessage::Data {
                apex: apex.clone(),
                serial,
                from,
                // A zone is far smaller than 4 GiB (`replica::MAX_SIZE`).
                offset: chunk.offset as u32,
                last: chunk.last,
                bytes: chunk.bytes.to_vec(),
            };
            Message::Zone(data).encode()
        })
        .collect()
}
