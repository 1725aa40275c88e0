//! [`Table`]: flows in fixed-size buckets of atomics, for any number of threads without a lock.
//!
//! A bucket is 1 KiB: a cache line of tags, and fifteen places of a cache line each. A flow stands
//! in the first of its two buckets, or, if that is full, in the second; the first one then says
//! that somebody had to move on. So almost every flow that is not there costs one cache line, and
//! one that is there two.
//!
//! The memory is one zeroed allocation: the kernel gives pages as they are used.
//!
//! Two threads that insert the same flow at once may both find a place; each then looks for the
//! other one, and empties the higher of the two places.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64};

use zerocopy::FromZeros;

use super::choice::{Choice, Search, Victims};
use super::key::{FlowKey, KeyWords};
use super::shares::Shares;
use super::slot::{Entry, Slot, WORDS};
use super::state::Worth;
use crate::clock::Tick;

/// Places of a bucket, behind the line of tags.
const PLACES: usize = 15;
const LINES: usize = PLACES + 1;
const LINE_BYTES: usize = WORDS * 8;
/// Buckets beside a flow's own two in which a place is looked for when the table is full.
const FARTHER: usize = 16;
/// How often a place is chosen again because another thread was faster.
const ATTEMPTS: usize = 8;

pub(crate) struct Table {
    words: Box<[AtomicU64]>,
    /// Words before the first whole cache line.
    skipped: usize,
    buckets: usize,
    limit: u32,
    used: AtomicU32,
    shares: Shares,
}

/// How many places one owner may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// So many.
    AtMost(u32),
    /// As many as there are, until others need them: then nobody loses a place to an owner that
    /// has more.
    Fair,
}

/// What became of a new flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It has a place.
    Free,
    /// It has the place of one that was given up.
    Evicted,
    /// It has none.
    NoRoom,
}

/// Where a place is, in the order in which doubles are resolved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) bucket: usize,
    pub(super) place: usize,
}

impl Table {
    /// A table for `limit` flows; it has places for five thirds of that, so that buckets seldom
    /// are full before the table is.
    pub(crate) fn new(limit: u32) -> Table {
        let limit = limit.max(1);
        let places = limit as usize * 5 / 3;
        let buckets = places.div_ceil(PLACES).max(2);
        // With what is left out so that the first bucket begins a cache line.
        let words = buckets * LINES * WORDS + WORDS - 1;

        let words = <[AtomicU64]>::new_box_zeroed_with_elems(words)
            .expect("memory for as many flows as the configuration may name");
        let misplaced = words.as_ptr() as usize % LINE_BYTES;
        Table {
            skipped: (LINE_BYTES - misplaced) % LINE_BYTES / 8,
            words,
            buckets,
            limit,
            used: AtomicU32::new(0),
            shares: Shares::new(),
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Flows in the table, of which some may have expired.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// The two buckets of a flow.
    #[inline(always)]
    fn homes(&self, hash: u64) -> (usize, usize) {
        (self.bucket(hash >> 32), self.bucket(hash & 0xffff_ffff))
    }

    /// Scales 32 bits of a hash to the buckets.
    #[inline(always)]
    fn bucket(&self, half: u64) -> usize {
        ((half * self.buckets as u64) >> 32) as usize
    }

    #[inline(always)]
    fn line(&self, bucket: usize, line: usize) -> &[AtomicU64; WORDS] {
        let at = self.skipped + (bucket * LINES + line) * WORDS;
        self.words[at..]
            .first_chunk()
            .expect("lines lie within the table")
    }

    /// The place of a flow, whether it has expired or not.
    #[inline]
    pub(crate) fn find(&self, key: &FlowKey, hash: u64) -> Option<Slot<'_>> {
        self.find_words(&key.words(), hash)
    }

    #[inline(always)]
    pub(crate) fn find_words(&self, key: &KeyWords, hash: u64) -> Option<Slot<'_>> {
        let (home, second) = self.homes(hash);

        let tags = self.line(home, 0);
        if let Some(slot) = self.find_in(home, tags, key, hash) {
            return Some(slot);
        }
        // Almost no bucket was ever full, so that its second one need not be read.
        if tags[0].load(Acquire) & MOVED_ON == 0 {
            return None;
        }
        self.find_in(second, self.line(second, 0), key, hash)
    }

    #[inline(always)]
    fn find_in<'t>(
        &'t self,
        bucket: usize,
        tags: &[AtomicU64; WORDS],
        key: &KeyWords,
        hash: u64,
    ) -> Option<Slot<'t>> {
        let place = next_place(tags, tag(hash), 0)?;
        let slot = Slot::matching(self.line(bucket, place), key);
        if slot.is_some() {
            return slot;
        }
        self.find_after(place, bucket, key, hash)
    }

    /// Another flow has the same tag: once in a few hundred million.
    #[cold]
    fn find_after(
        &self,
        mut place: usize,
        bucket: usize,
        key: &KeyWords,
        hash: u64,
    ) -> Option<Slot<'_>> {
        let tags = self.line(bucket, 0);
        loop {
            place = next_place(tags, tag(hash), place)?;
            let slot = Slot::matching(self.line(bucket, place), key);
            if slot.is_some() {
                return slot;
            }
        }
    }

    /// The first empty place of a bucket.
    fn free_in(&self, bucket: usize) -> Option<Position> {
        let place = (1..=PLACES).find(|place| self.tag_at(bucket, *place) == 0)?;
        Some(Position { bucket, place })
    }

    fn tag_at(&self, bucket: usize, place: usize) -> u32 {
        let pair = self.line(bucket, 0)[place / 2].load(Acquire);
        (pair >> (32 * (place % 2))) as u32
    }

    /// Gives a new flow a place, within the share of its owner.
    pub(crate) fn insert(&self, entry: &Entry, hash: u64, share: Share, now: Tick) -> Inserted {
        if self.renew(entry, hash) {
            return Inserted::Free;
        }

        for _ in 0..ATTEMPTS {
            let choice = self.choose(entry.owner, hash, share, now);

            let outcome = match choice {
                Choice::Free(position) => self.fill(position, entry, hash, None),
                Choice::Replace(position, old) => self.fill(position, entry, hash, Some(old)),
                Choice::Swap { free, given_up } => {
                    self.clear(given_up.0, &given_up.1.key);
                    let filled = self.fill(free, entry, hash, None);
                    filled.map(|_| evicted(given_up.2))
                }
                Choice::NoRoom => return Inserted::NoRoom,
            };

            if let Some(inserted) = outcome {
                // Another thread may have inserted the same flow in its other bucket meanwhile.
                self.resolve_doubles(&entry.key, hash);
                return inserted;
            }
        }

        Inserted::NoRoom
    }

    /// Puts the entry in the place that its flow has already, if it has one.
    fn renew(&self, entry: &Entry, hash: u64) -> bool {
        let mut is_renewed = false;
        self.visit_positions(&entry.key, hash, |at| {
            let Some((slot, Some(found))) = Slot::read(self.line(at.bucket, at.place)) else {
                return;
            };
            if !is_renewed
                && found.key == entry.key
                && slot.rewrite(Some(entry), || self.set_tag(at, tag(hash)))
            {
                self.shares.remove(found.owner);
                self.shares.add(entry.owner);
                is_renewed = true;
            }
        });

        is_renewed
    }

    /// Looks for a place.
    fn choose(&self, owner: u32, hash: u64, share: Share, now: Tick) -> Choice {
        let (home, second) = self.homes(hash);
        // An owner that has its share gives up a flow of its own.
        let victims = match share {
            Share::AtMost(most) if self.shares.count(owner) >= most.max(1) => Victims::Of(owner),
            Share::AtMost(_) => Victims::All,
            Share::Fair => Victims::NotPoorerThan(owner, &self.shares),
        };
        let is_over = matches!(victims, Victims::Of(_));
        let has_room = self.used() < self.limit && !is_over;
        if has_room && let Some(free) = self.free_in(home).or_else(|| self.free_in(second)) {
            return Choice::Free(free);
        }

        let mut choice = Search::new(victims, now);
        for bucket in [home, second] {
            self.search(bucket, &mut choice);
        }
        // The table has room, but both buckets are full: a flow in one of them gives way.
        if has_room {
            return choice.finish_near();
        }

        choice.goes_far();
        for distance in 1..=FARTHER.min(self.buckets) {
            // Giving up an open TCP flow is worth a look around; any other is given up at once.
            if choice.best().is_some_and(|worth| worth < Worth::Tcp) {
                break;
            }
            self.search((second + distance) % self.buckets, &mut choice);
        }
        choice.finish()
    }

    fn search(&self, bucket: usize, choice: &mut Search<'_>) {
        for place in 1..=PLACES {
            let position = Position { bucket, place };
            if let Some((_, entry)) = Slot::read(self.line(bucket, place)) {
                choice.look_at(position, entry);
            }
        }
    }

    /// Writes an entry. `old` is what is expected there; `None` if something else is.
    fn fill(
        &self,
        at: Position,
        entry: &Entry,
        hash: u64,
        old: Option<(Entry, Worth)>,
    ) -> Option<Inserted> {
        let (slot, found) = Slot::read(self.line(at.bucket, at.place))?;
        let is_expected = found.map(|found| found.key) == old.map(|(old, _)| old.key);
        if !is_expected || !slot.rewrite(Some(entry), || self.set_tag(at, tag(hash))) {
            return None;
        }

        self.shares.add(entry.owner);
        match found {
            Some(found) => self.shares.remove(found.owner),
            None => {
                self.used.fetch_add(1, Relaxed);
            }
        }

        // A lookup goes on to the second bucket only if the first one says so.
        let (home, _) = self.homes(hash);
        if at.bucket != home {
            self.line(home, 0)[0].fetch_or(MOVED_ON, AcqRel);
        }
        Some(old.map_or(Inserted::Free, |(_, worth)| evicted(worth)))
    }

    /// Removes a flow wherever it stands.
    pub(crate) fn remove(&self, key: &FlowKey, hash: u64) {
        self.visit_positions(key, hash, |position| self.clear(position, key));
    }

    fn clear(&self, at: Position, key: &FlowKey) {
        let read = Slot::read(self.line(at.bucket, at.place));
        if let Some((slot, Some(found))) = read
            && found.key == *key
        {
            self.empty(at, &slot, &found);
        }
    }

    fn empty(&self, at: Position, slot: &Slot<'_>, found: &Entry) {
        if slot.rewrite(None, || self.set_tag(at, 0)) {
            self.shares.remove(found.owner);
            self.used.fetch_sub(1, Relaxed);
        }
    }

    /// Empties the higher place of a flow that has two.
    fn resolve_doubles(&self, key: &FlowKey, hash: u64) {
        let mut lowest: Option<Position> = None;
        self.visit_positions(key, hash, |position| match lowest {
            Some(lowest) if lowest < position => self.clear(position, key),
            _ => lowest = Some(position),
        });
    }

    /// Visits every place of a flow, the lowest first.
    fn visit_positions(&self, key: &FlowKey, hash: u64, mut visit: impl FnMut(Position)) {
        let words = key.words();
        let (home, second) = self.homes(hash);

        // In one order for all threads, so that each empties the same one of two places.
        for bucket in [home.min(second), home.max(second)] {
            for place in 1..=PLACES {
                let is_it = self.tag_at(bucket, place) == tag(hash)
                    && Slot::matching(self.line(bucket, place), &words).is_some();
                if is_it {
                    visit(Position { bucket, place });
                }
            }
        }
    }

    fn set_tag(&self, at: Position, tag: u32) {
        let shift = 32 * (at.place % 2);
        let word = &self.line(at.bucket, 0)[at.place / 2];
        // It never fails: there always is a new value.
        let _ = word.fetch_update(AcqRel, Acquire, |word| {
            Some(word & !(0xffff_ffff << shift) | u64::from(tag) << shift)
        });
    }

    /// Every flow, and where it is. Those that come or go meanwhile may be missed, none is torn.
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Position, Slot<'_>, Entry)) {
        for bucket in 0..self.buckets {
            for place in 1..=PLACES {
                // Places that never had a flow stay untouched, and so does their memory.
                if self.tag_at(bucket, place) == 0 {
                    continue;
                }
                if let Some((slot, Some(entry))) = Slot::read(self.line(bucket, place)) {
                    visit(Position { bucket, place }, slot, entry);
                }
            }
        }
    }

    /// Empties places whose flows have expired.
    pub(crate) fn sweep(&self, now: Tick) {
        self.for_each(&mut |position, slot, entry| {
            if entry.is_expired(now) {
                self.empty(position, &slot, &entry);
            }
        });
    }
}

/// In the first half of a bucket's tags: a flow of this bucket stands in its second one.
const MOVED_ON: u64 = 1;

/// Never 0, which says that a place is empty.
#[inline(always)]
fn tag(hash: u64) -> u32 {
    // Both halves choose buckets; their middle bits together do not.
    (hash >> 16) as u32 | 1
}

/// The first place after `last` that has `tag`; 0 holds none.
#[inline(always)]
fn next_place(tags: &[AtomicU64; WORDS], tag: u32, last: usize) -> Option<usize> {
    for (index, pair) in tags.iter().enumerate() {
        let pair = pair.load(Acquire);
        for (half, found) in [pair as u32, (pair >> 32) as u32].into_iter().enumerate() {
            let place = index * 2 + half;
            if found == tag && place > last {
                return Some(place);
            }
        }
    }

    None
}

fn evicted(worth: Worth) -> Inserted {
    if worth == Worth::Expired {
        Inserted::Free
    } else {
        Inserted::Evicted
    }
}

#[cfg(test)]
mod tests;
