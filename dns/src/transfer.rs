//! [`Transfer`]: the receiving side of one zone's replication, without I/O or clock: what to do with
//! an owner's offer, and when its bytes have become a zone.
//!
//! ```text
//!            offer: newer ─► Want          last chunk: good ─► Complete(zone), held
//!   Idle ───────────────────────► Receiving ───────────────────────────────────────► Idle
//!    │ ▲  offer too soon ─► Later   │  │ bad chunk, bad zone, timeout ─► refused        ▲
//!    │ └── due: Fetch ── Waiting ◄──┘  └────────────────────────────────────────────────┘
//! ```
//! A newer offer that comes while a zone is received, or too soon after the last, waits; only the
//! newest waits. Whose zone it is was decided by who opened the stream: one `Transfer` serves one apex,
//! and every record is checked against it. The sending side is [`chunks`].

use std::time::{Duration, Instant};

use ringway_config::{Digest, ZoneName};

use crate::replica::{MAX_SIZE, ReplicaError};
use crate::serial::is_newer;
use crate::zone::Zone;

/// Octets of one chunk at most.
pub const MAX_CHUNK: usize = 48 * 1024;
/// A zone that has not wholly arrived after this is given up.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// A zone of which nothing arrives for this long is given up.
pub const STALL: Duration = Duration::from_secs(10);
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

/// What to do with an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Ask for it now.
    Want,
    /// It waits; [`Transfer::handle_timeout`] or the end of the running transfer says when to ask.
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
    /// The whole zone, checked: publish and store it.
    Complete(Box<Zone>),
}

/// What [`Transfer::handle_timeout`] found due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask for the zone of this serial.
    Fetch(u32),
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
    /// It took longer than [`DEADLINE`], or nothing came for [`STALL`].
    #[error("only {received} of {size} octets came in time")]
    Timeout {
        /// What came.
        received: u64,
        /// The zone's size as offered.
        size: u64,
    },
    /// The bytes are no zone that we take.
    #[error(transparent)]
    Zone(#[from] ReplicaError),
}

/// The receiving side for one zone from one peer.
#[derive(Debug)]
pub struct Transfer {
    apex: ZoneName,
    held: Option<(u32, Digest)>,
    receiving: Option<Receiving>,
    waiting: Option<Offer>,
    budget: Budget,
}

#[derive(Debug)]
struct Receiving {
    offer: Offer,
    /// Grows with what arrives, never by what was promised.
    bytes: Vec<u8>,
    deadline: Instant,
    stalled: Instant,
}

impl Transfer {
    /// For `apex`, of which we have the zone of this serial and digest, if any.
    pub fn new(apex: ZoneName, held: Option<(u32, Digest)>) -> Transfer {
        Transfer { apex, held, receiving: None, waiting: None, budget: Budget::default() }
    }

    /// The owner offers its zone.
    pub fn offer(&mut self, offer: Offer, now: Instant) -> Verdict {
        if let Err(error) = self.check_offer(&offer) {
            return Verdict::Refuse(error);
        }
        if self.held == Some((offer.serial, offer.digest)) {
            return Verdict::Ignore;
        }
        match &self.receiving {
            Some(receiving) if receiving.offer == offer => Verdict::Ignore,
            None if self.budget.take(now) => {
                self.receive(offer, now);
                Verdict::Want
            }
            _ => {
                self.waiting = Some(offer);
                Verdict::Later
            }
        }
    }

    /// A piece of the zone asked for. After an error the transfer is over and nothing of it is kept;
    /// either way [`Transfer::handle_timeout`] may have the next fetch at once.
    pub fn chunk(
        &mut self,
        offset: u64,
        last: bool,
        bytes: &[u8],
        now: Instant,
    ) -> Result<Progress, TransferError> {
        let mut receiving = self.receiving.take().ok_or(TransferError::Unexpected)?;
        let size = receiving.offer.size;
        let after = receiving.bytes.len() + bytes.len();
        let in_order = offset == receiving.bytes.len() as u64 && last == (after as u64 == size);
        if bytes.is_empty() || bytes.len() > MAX_CHUNK || after as u64 > size || !in_order {
            return Err(TransferError::Chunk { offset, len: bytes.len(), size });
        }
        receiving.bytes.extend_from_slice(bytes);
        receiving.stalled = now + STALL;
        if !last {
            self.receiving = Some(receiving);
            return Ok(Progress::More);
        }
        let zone = receiving.finish(&self.apex)?;
        self.held = Some((receiving.offer.serial, receiving.offer.digest));
        Ok(Progress::Complete(Box::new(zone)))
    }

    /// When to call [`Transfer::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.receiving {
            Some(receiving) => Some(receiving.deadline.min(receiving.stalled)),
            None => self.waiting.as_ref().and(self.budget.ready()),
        }
    }

    /// What is due at `now`; call it until it gives nothing.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if let Some(receiving) = self.receiving.take_if(|r| r.deadline.min(r.stalled) <= now) {
            let received = receiving.bytes.len() as u64;
            return Some(Due::Failed(TransferError::Timeout { received, size: receiving.offer.size }));
        }
        if self.receiving.is_some() || self.waiting.is_none() || !self.budget.take(now) {
            return None;
        }
        let offer = self.waiting.take()?;
        self.receive(offer, now);
        Some(Due::Fetch(offer.serial))
    }

    fn check_offer(&self, offer: &Offer) -> Result<(), TransferError> {
        if offer.size == 0 || offer.size > MAX_SIZE as u64 {
            return Err(TransferError::Size(offer.size));
        }
        match self.held {
            Some((held, digest)) if held == offer.serial && digest != offer.digest => {
                Err(TransferError::Reused(held))
            }
            Some((held, _)) if held != offer.serial && !is_newer(offer.serial, held) => {
                Err(TransferError::Old { offered: offer.serial, held })
            }
            _ => Ok(()),
        }
    }

    fn receive(&mut self, offer: Offer, now: Instant) {
        let (deadline, stalled) = (now + DEADLINE, now + STALL);
        self.receiving = Some(Receiving { offer, bytes: Vec::new(), deadline, stalled });
    }
}

impl Receiving {
    fn finish(&self, apex: &ZoneName) -> Result<Zone, TransferError> {
        if Digest::of(&self.bytes) != self.offer.digest {
            return Err(TransferError::Digest);
        }
        let zone = Zone::decode(&self.bytes, apex)?;
        if zone.serial() != self.offer.serial {
            return Err(TransferError::Serial { found: zone.serial(), offered: self.offer.serial });
        }
        Ok(zone)
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
        self.full.map(|full| full.checked_sub(REFILL * (BURST - 1)).unwrap_or(full))
    }
}

/// The sending side: the chunks of an encoded zone as (offset, last, bytes).
pub fn chunks(zone: &[u8]) -> impl Iterator<Item = (u64, bool, &[u8])> {
    zone.chunks(MAX_CHUNK).enumerate().map(|(i, bytes)| {
        let offset = i * MAX_CHUNK;
        (offset as u64, offset + bytes.len() == zone.len(), bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::zone;

    fn apex() -> ZoneName {
        "org1.example".parse().unwrap()
    }

    fn sample(serial: u32) -> Vec<u8> {
        zone("org1.example", "@ SOA ns.org1.example. h.org1.example. 1 1 1 1 5\na A 10.0.0.1\n")
            .with_serial(serial)
            .encode()
    }

    fn offer_of(serial: u32, bytes: &[u8]) -> Offer {
        Offer { serial, digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    fn send(transfer: &mut Transfer, bytes: &[u8], now: Instant) -> Result<Progress, TransferError> {
        let mut progress = Ok(Progress::More);
        for (offset, last, chunk) in bytes
            .chunks(16)
            .enumerate()
            .map(|(i, c)| (16 * i, 16 * i + c.len(), c))
            .map(|(start, end, chunk)| (start as u64, end == bytes.len(), chunk))
        {
            progress = Ok(transfer.chunk(offset, last, chunk, now)?);
        }
        progress
    }

    #[test]
    fn a_newer_zone_is_wanted_received_and_then_held() {
        let (now, bytes) = (Instant::now(), sample(7));
        let mut transfer = Transfer::new(apex(), None);
        assert_eq!(transfer.offer(offer_of(7, &bytes), now), Verdict::Want);
        let Ok(Progress::Complete(zone)) = send(&mut transfer, &bytes, now) else { panic!("not complete") };
        assert_eq!((zone.serial(), zone.encode()), (7, bytes.clone()));
        assert_eq!(transfer.offer(offer_of(7, &bytes), now), Verdict::Ignore);
        assert_eq!(transfer.poll_timeout(), None);
    }

    #[test]
    fn old_reused_empty_and_huge_offers_are_refused() {
        let (now, bytes) = (Instant::now(), sample(7));
        let mut transfer = Transfer::new(apex(), Some((7, Digest::of(b"other"))));
        let refused = |error| Verdict::Refuse(error);
        assert_eq!(transfer.offer(offer_of(7, &bytes), now), refused(TransferError::Reused(7)));
        let old = TransferError::Old { offered: 6, held: 7 };
        assert_eq!(transfer.offer(offer_of(6, &bytes), now), refused(old));
        assert_eq!(transfer.offer(offer_of(8, b""), now), refused(TransferError::Size(0)));
        let huge = Offer { size: MAX_SIZE as u64 + 1, ..offer_of(8, &bytes) };
        assert_eq!(transfer.offer(huge, now), refused(TransferError::Size(huge.size)));
    }

    #[test]
    fn chunks_out_of_order_beyond_the_size_or_unasked_end_the_transfer() {
        let (now, bytes) = (Instant::now(), sample(7));
        let mut transfer = Transfer::new(apex(), None);
        let size = bytes.len() as u64;
        assert_eq!(transfer.chunk(0, true, &bytes, now).unwrap_err(), TransferError::Unexpected);
        let longer = [&bytes[..], b"x"].concat();
        for (offset, last, chunk) in [
            (1, true, &bytes[1..]),
            (0, false, &bytes[..]),
            (0, true, &bytes[..5]),
            (0, true, &longer),
            (0, false, &[]),
        ] {
            assert_eq!(transfer.offer(offer_of(7, &bytes), now), Verdict::Want);
            let error = TransferError::Chunk { offset, len: chunk.len(), size };
            assert_eq!(transfer.chunk(offset, last, chunk, now).unwrap_err(), error);
            assert_eq!(transfer.poll_timeout(), None, "nothing is left of it");
        }
    }

    #[test]
    fn a_zone_that_is_not_what_was_offered_is_refused() {
        let (now, bytes) = (Instant::now(), sample(7));
        let mut transfer = Transfer::new(apex(), None);
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        transfer.offer(offer_of(7, &bytes), now);
        assert_eq!(send(&mut transfer, &other, now).unwrap_err(), TransferError::Digest);
        transfer.offer(offer_of(9, &bytes), now);
        assert_eq!(
            send(&mut transfer, &bytes, now).unwrap_err(),
            TransferError::Serial { found: 7, offered: 9 }
        );
        let mut elsewhere = Transfer::new("org2.example".parse().unwrap(), None);
        elsewhere.offer(offer_of(7, &bytes), now);
        let error = send(&mut elsewhere, &bytes, now).unwrap_err();
        assert!(matches!(error, TransferError::Zone(ReplicaError::Apex { .. })), "{error}");
    }

    #[test]
    fn a_dripping_sender_is_given_up() {
        let (now, bytes) = (Instant::now(), sample(7));
        let mut transfer = Transfer::new(apex(), None);
        transfer.offer(offer_of(7, &bytes), now);
        let mut time = now;
        let mut sent = 0;
        let failure = loop {
            time += STALL / 2;
            if let Some(due) = transfer.handle_timeout(time) {
                break due;
            }
            transfer.chunk(sent, false, &bytes[sent as usize..=sent as usize], time).unwrap();
            sent += 1;
        };
        assert_eq!(time, now + DEADLINE);
        let size = bytes.len() as u64;
        assert_eq!(failure, Due::Failed(TransferError::Timeout { received: sent, size }));
        transfer.offer(offer_of(7, &bytes), time);
        assert_eq!(transfer.poll_timeout(), Some(time + STALL));
        assert!(transfer.handle_timeout(time + STALL).is_some());
    }

    #[test]
    fn the_newest_offer_waits_for_the_running_transfer() {
        let now = Instant::now();
        let (first, third) = (sample(7), sample(9));
        let mut transfer = Transfer::new(apex(), None);
        transfer.offer(offer_of(7, &first), now);
        assert_eq!(transfer.offer(offer_of(8, &sample(8)), now), Verdict::Later);
        assert_eq!(transfer.offer(offer_of(9, &third), now), Verdict::Later);
        assert_eq!(transfer.handle_timeout(now), None);
        assert!(matches!(send(&mut transfer, &first, now), Ok(Progress::Complete(_))));
        assert!(transfer.poll_timeout().unwrap() <= now);
        assert_eq!(transfer.handle_timeout(now), Some(Due::Fetch(9)));
        assert!(matches!(send(&mut transfer, &third, now), Ok(Progress::Complete(_))));
        assert_eq!(transfer.handle_timeout(now), None);
    }

    #[test]
    fn offers_beyond_the_burst_wait_for_the_refill() {
        let mut now = Instant::now();
        let mut transfer = Transfer::new(apex(), None);
        for serial in 1..=BURST {
            let bytes = sample(serial);
            assert_eq!(transfer.offer(offer_of(serial, &bytes), now), Verdict::Want);
            assert!(matches!(send(&mut transfer, &bytes, now), Ok(Progress::Complete(_))));
        }
        let bytes = sample(BURST + 1);
        assert_eq!(transfer.offer(offer_of(BURST + 1, &bytes), now), Verdict::Later);
        assert_eq!(transfer.handle_timeout(now), None);
        now = transfer.poll_timeout().unwrap();
        assert_eq!(transfer.handle_timeout(now), Some(Due::Fetch(BURST + 1)));
    }

    #[test]
    fn chunks_cover_the_zone_in_order() {
        let bytes = vec![7; 2 * MAX_CHUNK + 1];
        let cut: Vec<_> = chunks(&bytes).map(|(offset, last, c)| (offset, last, c.len())).collect();
        let full = MAX_CHUNK as u64;
        assert_eq!(cut, [(0, false, MAX_CHUNK), (full, false, MAX_CHUNK), (2 * full, true, 1)]);
    }
}
