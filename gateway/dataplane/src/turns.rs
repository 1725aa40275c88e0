//! [`Turns`]: whether the loop of a thread still turns, for a watchdog. Costs two stores to memory
//! of the thread's own each time that it has been waiting, and nothing per packet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts the passes of one thread's loop: odd during a pass, even while it waits for work. Only
/// that thread writes it.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicU64);

impl Turns {
    /// A pass begins, also after one that was not followed by a wait.
    pub(crate) fn begin(&self) {
        let before = self.0.load(Relaxed);
        self.0.store((before & !1).wrapping_add(3), Relaxed);
    }

    /// There is nothing to do: a wait of any length is right.
    pub(crate) fn rest(&self) {
        let before = self.0.load(Relaxed);
        self.0.store((before | 1).wrapping_add(1), Relaxed);
    }
}

/// Looks at the [`Turns`] of a thread from time to time.
#[derive(Debug)]
pub(crate) struct Look {
    turns: Arc<Turns>,
    seen: u64,
    since: Instant,
}

impl Look {
    pub(crate) fn at(turns: Arc<Turns>, now: Instant) -> Look {
        Look {
            seen: turns.0.load(Relaxed),
            turns,
            since: now,
        }
    }

    /// True if one pass lasts for longer than `limit`, as far as the looks can tell.
    pub(crate) fn has_stalled(&mut self, limit: Duration, now: Instant) -> bool {
        let turns = self.turns.0.load(Relaxed);
        let is_resting = turns & 1 == 0;

        if is_resting || turns != self.seen {
            self.seen = turns;
            self.since = now;
        }
        now.saturating_duration_since(self.since) > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_pass_that_does_not_end_has_stalled_and_a_wait_never_has() {
        let turns = Arc::new(Turns::default());
        let begin = Instant::now();
        let mut look = Look::at(turns.clone(), begin);
        assert!(!look.has_stalled(LIMIT, begin + 10 * LIMIT), "it waits");

        turns.begin();
        assert!(!look.has_stalled(LIMIT, begin + 20 * LIMIT), "a new pass");
        assert!(!look.has_stalled(LIMIT, begin + 21 * LIMIT));
        assert!(look.has_stalled(LIMIT, begin + 22 * LIMIT));

        // A busy thread begins the next pass without a wait.
        turns.begin();
        assert!(!look.has_stalled(LIMIT, begin + 23 * LIMIT));
        turns.rest();
        assert!(!look.has_stalled(LIMIT, begin + 40 * LIMIT));
    }
}
