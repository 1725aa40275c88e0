//! Tests of the receiving side, with honest, faulty and hostile owners.

use proptest::prelude::*;

use super::*;
use crate::delta::{Journal, Step};
use crate::replica::tests::any_zone;
use crate::zone::Zone;
use crate::zone::tests::zone;

/// A transfer, and what was received so far.
struct Receiver {
    transfer: Transfer,
    held: Option<Zone>,
    now: Instant,
}

impl Receiver {
    fn new(held: Option<Zone>) -> Receiver {
        let transfer = Transfer::new("org1.example".parse().unwrap());
        Receiver {
            transfer,
            held,
            now: Instant::now(),
        }
    }

    fn version(&self) -> Option<Version> {
        self.held
            .as_ref()
            .map(|zone| (zone.serial(), zone.digest()))
    }

    fn offer(&mut self, offer: Offer) -> Verdict {
        self.transfer.offer(offer, self.version(), self.now)
    }

    fn due(&mut self) -> Option<Due> {
        self.transfer.handle_timeout(self.version(), self.now)
    }

    fn chunk(&mut self, chunk: (u64, bool, &[u8])) -> Result<Progress, TransferError> {
        let (offset, last, bytes) = chunk;
        self.transfer.chunk(
            None,
            Chunk {
                offset,
                last,
                bytes,
            },
            self.now,
        )
    }

    /// All of `bytes` in small pieces, and the check of them.
    fn send(&mut self, from: Option<Digest>, bytes: &[u8]) -> Result<(), TransferError> {
        for (i, piece) in bytes.chunks(16).enumerate() {
            let chunk = Chunk {
                offset: 16 * i as u64,
                last: 16 * i + piece.len() == bytes.len(),
                bytes: piece,
            };
            if let Progress::Whole(parcel) = self.transfer.chunk(from, chunk, self.now)? {
                let delta = parcel.is_delta();
                let checked = parcel.check(self.held.as_ref());
                self.transfer.checked(checked.is_ok(), delta);
                self.held = Some(checked?);
            }
        }
        Ok(())
    }
}

fn sample(serial: u32) -> Zone {
    let text = "@ SOA ns.org1.example. h.org1.example. 1 1 1 1 5\n\
        a A 10.0.0.1\nb TXT \"some text\"\n\
        c TXT \"more of it\"\nd TXT \"and more, so that a difference is the shorter answer\"\n";
    zone("org1.example", text).with_serial(serial)
}

fn offer_of(serial: u32, bytes: &[u8]) -> Offer {
    Offer {
        serial,
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

fn want(offer: Offer, have: Option<Version>) -> Verdict {
    Verdict::Want(fetch(offer, have))
}

fn fetch(offer: Offer, have: Option<Version>) -> Fetch {
    Fetch {
        serial: offer.serial,
        digest: offer.digest,
        have,
    }
}

fn version(zone: &Zone) -> Version {
    (zone.serial(), zone.digest())
}

/// What leads from `old` to `new`.
fn delta(old: &Zone, new: &Zone) -> Option<Vec<u8>> {
    let mut journal = Journal::default();
    journal.note(Step::new(version(old), &old.encode(), &new.encode()));
    journal.since(version(old))
}

#[test]
fn a_zone_is_wanted_received_and_then_held() {
    let bytes = sample(7).encode();
    let mut receiver = Receiver::new(None);
    let offer = offer_of(7, &bytes);
    assert_eq!(receiver.offer(offer), want(offer, None));
    receiver.send(None, &bytes).unwrap();
    assert_eq!(receiver.held.as_ref().unwrap().encode(), bytes);
    assert_eq!(receiver.offer(offer_of(7, &bytes)), Verdict::Ignore);
    assert_eq!(receiver.transfer.poll_timeout(), None);
}

#[test]
fn a_difference_from_what_is_held_is_asked_for_and_taken() {
    let (old, new) = (sample(7), sample(8));
    let mut receiver = Receiver::new(Some(old.clone()));
    let offer = offer_of(8, &new.encode());
    assert_eq!(receiver.offer(offer), want(offer, Some(version(&old))));
    let delta = delta(&old, &new).unwrap();
    receiver.send(Some(old.digest()), &delta).unwrap();
    assert_eq!(receiver.held.unwrap().encode(), new.encode());
}

#[test]
fn the_owner_may_answer_with_the_whole_zone_instead_of_a_delta() {
    let mut receiver = Receiver::new(Some(sample(7)));
    let new = sample(8).encode();
    receiver.offer(offer_of(8, &new));
    receiver.send(None, &new).unwrap();
    assert_eq!(receiver.held.unwrap().serial(), 8);
}

#[test]
fn after_a_difference_that_is_no_good_the_whole_zone_is_fetched() {
    let (old, new) = (sample(7), sample(8));
    let mut receiver = Receiver::new(Some(old.clone()));
    receiver.offer(offer_of(8, &new.encode()));
    let other = delta(&old, &sample(9)).unwrap();
    assert_eq!(
        receiver.send(Some(old.digest()), &other).unwrap_err(),
        TransferError::Digest
    );
    assert_eq!(
        receiver.held.as_ref().unwrap().serial(),
        7,
        "what was held is held"
    );
    assert!(receiver.transfer.poll_timeout().unwrap() <= receiver.now);
    assert_eq!(
        receiver.due(),
        Some(Due::Fetch(fetch(offer_of(8, &new.encode()), None)))
    );
    receiver.send(None, &new.encode()).unwrap();
    assert_eq!(receiver.held.unwrap().serial(), 8);
}

#[test]
fn a_difference_that_nobody_asked_for_is_refused() {
    let (old, new) = (sample(7), sample(8));
    let delta = delta(&old, &new).unwrap();
    for (held, from) in [(None, old.digest()), (Some(old), sample(6).digest())] {
        let mut receiver = Receiver::new(held);
        receiver.offer(offer_of(8, &new.encode()));
        assert_eq!(
            receiver.send(Some(from), &delta).unwrap_err(),
            TransferError::Base
        );
    }
}

#[test]
fn a_transfer_does_not_change_from_a_difference_to_a_zone_on_its_way() {
    let (old, new) = (sample(7), sample(8));
    let mut receiver = Receiver::new(Some(old.clone()));
    receiver.offer(offer_of(8, &new.encode()));
    let chunk = |offset| Chunk {
        offset,
        last: false,
        bytes: b"x",
    };
    receiver
        .transfer
        .chunk(Some(old.digest()), chunk(0), receiver.now)
        .unwrap();
    let error = receiver
        .transfer
        .chunk(None, chunk(1), receiver.now)
        .unwrap_err();
    assert_eq!(error, TransferError::Base);
}

#[test]
fn empty_and_huge_offers_are_refused() {
    let bytes = sample(7).encode();
    let mut receiver = Receiver::new(None);
    let empty = receiver.offer(offer_of(8, b""));
    assert_eq!(empty, Verdict::Refuse(TransferError::Size(0)));

    let huge = Offer {
        size: MAX_SIZE as u64 + 1,
        ..offer_of(8, &bytes)
    };
    let refused = Verdict::Refuse(TransferError::Size(huge.size));
    assert_eq!(receiver.offer(huge), refused);
}

#[test]
fn what_the_owner_offers_replaces_what_we_have_whatever_the_serials() {
    let other = zone("org1.example", "@ SOA ns h 7 1 1 1 5\n");
    for serial in [7, 6, 0, u32::MAX] {
        let bytes = sample(serial).encode();
        let mut receiver = Receiver::new(Some(other.clone()));
        let have = Some(version(&other));

        let offer = offer_of(serial, &bytes);
        assert_eq!(receiver.offer(offer), want(offer, have));
        receiver.send(None, &bytes).unwrap();
        assert_eq!(receiver.held.unwrap().encode(), bytes);
    }
}

#[test]
fn a_zone_that_is_reverted_during_a_transfer_ends_at_the_owners_last_version() {
    let (old, new) = (sample(7), sample(8).encode());
    let mut receiver = Receiver::new(Some(old.clone()));
    receiver.offer(offer_of(8, &new));
    receiver.chunk((0, false, &new[..9])).unwrap();

    let back = offer_of(7, &old.encode());
    assert_eq!(receiver.offer(back), Verdict::Later);
    let Ok(Progress::Whole(parcel)) = receiver.chunk((9, true, &new[9..])) else {
        panic!("not whole")
    };
    receiver.held = Some(parcel.check(None).unwrap());
    receiver.transfer.checked(true, false);

    let have = receiver.version();
    assert_eq!(receiver.due(), Some(Due::Fetch(fetch(back, have))));
}

#[test]
fn a_version_of_which_nothing_has_come_is_given_up_for_the_next_at_once() {
    let mut receiver = Receiver::new(None);
    receiver.offer(offer_of(7, &sample(7).encode()));
    let next = offer_of(8, &sample(8).encode());
    assert_eq!(receiver.offer(next), want(next, None));
    assert_eq!(receiver.transfer.receives(), Some(next));
}

#[test]
fn chunks_out_of_order_beyond_the_size_or_unasked_end_the_transfer() {
    let bytes = sample(7).encode();
    let mut receiver = Receiver::new(None);
    let size = bytes.len() as u64;
    assert_eq!(
        receiver.chunk((0, true, &bytes)).unwrap_err(),
        TransferError::Unexpected
    );
    let longer = [&bytes[..], b"x"].concat();
    for (offset, last, chunk) in [
        (1, true, &bytes[1..]),
        (0, false, &bytes[..]),
        (0, true, &bytes[..5]),
        (0, true, &longer),
        (0, false, &[]),
    ] {
        let offer = offer_of(7, &bytes);
        assert_eq!(receiver.offer(offer), want(offer, None));
        let error = TransferError::Chunk {
            offset,
            len: chunk.len(),
            size,
        };
        assert_eq!(receiver.chunk((offset, last, chunk)).unwrap_err(), error);
        assert_eq!(
            receiver.transfer.poll_timeout(),
            None,
            "nothing is left of it"
        );
    }
}

#[test]
fn a_zone_that_is_not_what_was_offered_is_refused() {
    let bytes = sample(7).encode();
    let mut receiver = Receiver::new(None);
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    receiver.offer(offer_of(7, &bytes));
    assert_eq!(
        receiver.send(None, &other).unwrap_err(),
        TransferError::Digest
    );
    receiver.offer(offer_of(9, &bytes));
    let serial = TransferError::Serial {
        found: 7,
        offered: 9,
    };
    assert_eq!(receiver.send(None, &bytes).unwrap_err(), serial);
    let mut elsewhere = Receiver {
        transfer: Transfer::new("org2.example".parse().unwrap()),
        ..receiver
    };
    elsewhere.offer(offer_of(7, &bytes));
    let error = elsewhere.send(None, &bytes).unwrap_err();
    assert!(
        matches!(error, TransferError::Zone(ReplicaError::Apex { .. })),
        "{error}"
    );
    assert!(elsewhere.held.is_none());
}

#[test]
fn a_dripping_sender_is_given_up() {
    let bytes = sample(7).encode();
    let mut receiver = Receiver::new(None);
    let start = receiver.now;
    receiver.offer(offer_of(7, &bytes));
    let mut sent = 0;
    let failure = loop {
        receiver.now += Duration::from_secs(1);
        if let Some(due) = receiver.due() {
            break due;
        }
        receiver
            .chunk((sent, false, &bytes[sent as usize..=sent as usize]))
            .unwrap();
        sent += 1;
    };
    let size = bytes.len() as u64;
    assert_eq!(receiver.now, start + time_for(size));
    assert_eq!(
        failure,
        Due::Failed(TransferError::Timeout {
            received: sent,
            size
        })
    );
    receiver.offer(offer_of(7, &bytes));
    assert_eq!(receiver.transfer.poll_timeout(), Some(receiver.now + STALL));
    receiver.now += STALL;
    assert!(receiver.due().is_some());
}

#[test]
fn a_large_zone_may_take_as_long_as_a_slow_link_needs() {
    assert_eq!(time_for(1), STALL + Duration::from_secs(1));
    assert_eq!(time_for(MAX_SIZE as u64), STALL + Duration::from_secs(128));
}

#[test]
fn the_newest_offer_waits_for_the_running_transfer_and_its_check() {
    let (first, third) = (sample(7).encode(), sample(9).encode());
    let mut receiver = Receiver::new(None);
    receiver.offer(offer_of(7, &first));
    let Ok(Progress::Whole(parcel)) = receiver.chunk((0, true, &first)) else {
        panic!("not whole")
    };
    assert_eq!(
        receiver.offer(offer_of(7, &first)),
        Verdict::Ignore,
        "it is being checked"
    );
    assert_eq!(
        receiver.offer(offer_of(8, &sample(8).encode())),
        Verdict::Later
    );
    assert_eq!(receiver.offer(offer_of(9, &third)), Verdict::Later);
    assert_eq!(
        (receiver.due(), receiver.transfer.poll_timeout()),
        (None, None)
    );
    receiver.held = Some(parcel.check(None).unwrap());
    receiver.transfer.checked(true, false);
    assert!(receiver.transfer.poll_timeout().unwrap() <= receiver.now);
    let have = receiver.version();
    assert_eq!(
        receiver.due(),
        Some(Due::Fetch(fetch(offer_of(9, &third), have)))
    );
    receiver.send(None, &third).unwrap();
    assert_eq!(receiver.due(), None);
}

#[test]
fn what_came_by_another_session_is_not_fetched_again() {
    let mut receiver = Receiver::new(None);
    let first = sample(7).encode();
    receiver.offer(offer_of(7, &first));
    receiver.chunk((0, false, &first[..9])).unwrap();
    receiver.offer(offer_of(8, &sample(8).encode()));
    let Ok(Progress::Whole(_)) = receiver.chunk((9, true, &first[9..])) else {
        panic!("not whole")
    };
    receiver.transfer.checked(true, false);
    receiver.held = Some(sample(8));
    assert_eq!(
        (receiver.due(), receiver.transfer.poll_timeout()),
        (None, None)
    );
}

#[test]
fn offers_beyond_the_burst_wait_for_the_refill() {
    let mut receiver = Receiver::new(None);
    for serial in 1..=BURST {
        let bytes = sample(serial).encode();
        assert!(matches!(
            receiver.offer(offer_of(serial, &bytes)),
            Verdict::Want(_)
        ));
        receiver.send(None, &bytes).unwrap();
    }
    let bytes = sample(BURST + 1).encode();
    assert_eq!(receiver.offer(offer_of(BURST + 1, &bytes)), Verdict::Later);
    assert_eq!(receiver.due(), None);
    receiver.now = receiver.transfer.poll_timeout().unwrap();
    assert!(matches!(receiver.due(), Some(Due::Fetch(fetch)) if fetch.serial == BURST + 1));
}

#[test]
fn chunks_cover_the_zone_in_order() {
    let bytes = vec![7; 2 * MAX_CHUNK + 1];
    let cut: Vec<_> = chunks(&bytes)
        .map(|c| (c.offset, c.last, c.bytes.len()))
        .collect();
    let full = MAX_CHUNK as u64;
    assert_eq!(
        cut,
        [
            (0, false, MAX_CHUNK),
            (full, false, MAX_CHUNK),
            (2 * full, true, 1)
        ]
    );
}

proptest! {
    #[test]
    fn a_difference_that_was_tampered_with_is_the_offered_zone_or_nothing(
        old in any_zone(),
        new in any_zone(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let (old, new) = (old.with_serial(1), new.with_serial(2));
        let Some(mut bytes) = delta(&old, &new) else { return Ok(()) };
        let mut receiver = Receiver::new(Some(old.clone()));
        receiver.offer(offer_of(2, &new.encode()));
        for (index, value) in damage {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let visible = match receiver.send(Some(old.digest()), &bytes) {
            Ok(()) => new,
            Err(_) => old,
        };
        prop_assert_eq!(receiver.held.unwrap().encode(), visible.encode());
    }
}
