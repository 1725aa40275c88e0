//! [`Transfer`]: the receiving side of the replication of one zone, without I/O and clock. It
//! decides whether to fetch what an owner offers, and collects the octets.
//!
//! ```text
//!            offer: other ─► Want           last chunk ─► Whole(parcel)      checked: good
//!   Idle ───────────────────────► Receiving ─────────────────► Checking ───────────────────► Idle
//!    │ ▲  offer too soon ─► Later   │  │ bad chunk, timeout      │ a bad delta: fetch the whole  ▲
//!    │ └── due: Fetch ── Waiting ◄──┴──┼─────────────────────────┘                               │
//!    └                                 └──────────────────────── refused ────────────────────────┘
//! ```
//! The digests alone tell versions apart. What the owner offers last is what it has, even if its
//! serial is lower: an owner that was restored from a backup, or whose clock was set back, is right
//! about its own zone.
//!
//! An offer waits if it arrives while a zone is received or checked, or too soon after the last
//! one; only the newest waits. The caller checks the received octets by [`Parcel::check`], off the
//! event loop, since it can take 100 ms. The peer on the control stream determines the apex: one
//! `Transfer` serves one apex, and every record is checked against it. The sending side is
//! [`chunks`] and [`Journal`](crate::delta::Journal).

mod parcel;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ringway_config::{Digest, ZoneName};

use crate::delta::{DeltaError, Version};
use crate::replica::{MAX_SIZE, ReplicaError};
pub use parcel::Parcel;

/// Octets of the largest chunk.
pub const MAX_CHUNK: usize = 48 * 1024;
/// A transfer without a chunk for this long fails.
pub const STALL: Duration = Duration::from_secs(10);
/// Octets per second at which a zone must arrive on average, after a first [`STALL`]: a link of
/// 1 Mbit/s.
pub const RATE: u64 = 128 * 1024;
/// Zones that may be fetched at once; then one per [`REFILL`].
pub const BURST: u32 = 10;
/// Time until one more zone may be fetched; see [`BURST`].
pub const REFILL: Duration = Duration::from_secs(1);

/// An owner's announcement of a version of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The serial in its SOA record.
    pub serial: u32,
    /// SHA-256 of the encoded zone.
    pub digest: Digest,
    /// Octets of the encoded zone.
    pub size: u64,
}

/// A request to an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The serial of the wanted version.
    pub serial: u32,
    /// The digest of the wanted version.
    pub digest: Digest,
    /// The version that we have, from which a difference is wanted; `None`: the whole zone is
    /// wanted.
    pub have: Option<Version>,
}

/// The decision about an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send this request now.
    Want(Fetch),
    /// The offer waits until [`Transfer::handle_timeout`] returns its request.
    Later,
    /// We have this version, or are receiving it.
    Ignore,
    /// Send the owner this reason.
    Refuse(TransferError),
}

/// The state of a transfer after a chunk.
#[derive(Debug)]
pub enum Progress {
    /// Chunks are missing.
    More,
    /// The transfer is complete: check it, and pass the result to [`Transfer::checked`].
    Whole(Parcel),
}

/// What is due at a timeout.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Send this request.
    Fetch(Fetch),
    /// The transfer has failed.
    Failed(TransferError),
}

/// Why an offer or a transfer is refused. Each is a fault of the other side or its link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The zone is larger than [`MAX_SIZE`], or empty.
    #[error("{0} octets offered; a zone has 1 to {MAX_SIZE}")]
    Size(u64),
    /// A chunk that was not requested.
    #[error("a chunk came without a transfer")]
    Unexpected,
    /// A chunk that is empty, larger than [`MAX_CHUNK`], out of order, or beyond the size offered.
    #[error("chunk at {offset} of {len} octets does not fit a zone of {size}")]
    Chunk {
        /// Octets of the zone before the chunk.
        offset: u64,
        /// Octets of the chunk.
        len: usize,
        /// The offered size.
        size: u64,
    },
    /// The received octets have another digest than the offered one.
    #[error("the zone's digest is not the one offered")]
    Digest,
    /// The serial in the zone is not the one offered.
    #[error("the zone has serial {found}; offered was {offered}")]
    Serial {
        /// The serial in the SOA record.
        found: u32,
        /// The serial in the offer.
        offered: u32,
    },
    /// The zone arrived more slowly than at [`RATE`], or no chunk arrived for [`STALL`].
    #[error("only {received} of {size} octets came in time")]
    Timeout {
        /// Octets received.
        received: u64,
        /// The offered size.
        size: u64,
    },
    /// A difference from a version other than the one in our request, or other than that of the
    /// first chunk.
    #[error("a difference from another version than the one we have")]
    Base,
    /// The difference is malformed, or does not apply to the version that we have.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The zone is not acceptable.
    #[error(transparent)]
    Zone(#[from] ReplicaError),
}

/// The receiving side for one zone from one peer.
#[derive(Debug)]
pub struct Transfer {
    apex: ZoneName,
    receiving: Option<Receiving>,
    /// Complete, and being checked.
    checking: Option<Offer>,
    waiting: Option<Waiting>,
    budget: Budget,
}

#[derive(Debug)]
struct Receiving {
    parcel: Parcel,
    /// The version in our request.
    have: Option<Version>,
    deadline: Instant,
    stalled: Instant,
}

#[derive(Debug)]
struct Waiting {
    offer: Offer,
    /// Request the whole zone: a difference has failed.
    whole: bool,
}

impl Transfer {
    /// A transfer of the zone of `apex`, without any offer yet.
    pub fn new(apex: ZoneName) -> Transfer {
        Transfer {
            apex,
            receiving: None,
            checking: None,
            waiting: None,
            budget: Budget::default(),
        }
    }

    /// Handles an offer; `held` is the version that we have, if any.
    pub fn offer(&mut self, offer: Offer, held: Option<Version>, now: Instant) -> Verdict {
        if offer.size == 0 || offer.size > MAX_SIZE as u64 {
            return Verdict::Refuse(TransferError::Size(offer.size));
        }
        // Nothing has come of an earlier version, and the owner sends no version that it does not
        // offer any more.
        self.receiving
            .take_if(|coming| coming.parcel.octets() == 0 && coming.parcel.offer != offer);
        let coming = self
            .receiving
            .as_ref()
            .map(|receiving| receiving.parcel.offer)
            .or(self.checking);

        // What waits was offered before, and is not on offer any more.
        self.waiting = None;
        match coming {
            Some(coming) if coming == offer => Verdict::Ignore,
            None if is_held(&offer, held) => Verdict::Ignore,
            None if self.budget.take(now) => Verdict::Want(self.receive(offer, held, now)),
            // Also a version that we hold waits for one that comes: it will replace it.
            _ => {
                self.waiting = Some(Waiting {
                    offer,
                    whole: false,
                });
                Verdict::Later
            }
        }
    }

    /// The version that is being received.
    pub fn receives(&self) -> Option<Offer> {
        Some(self.receiving.as_ref()?.parcel.offer)
    }

    /// Handles a chunk of the zone, or of the difference from the version `from`. After an error
    /// the transfer has ended and its octets are dropped. In any case, call
    /// [`Transfer::handle_timeout`]: the next request may be due at once.
    pub fn chunk(
        &mut self,
        from: Option<Digest>,
        chunk: Chunk<'_>,
        now: Instant,
    ) -> Result<Progress, TransferError> {
        // An error below ends the transfer: its later chunks are unexpected.
        let mut receiving = self.receiving.take().ok_or(TransferError::Unexpected)?;
        // The sender may ignore that a delta was wanted, but not choose another base for it.
        let base = receiving.have.filter(|(_, digest)| Some(*digest) == from);
        if from.is_some() && base.is_none() {
            return Err(TransferError::Base);
        }

        receiving.parcel.add(base, chunk)?;
        receiving.stalled = now + STALL;
        if !chunk.last {
            self.receiving = Some(receiving);
            return Ok(Progress::More);
        }

        self.checking = Some(receiving.parcel.offer);
        Ok(Progress::Whole(receiving.parcel))
    }

    /// Handles the result of checking a parcel. False if it was no parcel of this transfer: then
    /// the result counts for nothing. After a difference that failed, the whole zone is requested,
    /// unless a newer offer waits.
    pub fn checked(&mut self, good: bool, was_delta: bool) -> bool {
        let Some(offer) = self.checking.take() else {
            return false;
        };

        // The delta may have been made from another version than ours. A whole zone needs none.
        if !good && was_delta && self.waiting.is_none() {
            self.waiting = Some(Waiting { offer, whole: true });
        }
        true
    }

    /// The parcel will not be checked now: the same version is requested again later.
    pub fn postpone(&mut self) {
        if let Some(offer) = self.checking.take() {
            self.waiting.get_or_insert(Waiting {
                offer,
                whole: false,
            });
        }
    }

    /// When to call [`Transfer::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.receiving {
            Some(receiving) => Some(receiving.deadline.min(receiving.stalled)),
            None if self.checking.is_some() => None,
            None => self.waiting.as_ref().and(self.budget.ready()),
        }
    }

    /// Returns what is due at `now`; `held` is the version that we have. Call it until it returns
    /// `None`.
    pub fn handle_timeout(&mut self, held: Option<Version>, now: Instant) -> Option<Due> {
        if let Some(receiving) = self.receiving.take_if(|r| r.deadline.min(r.stalled) <= now) {
            let Receiving { parcel, .. } = receiving;
            return Some(Due::Failed(TransferError::Timeout {
                received: parcel.octets() as u64,
                size: parcel.offer.size,
            }));
        }

        // The waiting version may have arrived through another session.
        self.waiting
            .take_if(|waiting| is_held(&waiting.offer, held));
        // The budget comes last: only a fetch takes from it.
        if self.receiving.is_some()
            || self.checking.is_some()
            || self.waiting.is_none()
            || !self.budget.take(now)
        {
            return None;
        }

        let Waiting { offer, whole } = self.waiting.take()?;
        Some(Due::Fetch(self.receive(
            offer,
            held.filter(|_| !whole),
            now,
        )))
    }

    fn receive(&mut self, offer: Offer, have: Option<Version>, now: Instant) -> Fetch {
        let parcel = Parcel::new(self.apex.clone(), offer);
        self.receiving = Some(Receiving {
            parcel,
            have,
            deadline: now + time_for(offer.size),
            stalled: now + STALL,
        });

        Fetch {
            serial: offer.serial,
            digest: offer.digest,
            have,
        }
    }
}

/// The time limit for a zone of `size` octets.
pub fn time_for(size: u64) -> Duration {
    STALL + Duration::from_secs(size.div_ceil(RATE))
}

fn is_held(offer: &Offer, held: Option<Version>) -> bool {
    held.is_some_and(|(_, digest)| digest == offer.digest)
}

/// [`BURST`] fetches at once, then one each [`REFILL`].
#[derive(Debug, Default)]
struct Budget {
    /// When the full burst will be available again.
    full: Option<Instant>,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let full = self.full.map_or(now, |full| full.max(now));
        let granted = full.saturating_duration_since(now) <= REFILL * (BURST - 1);
        if granted {
            self.full = Some(full + REFILL);
        }
        granted
    }

    /// When the next fetch is allowed; `None` if there was none before.
    fn ready(&self) -> Option<Instant> {
        self.full
            .map(|full| full.checked_sub(REFILL * (BURST - 1)).unwrap_or(full))
    }
}

/// A piece of an encoded zone or difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'b> {
    /// Octets before the chunk.
    pub offset: u64,
    /// True for the last chunk.
    pub last: bool,
    /// 1 to [`MAX_CHUNK`] octets.
    pub bytes: &'b [u8],
}

/// Divides an encoded zone or difference into chunks.
pub fn chunks(whole: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    whole.chunks(MAX_CHUNK).enumerate().map(|(i, bytes)| {
        let offset = i * MAX_CHUNK;
        Chunk {
            offset: offset as u64,
            last: offset + bytes.len() == whole.len(),
            bytes,
        }
    })
}
