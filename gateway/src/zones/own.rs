//! [`Own`]: our own fragment as peers receive it, as a whole or as the difference from an earlier
//! version.
//!
//! ```text
//!   adopted ─► Preparation, off the loop: encode, compare, cut ─► Prepared ─► offered
//! ```
//! Preparing a large fragment takes some 100 ms, for which every tunnel's probes would wait on the
//! loop. Until it is done, the previous version is offered.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::Digest;
use ringway_core::{FragmentMessage, Message, ServicesOrigin, ZoneMessage};
use ringway_dns::Zone;
use ringway_dns::delta::{Journal, Step, Version};
use ringway_dns::transfer::{self, Offer};

use crate::quic::link::Load;

/// Our fragment, with its recent changes.
pub(super) struct Own {
    pub(super) offer: Offer,
    /// Where the names of Kubernetes Services in the offered version come from.
    pub(super) services: Option<ServicesOrigin>,
    /// The same of the version that is in force.
    next_services: Option<ServicesOrigin>,
    zone: Arc<Zone>,
    /// In force, but not offered yet.
    next: Option<Arc<Zone>>,
    pub(super) whole: Load,
    journal: Journal,
    /// Differences that peers have fetched, by the version they start from. All peers get the same.
    deltas: BTreeMap<Digest, Load>,
    /// A [`Preparation`] is running.
    is_preparing: bool,
}

/// The preparation of a new version.
#[derive(Debug)]
pub struct Preparation {
    /// The version that is offered now.
    before: (Arc<Zone>, Version),
    zone: Arc<Zone>,
    services: Option<ServicesOrigin>,
}

/// A new version, ready to be offered.
#[derive(Debug)]
pub struct Prepared {
    zone: Arc<Zone>,
    services: Option<ServicesOrigin>,
    /// `None` if it equals the previous version.
    change: Option<(Offer, Load, Step)>,
}

/// What a prepared version has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    Nothing,
    /// Not the records, but where those of Kubernetes Services come from.
    Services,
    /// The records.
    Version,
}

impl Preparation {
    /// Encodes the new version and compares it with the previous one. Blocks.
    pub fn run(self) -> Prepared {
        let Preparation {
            before: (old, version),
            zone,
            services,
        } = self;
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);

        // A reload builds the zone again even if its records are the same; do not bother peers
        // then.
        let change = (version != (offer.serial, offer.digest)).then(|| {
            let step = Step::new(version, &old.encode(), &bytes);
            (offer, load(offer.digest, None, &bytes), step)
        });

        Prepared {
            zone,
            services,
            change,
        }
    }
}

impl Own {
    /// `zone` has serial 0: versions of a fragment differ by digest.
    pub(super) fn new(zone: Arc<Zone>) -> Own {
        let bytes = zone.encode();
        let offer = offer(&zone, &bytes);
        let whole = load(offer.digest, None, &bytes);

        Own {
            offer,
            services: None,
            next_services: None,
            zone,
            next: None,
            whole,
            journal: Journal::default(),
            deltas: BTreeMap::new(),
            is_preparing: false,
        }
    }

    /// Sets the next version.
    pub(super) fn adopt(&mut self, zone: Arc<Zone>) {
        self.next = Some(zone);
    }

    /// Sets where the names of Kubernetes Services in `zone`, which is in force, come from.
    pub(super) fn set_services(&mut self, services: Option<ServicesOrigin>, zone: Arc<Zone>) {
        if self.next_services != services {
            self.next_services = services;
            self.next = Some(zone);
        }
    }

    /// The preparation of the next version, if there is one and none is running.
    pub(super) fn prepare(&mut self) -> Option<Preparation> {
        if self.is_preparing {
            return None;
        }

        let zone = self.next.take()?;
        self.is_preparing = true;
        Some(Preparation {
            before: (self.zone.clone(), self.version()),
            zone,
            services: self.next_services,
        })
    }

    /// Offers a prepared version.
    pub(super) fn replace(&mut self, prepared: Prepared) -> Replaced {
        self.zone = prepared.zone;
        self.is_preparing = false;
        let before = std::mem::replace(&mut self.services, prepared.services);
        let Some((offer, whole, step)) = prepared.change else {
            return if before == self.services {
                Replaced::Nothing
            } else {
                Replaced::Services
            };
        };

        self.journal.note(step);
        // They lead to the previous version.
        self.deltas.clear();
        self.offer = offer;
        self.whole = whole;
        Replaced::Version
    }

    /// The messages that bring a peer from the version `have` up to date: the difference, or the
    /// whole fragment if that is shorter.
    pub(super) fn since(&mut self, have: Option<Digest>) -> Load {
        let delta = have.and_then(|have| {
            let version = (self.offer.serial, have);
            Some((have, self.journal.since(version)?))
        });
        let Some((from, delta)) = delta else {
            return self.whole.clone();
        };

        // Encode once: after a change, all peers fetch the same difference at about the same time.
        let digest = self.offer.digest;
        self.deltas
            .entry(from)
            .or_insert_with(|| load(digest, Some(from), &delta))
            .clone()
    }

    /// The offered version.
    pub(super) fn zone(&self) -> Arc<Zone> {
        self.zone.clone()
    }

    fn version(&self) -> Version {
        (self.offer.serial, self.offer.digest)
    }
}

pub(super) fn offer(zone: &Zone, bytes: &[u8]) -> Offer {
    Offer {
        serial: zone.serial(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

/// Encodes `bytes` as messages: a fragment, or its difference from the version `from`.
fn load(digest: Digest, from: Option<Digest>, bytes: &[u8]) -> Load {
    transfer::chunks(bytes)
        .map(|chunk| {
            let data = FragmentMessage::Data {
                digest,
                from,
                // Fits: a fragment is far smaller than 4 GiB (`replica::MAX_SIZE`).
                offset: chunk.offset as u32,
                last: chunk.last,
                bytes: chunk.bytes.to_vec(),
            };
            Message::Zone(ZoneMessage::Fragment(data)).encode()
        })
        .collect()
}
