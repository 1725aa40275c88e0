//! [`Fragments`]: verdicts about first fragments, which later ones follow.
//!
//! A bounded table of single words, each sender's packets in a part of their own: a flood of one
//! site's fragments makes only that site forget. An entry is 32 bits of a keyed hash (the place
//! tells more of it), the end of the transport header, the verdict, and the time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::{Tick, ticks};
use crate::packet::{Fragment, Header, TCP_HEADER, protocol};
use crate::sip::{self, Tail};
use crate::verdict::{Reason, Verdict};

/// Who sent a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A host of our site.
    Own,
    /// A remote site by its number.
    Site(u32),
}

/// Parts of the table, and sets of eight words in each.
const PARTS: usize = 64;
const SETS: usize = 32;
const WAYS: usize = 8;

/// How long a verdict counts.
const LIFETIME: Tick = ticks(std::time::Duration::from_secs(5));

/// The end of the header is kept in units of 8 bytes.
const LONGEST_HEADER: usize = 0x7f * 8;

const TIME: u64 = 0xff_ffff;
const PASSED: u64 = 1 << 31;

pub(crate) struct Fragments {
    secret: [u64; 2],
    words: Box<[AtomicU64]>,
}

impl Fragments {
    pub(crate) fn new(secret: [u8; 16]) -> Fragments {
        Fragments {
            secret: sip::secret(secret),
            words: (0..PARTS * SETS * WAYS)
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// Remembers the verdict about a first fragment whose headers end after `header_len` bytes of
    /// the fragmentable part. The verdict, which is a drop if nobody could check later fragments.
    #[cold]
    pub(crate) fn note_first(
        &self,
        sender: Sender,
        header: &Header<'_>,
        header_len: usize,
        verdict: Verdict,
        now: Tick,
    ) -> Verdict {
        // A word has seven bits for the end of the header.
        let verdict = if header_len > LONGEST_HEADER {
            Verdict::Drop(Reason::FirstFragment)
        } else {
            verdict
        };
        let passed = if verdict == Verdict::Pass { PASSED } else { 0 };
        // Rounded up: no later fragment may begin within the last eight bytes of the header.
        let units = header_len.div_ceil(8).min(0x7f) as u64;

        let (set, tag) = self.find(sender, header);
        let word = u64::from(tag) << 32 | passed | units << 24 | time(now);
        // A first fragment that is sent again replaces its verdict; otherwise the oldest verdict
        // gives way.
        let place = set
            .iter()
            .find(|place| (place.load(Relaxed) >> 32) as u32 == tag)
            .or_else(|| set.iter().max_by_key(|place| age(place.load(Relaxed), now)));
        if let Some(place) = place {
            place.store(word, Relaxed);
        }

        verdict
    }

    /// The verdict about a later fragment.
    #[cold]
    pub(crate) fn judge_later(
        &self,
        sender: Sender,
        header: &Header<'_>,
        fragment: &Fragment,
        now: Tick,
    ) -> Verdict {
        // Known without the first fragment (RFC 1858, RFC 3128).
        if header.protocol == protocol::TCP && fragment.offset < TCP_HEADER {
            return Verdict::Drop(Reason::Overlap);
        }

        let (set, tag) = self.find(sender, header);
        let known = set
            .iter()
            .map(|place| place.load(Relaxed))
            .find(|word| (word >> 32) as u32 == tag && age(*word, now) <= u64::from(LIFETIME));
        let Some(word) = known else {
            return Verdict::WaitForFirstFragment;
        };

        let header_len = (word >> 24 & 0x7f) as usize * 8;
        if word & PASSED == 0 {
            Verdict::Drop(Reason::Fragment)
        } else if fragment.offset < header_len {
            Verdict::Drop(Reason::Overlap)
        } else {
            Verdict::Pass
        }
    }

    /// The set of a packet's fragments, and their tag.
    fn find(&self, sender: Sender, header: &Header<'_>) -> (&[AtomicU64], u32) {
        let (is_remote, number) = match sender {
            Sender::Own => (0, 0),
            Sender::Site(number) => (1, number),
        };
        // IPv6 identifies a packet without the protocol (RFC 8200, section 4.5), IPv4 with it (RFC
        // 791, section 3.2).
        let protocol = if header.v6 { 0 } else { header.protocol };
        let id = header.fragment.map_or(0, |fragment| fragment.id);

        let words = [
            (header.source >> 64) as u64,
            header.source as u64,
            (header.destination >> 64) as u64,
            header.destination as u64,
            u64::from(id) << 32 | u64::from(number),
            u64::from(protocol) << 2 | u64::from(header.v6) << 1 | is_remote,
        ];
        let hash = sip::hash(&self.secret, &words, Tail::NONE);
        let part = match sender {
            Sender::Own => 0,
            Sender::Site(number) => 1 + number as usize % (PARTS - 1),
        };
        let start = (part * SETS + hash as usize % SETS) * WAYS;
        // Never 0, which is an empty place.
        (&self.words[start..start + WAYS], (hash >> 32) as u32 | 1)
    }
}

fn time(now: Tick) -> u64 {
    u64::from(now) & TIME
}

/// Ticks since the word was written; the time wraps after twelve days. An empty place is the oldest
/// of all.
fn age(word: u64, now: Tick) -> u64 {
    if word == 0 {
        u64::MAX
    } else {
        time(now).wrapping_sub(word & TIME) & TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::{self, between};

    const SITE: Sender = Sender::Site(1);
    const DENIED: Verdict = Verdict::Drop(Reason::Denied);

    struct World {
        fragments: Fragments,
    }

    impl World {
        fn new() -> World {
            World {
                fragments: Fragments::new([3; 16]),
            }
        }

        fn first(&self, packet: &[u8], len: usize, verdict: Verdict, now: Tick) -> Verdict {
            let header = Header::parse(packet).unwrap();
            self.fragments.note_first(SITE, &header, len, verdict, now)
        }

        fn later(&self, packet: &[u8], sender: Sender, now: Tick) -> Verdict {
            let header = Header::parse(packet).unwrap();
            let fragment = header.fragment.unwrap();
            self.fragments.judge_later(sender, &header, &fragment, now)
        }
    }

    fn families() -> [Vec<u8>; 2] {
        [("10.2.0.1", "10.1.0.1"), ("fd02::1", "fd01::1")]
            .map(|(source, destination)| between(source, destination).udp(5, 7, &[0; 100]))
    }

    #[test]
    fn later_fragments_follow_their_first_for_five_seconds() {
        for packet in families() {
            let world = World::new();
            let [first, later] = craft::fragments(&packet, 9, 16);
            let [denied_first, denied] = craft::fragments(&packet, 10, 16);
            assert_eq!(world.later(&later, SITE, 0), Verdict::WaitForFirstFragment);

            assert_eq!(world.first(&first, 8, Verdict::Pass, 0), Verdict::Pass);
            assert_eq!(world.first(&denied_first, 8, DENIED, 0), DENIED);
            assert_eq!(world.later(&later, SITE, LIFETIME), Verdict::Pass);
            assert_eq!(
                world.later(&denied, SITE, LIFETIME),
                Verdict::Drop(Reason::Fragment)
            );
            for sender in [Sender::Site(2), Sender::Own] {
                let verdict = world.later(&later, sender, 0);
                assert_eq!(verdict, Verdict::WaitForFirstFragment);
            }
            assert_eq!(
                world.later(&later, SITE, LIFETIME + 1),
                Verdict::WaitForFirstFragment
            );
        }
    }

    #[test]
    fn an_offset_inside_the_header_is_dropped() {
        for packet in families() {
            let world = World::new();
            let [first, _] = craft::fragments(&packet, 9, 16);
            world.first(&first, 24, Verdict::Pass, 0);
            for (offset, verdict) in [
                (8, Verdict::Drop(Reason::Overlap)),
                (16, Verdict::Drop(Reason::Overlap)),
                (24, Verdict::Pass),
            ] {
                let later = craft::fragment(&packet, 9, offset, true, &[0; 8]);
                assert_eq!(world.later(&later, SITE, 0), verdict, "{offset}");
            }
        }

        // Of TCP also before the first fragment has come.
        let tcp = between("10.2.0.1", "10.1.0.1").tcp(5, 7, 0x10, 0);
        let world = World::new();
        for offset in [8, 16] {
            let later = craft::fragment(&tcp, 9, offset, false, &[0; 8]);
            assert_eq!(world.later(&later, SITE, 0), Verdict::Drop(Reason::Overlap));
        }
    }

    #[test]
    fn a_flood_of_one_site_makes_no_other_one_forget() {
        let world = World::new();
        let [packet, _] = families();
        let [first, later] = craft::fragments(&packet, 1, 16);
        world.first(&first, 8, Verdict::Pass, 0);

        for id in 0..20_000 {
            let [other, _] = craft::fragments(&packet, id, 16);
            let header = Header::parse(&other).unwrap();
            world
                .fragments
                .note_first(Sender::Site(2), &header, 8, Verdict::Pass, 0);
        }
        assert_eq!(world.later(&later, SITE, 0), Verdict::Pass);
    }

    #[test]
    fn a_header_that_no_entry_can_hold_is_dropped() {
        let world = World::new();
        let [packet, _] = families();
        let [first, later] = craft::fragments(&packet, 1, 16);
        assert_eq!(
            world.first(&first, LONGEST_HEADER + 1, Verdict::Pass, 0),
            Verdict::Drop(Reason::FirstFragment)
        );
        assert_eq!(
            world.later(&later, SITE, 0),
            Verdict::Drop(Reason::Fragment)
        );
    }
}
