//! [`Transfer`]: the receiving side of one zone's replication, without I/O or clock: what to do with
//! an owner's offer, and when its bytes have all come.
//!
//! ```text
//!            offer: newer ─► Want           last chunk ─► Whole(parcel)      checked: good
//!   Idle ───────────────────────► Receiving ─────────────────► Checking ───────────────────► Idle
//!    │ ▲  offer too soon ─► Later   │  │ bad chunk, timeout      │ a bad delta: fetch the whole  ▲
//!    │ └── due: Fetch ── Waiting ◄──┴──┼─────────────────────────┘                               │
//!    └                                 └──────────────────────── refused ────────────────────────┘
//! ```
//! A newer offer that comes while a zone is received or checked, or too soon after the last, waits; only the
//! newest waits. What came is checked by [`Parcel::check`], which takes its time and is called elsewhere.
//! Whose zone it is was decided by who opened the stream: one `Transfer` serves one apex, and every record
//! is checked against it. The sending side is [`chunks`] and [`Journal`](crate::delta::Journal).

mod parcel;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ringway_config::{Digest, ZoneName};

use crate::delta::{DeltaError, Version};
use crate::replica::{MAX_SIZE, ReplicaError};
use crate::serial::is_newer;
pub use parcel::Parcel;

/// Octets of one chunk at most.
pub const MAX_CHUNK: usize = 48 * 1024;
/// A zone of which nothing arrives for this long is given up.
pub const STALL: Duration = Duration::from_secs(10);
/// Octets a second that arrive of a zone at least, but for a first [`STALL`]: those of a link of 1 Mbit/s.
pub const RATE: u64 = 128 * 1024;
/// How many zones may be fetched in a row; one more each [`REFILL`].
pub const BURST: u32 = 10;
/// See [`BURST`].
pub const REFILL: Duration = Duration::from_secs(1);

/// An owner's word that it has a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The SOA's serial.
    pub serial: u32,
    /// SHA-256 of the encoded zone.
    pub digest: Digest,
    /// Octets of the encoded zone.
    pub size: u64,
}

/// What to ask an owner for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The zone of this serial.
    pub serial: u32,
    /// What we have and would have brought up to it; `None`: nothing, or a difference was no good.
    pub have: Option<Version>,
}

/// What to do with an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Ask for it now.
    Want(Fetch),
    /// It waits; [`Transfer::handle_timeout`] says when to ask.
    Later,
    /// We have it, or are receiving it.
    Ignore,
    /// Tell the owner why not.
    Refuse(TransferError),
}

/// How far a chunk brought us.
#[derive(Debug)]
pub enum Progress {
    /// More is to come.
    More,
    /// Everything came: check it, then say how that went to [`Transfer::checked`].
    Whole(Parcel),
}

/// What [`Transfer::handle_timeout`] found due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask for this.
    Fetch(Fetch),
    /// The transfer was given up.
    Failed(TransferError),
}

/// Why an offer or a transfer is refused: always the other side's doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// A serial that is not newer than ours.
    #[error("serial {offered} is not newer than {held}, which we have")]
    Old {
        /// Theirs.
        offered: u32,
        /// Ours.
        held: u32,
    },
    /// The serial we have, for other content.
    #[error("serial {0} was given to two different zones")]
    Reused(u32),
    /// Larger than [`MAX_SIZE`], or empty.
    #[error("{0} octets offered; a zone has 1 to {MAX_SIZE}")]
    Size(u64),
    /// A chunk that nobody asked for.
    #[error("a chunk came without a transfer")]
    Unexpected,
    /// A chunk that is empty, larger than [`MAX_CHUNK`], out of order, or beyond the size offered.
    #[error("chunk at {offset} of {len} octets does not fit a zone of {size}")]
    Chunk {
        /// Where it says it belongs.
        offset: u64,
        /// Its octets.
        len: usize,
        /// The zone's size as offered.
        size: u64,
    },
    /// The bytes are not those offered.
    #[error("the zone's digest is not the one offered")]
    Digest,
    /// The serial in the zone is not the one offered.
    #[error("the zone has serial {found}; offered was {offered}")]
    Serial {
        /// In the SOA.
        found: u32,
        /// In the offer.
        offered: u32,
    },
    /// It came more slowly than at [`RATE`], or nothing came for [`STALL`].
    #[error("only {received} of {size} octets came in time")]
    Timeout {
        /// What came.
        received: u64,
        /// The zone's size as offered.
        size: u64,
    },
    /// A difference from a version that is not the one we said we have, or not from where it began.
    #[error("a difference from another version than the one we have")]
    Base,
    /// The bytes are no difference that fits the zone we have.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The bytes are no zone that we take.
    #[error(transparent)]
    Zone(#[from] ReplicaError),
}

/// The receiving side for one zone from one peer.
#[derive(Debug)]
pub struct Transfer {
    apex: ZoneName,
    receiving: Option<Receiving>,
    /// Came whole, and is being checked.
    checking: Option<Offer>,
    waiting: Option<Waiting>,
    budget: Budget,
}

#[derive(Debug)]
struct Receiving {
    parcel: Parcel,
    /// What we said that we have.
    have: Option<Version>,
    deadline: Instant,
    stalled: Instant,
}

#[derive(Debug)]
struct Waiting {
    offer: Offer,
    /// A difference was no good.
    whole: bool,
}

impl Transfer {
    /// For `apex`.
    pub fn new(apex: ZoneName) -> Transfer {
        Transfer {
            apex,
            receiving: None,
            checking: None,
            waiting: None,
            budget: Budget::default(),
        }
    }

    /// The owner offers its zone, of which we have the version `held`, if any.
    pub fn offer(&mut self, offer: Offer, held: Option<Version>, now: Instant) -> Verdict {
        if let Err(error) = check_offer(&offer, held) {
            return Verdict::Refuse(error);
        }
        if held == Some((offer.serial, offer.digest)) {
            return Verdict::Ignore;
        }
        let coming = self
            .receiving
            .as_ref()
            .map(|receiving| receiving.parcel.offer)
            .or(self.checking);
        match coming {
            Some(coming) if coming == offer => Verdict::Ignore,
            None if self.budget.take(now) => Verdict::Want(self.receive(offer, held, now)),
            _ => {
                self.waiting = Some(Waiting {
                    offer,
                    whole: false,
                });
                Verdict::Later
            }
        }
    }

    /// The serial of the zone that is being received.
    pub fn receives(&self) -> Option<u32> {
        Some(self.receiving.as_ref()?.parcel.offer.serial)
    }

    /// A piece of what was asked for: of the zone, or of the difference from serial `from`. After an error
    /// the transfer is over and nothing of it is kept; either way [`Transfer::handle_timeout`] may have the
    /// next fetch at once.
    pub fn chunk(
        &mut self,
        from: Option<u32>,
        chunk: Chunk<'_>,
        now: Instant,
    ) -> Result<Progress, TransferError> {
        let mut receiving = self.receiving.take().ok_or(TransferError::Unexpected)?;
        let base = receiving.have.filter(|(serial, _)| Some(*serial) == from);
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

    /// How the check of a parcel of this transfer went. A difference that was no good is followed by a fetch
    /// of the whole zone, unless a newer one waits.
    pub fn checked(&mut self, good: bool, was_delta: bool) {
        let Some(offer) = self.checking.take() else {
            return;
        };
        if !good && was_delta && self.waiting.is_none() {
            self.waiting = Some(Waiting { offer, whole: true });
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

    /// What is due at `now`, while we have the version `held`; call it until it gives nothing.
    pub fn handle_timeout(&mut self, held: Option<Version>, now: Instant) -> Option<Due> {
        if let Some(receiving) = self.receiving.take_if(|r| r.deadline.min(r.stalled) <= now) {
            let Receiving { parcel, .. } = receiving;
            let (received, size) = (parcel.octets() as u64, parcel.offer.size);
            return Some(Due::Failed(TransferError::Timeout { received, size }));
        }
        // What waits may have come by another session meanwhile.
        self.waiting
            .take_if(|waiting| held.is_some_and(|(held, _)| !is_newer(waiting.offer.serial, held)));
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
        let (deadline, stalled) = (now + time_for(offer.size), now + STALL);
        self.receiving = Some(Receiving {
            parcel,
            have,
            deadline,
            stalled,
        });
        Fetch {
            serial: offer.serial,
            have,
        }
    }
}

/// How long a zone of `size` octets may take to arrive.
pub fn time_for(size: u64) -> Duration {
    STALL + Duration::from_secs(size.div_ceil(RATE))
}

fn check_offer(offer: &Offer, held: Option<Version>) -> Result<(), TransferError> {
    if offer.size == 0 || offer.size > MAX_SIZE as u64 {
        return Err(TransferError::Size(offer.size));
    }
    match held {
        Some((held, digest)) if held == offer.serial && digest != offer.digest => {
            Err(TransferError::Reused(held))
        }
        Some((held, _)) if held != offer.serial && !is_newer(offer.serial, held) => {
            Err(TransferError::Old {
                offered: offer.serial,
                held,
            })
        }
        _ => Ok(()),
    }
}

/// [`BURST`] fetches at once, then one each [`REFILL`].
#[derive(Debug, Default)]
struct Budget {
    /// When the whole burst would be there again.
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

    /// When the next fetch may be taken, if any was before.
    fn ready(&self) -> Option<Instant> {
        self.full
            .map(|full| full.checked_sub(REFILL * (BURST - 1)).unwrap_or(full))
    }
}

/// A piece of a zone or of a difference on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'b> {
    /// Of its first octet in the whole.
    pub offset: u64,
    /// Nothing follows.
    pub last: bool,
    /// At most [`MAX_CHUNK`].
    pub bytes: &'b [u8],
}

/// The sending side: an encoded zone, or a difference, in pieces.
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
