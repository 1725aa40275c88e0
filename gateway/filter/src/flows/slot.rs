//! [`Slot`]: one place of the table: eight atomic words, a cache line.
//!
//! ```text
//!   0  sequence: odd while the place is rewritten, up by two each time
//!   1  local address            2  ... low half
//!   3  remote address           4  ... low half
//!   5  local port 16 | remote port 16 | kind 8 | owner 24
//!   6  version 24 | 0 | last packet of our host 32
//!   7  version 24 | state 8 | acknowledgement 32
//! ```
//! Words 1 to 5 change only while the sequence is odd: a reader that finds the same even sequence
//! before and after has seen one whole entry. Words 6 and 7 change at any time, each by one
//! compare-and-swap; the version, which is the sequence's, keeps a change that comes late from the
//! flow that has the place by then.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use super::key::{FlowKey, KeyWords, OWNER};
use super::state::State;
use crate::clock::Tick;

pub(super) const WORDS: usize = 8;

const VERSION: u64 = 0xff_ffff;

/// A place, and the sequence at which it was looked at.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'t> {
    words: &'t [AtomicU64; WORDS],
    sequence: u64,
}

/// What stood in a place at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: FlowKey,
    pub(crate) owner: u32,
    pub(crate) state: State,
    pub(crate) last: Tick,
}

impl Entry {
    pub(crate) fn is_expired(&self, now: Tick) -> bool {
        self.state.is_expired(self.key.protocol, self.last, now)
    }
}

impl<'t> Slot<'t> {
    /// The place, if it has the key of these words.
    #[inline(always)]
    pub(super) fn matching(words: &'t [AtomicU64; WORDS], key: &KeyWords) -> Option<Slot<'t>> {
        let sequence = words[0].load(Acquire);
        // Being rewritten: whatever it was before is gone, and what it will be is not yet there.
        if sequence & 1 != 0 {
            return None;
        }

        let is_same = words[5].load(Relaxed) & !OWNER == key[4]
            && words[4].load(Relaxed) == key[3]
            && words[2].load(Relaxed) == key[1]
            && words[3].load(Relaxed) == key[2]
            && words[1].load(Relaxed) == key[0];
        fence(Acquire);
        (is_same && words[0].load(Relaxed) == sequence).then_some(Slot { words, sequence })
    }

    /// The place and what stands there; no entry if it is empty, nothing if it is being rewritten.
    pub(super) fn read(words: &'t [AtomicU64; WORDS]) -> Option<(Slot<'t>, Option<Entry>)> {
        let sequence = words[0].load(Acquire);
        // Odd: another thread is writing.
        if sequence & 1 != 0 {
            return None;
        }

        let mut copy = [0; WORDS];
        for (copy, word) in copy.iter_mut().zip(words) {
            *copy = word.load(Relaxed);
        }
        // The words must have been read before the sequence is read again, whatever order the
        // processor prefers.
        fence(Acquire);
        if words[0].load(Relaxed) != sequence {
            return None;
        }

        let slot = Slot { words, sequence };
        Some((slot, slot.entry(&copy)))
    }

    fn entry(&self, copy: &[u64; WORDS]) -> Option<Entry> {
        let key = FlowKey::from_words(&[copy[1], copy[2], copy[3], copy[4], copy[5]])?;
        Some(Entry {
            key,
            owner: (copy[5] & OWNER) as u32,
            state: state_of(copy[7]),
            last: copy[6] as Tick,
        })
    }

    /// What stands in the place now.
    pub(super) fn entry_now(&self) -> Option<Entry> {
        Slot::read(self.words)?.1
    }

    #[inline(always)]
    fn version(&self) -> u64 {
        self.sequence >> 1 & VERSION
    }

    /// State and last packet, if the place still is the flow's.
    #[inline(always)]
    pub(super) fn load(&self) -> Option<(State, Tick)> {
        let last = self.words[6].load(Relaxed);
        let state = self.words[7].load(Relaxed);
        let is_current = last >> 40 == self.version() && state >> 40 == self.version();
        is_current.then_some((state_of(state), last as Tick))
    }

    /// Changes the state. Nothing happens if the place has another flow by now.
    #[inline(always)]
    pub(super) fn change(&self, next: impl Fn(State) -> State) {
        let mut current = self.words[7].load(Relaxed);
        while current >> 40 == self.version() {
            let changed = state_word(self.version(), next(state_of(current)));
            // Most packets change nothing, and a cache line that is only read can be shared.
            if changed == current {
                return;
            }
            match self.words[7].compare_exchange_weak(current, changed, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => current = found,
            }
        }
    }

    /// Notes a packet of our host. Time never goes back.
    #[inline(always)]
    pub(super) fn touch(&self, now: Tick) {
        let mut current = self.words[6].load(Relaxed);
        while current >> 40 == self.version() && (current as Tick) < now {
            let touched = last_word(self.version(), now);
            match self.words[6].compare_exchange_weak(current, touched, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => current = found,
            }
        }
    }

    /// Puts an entry in the place, or empties it; `set_tag` runs meanwhile, and alone for this
    /// place. False if somebody was faster: the place is not what it was, and nothing has changed.
    pub(super) fn rewrite(&self, entry: Option<&Entry>, set_tag: impl FnOnce()) -> bool {
        let odd = self.sequence + 1;
        if self.words[0]
            .compare_exchange(self.sequence, odd, AcqRel, Relaxed)
            .is_err()
        {
            return false;
        }
        // A reader that sees one of the new words also sees the odd sequence.
        fence(Release);

        let sequence = self.sequence + 2;
        let version = sequence >> 1 & VERSION;
        let (key, state, last) = match entry {
            Some(entry) => (entry.words(), entry.state, entry.last),
            None => ([0; 5], State::default(), 0),
        };
        for (word, key) in self.words[1..6].iter().zip(key) {
            word.store(key, Relaxed);
        }
        self.words[6].store(last_word(version, last), Relaxed);
        self.words[7].store(state_word(version, state), Relaxed);
        set_tag();

        self.words[0].store(sequence, Release);
        true
    }
}

impl Entry {
    fn words(&self) -> KeyWords {
        let mut words = self.key.words();
        words[4] |= u64::from(self.owner) & OWNER;
        words
    }
}

#[inline(always)]
fn state_of(word: u64) -> State {
    State {
        flags: (word >> 32) as u8,
        ack: word as u32,
    }
}

fn state_word(version: u64, state: State) -> u64 {
    version << 40 | u64::from(state.flags) << 32 | u64::from(state.ack)
}

fn last_word(version: u64, last: Tick) -> u64 {
    version << 40 | u64::from(last)
}
