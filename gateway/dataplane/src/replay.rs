//! The replay window: which packet numbers of a session were seen.
//!
//! One bit for each of the last 8192 numbers below the highest (RFC 6479's ring of words, so that the
//! window slides by clearing whole words). The opening thread is the only writer; the words are atomics,
//! used relaxed, so that the window can stand in a shared session without a lock. A second writer
//! would make it forget, never corrupt memory.
//!
//! Asked before the AEAD and told only after it: a forged packet never moves the window.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How far behind the highest number a packet may arrive.
pub const WINDOW: u64 = 8192;

/// One word more than the window, so that the word being filled never overlaps the oldest.
const WORDS: usize = WINDOW as usize / 64 + 1;

/// The window of one session.
pub(crate) struct Window {
    /// One more than the highest number seen; 0 at first.
    end: AtomicU64,
    seen: Box<[AtomicU64; WORDS]>,
}

impl Window {
    pub(crate) fn new() -> Window {
        Window { end: AtomicU64::new(0), seen: Box::new([const { AtomicU64::new(0) }; WORDS]) }
    }

    /// True if `number` is new and not older than the window.
    pub(crate) fn admits(&self, number: u64) -> bool {
        let end = self.end.load(Relaxed);
        if number >= end {
            return number < u64::MAX;
        }
        end - number <= WINDOW && self.word(number / 64).load(Relaxed) & bit(number) == 0
    }

    /// Marks a number that [`Window::admits`] and the AEAD have let through. True if it is the highest
    /// so far.
    pub(crate) fn mark(&self, number: u64) -> bool {
        let end = self.end.load(Relaxed);
        let newest = number >= end;
        if newest {
            self.slide(end, number);
        }
        let word = self.word(number / 64);
        word.store(word.load(Relaxed) | bit(number), Relaxed);
        newest
    }

    /// Clears the words that enter the window when `number` becomes the highest.
    fn slide(&self, end: u64, number: u64) {
        let first = end.div_ceil(64);
        let last = number / 64;
        for word in first.max(last.saturating_sub(WORDS as u64 - 1))..=last {
            self.word(word).store(0, Relaxed);
        }
        self.end.store(number + 1, Relaxed);
    }

    fn word(&self, word: u64) -> &AtomicU64 {
        &self.seen[(word % WORDS as u64) as usize]
    }
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The window as one would say it.
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
        let (window, mut naive) = (Window::new(), Naive::default());
        for number in numbers {
            prop_assert_eq!(window.admits(number), naive.admits(number), "at {}", number);
            if naive.admits(number) {
                let highest = naive.seen.last().is_none_or(|highest| number > *highest);
                prop_assert_eq!(window.mark(number), highest);
                naive.seen.insert(number);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(start in prop_oneof![Just(0), 0..100_000u64, Just(u64::MAX - 70_000)],
                                     steps in proptest::collection::vec(-10_000i64..10_000, 1..400)) {
            agree(steps.iter().scan(start, |at, step| {
                *at = at.saturating_add_signed(*step);
                Some(*at)
            }))?;
        }

        #[test]
        fn agrees_when_packets_stay_close(steps in proptest::collection::vec(-130i64..130, 1..1500)) {
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
            window.mark(number);
            assert!(!window.admits(number), "{number}");
        }
        assert!(!window.admits(2 * WINDOW));
    }
}
