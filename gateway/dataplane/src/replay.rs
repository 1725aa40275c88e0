//! [`Window`]: the replay window, which knows the packet numbers of a session that were seen.
//!
//! One bit for each of the last 8192 numbers up to the highest, in a ring of words (RFC 6479, made
//! for several threads). A word holds, beside 32 bits, the round of the ring that they belong to,
//! so that the window slides without clearing anything: the first number of a new round starts the
//! word over, and no thread can put an older round back. Lock-free; the receiving threads of all
//! lanes share it.
//!
//! [`Window::admits`] is asked before the AEAD, [`Window::mark`] called only after it: a forged
//! packet never moves the window.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How far behind the highest number a packet may arrive.
pub const WINDOW: u64 = 8192;

/// Packet numbers in one word.
const BITS: u64 = 32;

/// One word more than the window, so that the word being filled never overlaps the oldest.
const WORDS: u64 = WINDOW / BITS + 1;

/// The window of one session.
pub(crate) struct Window {
    /// One more than the highest number seen; 0 at first.
    end: AtomicU64,
    /// The round of the ring above a bit for each number seen in it. 0: nothing was seen here yet.
    words: Box<[AtomicU64; WORDS as usize]>,
}

impl Window {
    pub(crate) fn new() -> Window {
        Window {
            end: AtomicU64::new(0),
            words: Box::new([const { AtomicU64::new(0) }; WORDS as usize]),
        }
    }

    /// True if `number` is new and not older than the window.
    pub(crate) fn admits(&self, number: u64) -> bool {
        let end = self.end.load(Relaxed);
        if number >= end {
            // `end` must become greater than `number`, which u64::MAX does not allow. Sessions end
            // long before they get there.
            return number < u64::MAX;
        }

        let slot = Slot::of(number);
        let word = self.words[slot.word].load(Relaxed);
        end - number <= WINDOW && slot.mark(word).is_some()
    }

    /// Marks a number that [`Window::admits`] and the AEAD have let through, and says whether it is
    /// the highest so far. `None` if another thread has marked it since, or the window has passed
    /// it.
    pub(crate) fn mark(&self, number: u64) -> Option<bool> {
        // Which of two threads with one number may go on is decided here, by the one atomic update.
        let slot = Slot::of(number);
        self.words[slot.word]
            .fetch_update(Relaxed, Relaxed, |word| slot.mark(word))
            .ok()?;

        // A plain load first: packets that come late do not fight for the cache line.
        let is_newest = number >= self.end.load(Relaxed);
        Some(is_newest && number >= self.end.fetch_max(number + 1, Relaxed))
    }
}

/// The place of a number's bit.
struct Slot {
    word: usize,
    round: u32,
    bit: u64,
}

impl Slot {
    fn of(number: u64) -> Slot {
        let block = number / BITS;
        // A session ends before the rounds repeat: after 2⁴⁵ numbers.
        Slot {
            word: (block % WORDS) as usize,
            round: (block / WORDS) as u32,
            bit: 1 << (number % BITS),
        }
    }

    /// `word` with the bit set; `None` if it was set, or the word is of a later round.
    fn mark(&self, word: u64) -> Option<u64> {
        let round = (word >> BITS) as u32;
        let seen = word & u64::from(u32::MAX);
        let restarted = u64::from(self.round) << BITS | self.bit;
        // Nothing was seen in this word yet, so that its round means nothing.
        if seen == 0 {
            return Some(restarted);
        }

        // Rounds wrap: of two, the later one is ahead by less than half of all.
        match self.round.wrapping_sub(round) as i32 {
            0 => (seen & self.bit == 0).then_some(word | self.bit),
            ahead => (ahead > 0).then_some(restarted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// The window as a set of numbers.
    #[derive(Default)]
    struct Naive {
        seen: BTreeSet<u64>,
    }

    impl Naive {
        fn admits(&self, number: u64) -> bool {
            let highest = self.seen.last().copied();
            number < u64::MAX
                && highest.is_none_or(|highest| highest.saturating_sub(number) < WINDOW)
                && !self.seen.contains(&number)
        }
    }

    fn agree(numbers: impl IntoIterator<Item = u64>) -> Result<(), TestCaseError> {
        let window = Window::new();
        let mut naive = Naive::default();
        for number in numbers {
            prop_assert_eq!(window.admits(number), naive.admits(number), "at {}", number);
            if naive.admits(number) {
                let highest = naive.seen.last().is_none_or(|highest| number > *highest);
                prop_assert_eq!(window.mark(number), Some(highest));
                naive.seen.insert(number);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(
            start in prop_oneof![Just(0), 0..100_000u64, Just(u64::MAX - 70_000)],
            steps in proptest::collection::vec(-10_000i64..10_000, 1..400),
        ) {
            agree(steps.iter().scan(start, |at, step| {
                *at = at.saturating_add_signed(*step);
                Some(*at)
            }))?;
        }

        #[test]
        fn agrees_when_packets_stay_close(
            steps in proptest::collection::vec(-130i64..130, 1..1500),
        ) {
            agree(steps.iter().scan(5_000u64, |at, step| {
                *at = at.saturating_add_signed(*step);
                Some(*at)
            }))?;
        }
    }

    #[test]
    fn every_number_in_the_window_passes_once() {
        let window = Window::new();
        window.mark(3 * WINDOW);
        for number in 2 * WINDOW + 1..3 * WINDOW {
            assert!(window.admits(number), "{number}");
            assert_eq!(window.mark(number), Some(false), "{number}");
            assert!(!window.admits(number), "{number}");
            assert_eq!(window.mark(number), None, "{number}");
        }
        assert!(!window.admits(2 * WINDOW));
    }

    #[test]
    fn threads_that_share_a_window_let_each_number_pass_once() {
        const NUMBERS: u64 = 20 * WINDOW;
        let window = Window::new();
        let passed = || {
            // Each thread goes through all numbers, in an order close to theirs.
            let near = (0..NUMBERS).map(|number| number ^ (number / 7 % 4));
            near.filter(|number| window.admits(*number) && window.mark(*number).is_some())
                .collect::<Vec<_>>()
        };
        let mut all = thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(passed)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        let marked = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), marked, "a number passed twice");
        assert!(marked as u64 > NUMBERS / 2, "{marked}");
    }
}
