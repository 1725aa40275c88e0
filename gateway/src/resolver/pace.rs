//! [`Pace`]: how often changes by other programs are undone: at once, and every ten seconds after
//! ten times in a minute.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
const MOST: usize = 10;
const SLOW: Duration = Duration::from_secs(10);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When changes were undone in the last minute; at most [`MOST`].
    restored: VecDeque<Instant>,
}

impl Pace {
    /// True if a change may be undone now, which is counted.
    pub(super) fn may_restore(&mut self, now: Instant) -> bool {
        let last = self.restored.back();
        let is_soon = last.is_some_and(|last| now < *last + SLOW);
        if !self.is_calm(now) && is_soon {
            return false;
        }

        self.restored.push_back(now);
        while self.restored.len() > MOST {
            self.restored.pop_front();
        }
        true
    }

    /// True if changes are rare.
    pub(super) fn is_calm(&mut self, now: Instant) -> bool {
        while let Some(first) = self.restored.front()
            && *first + MINUTE <= now
        {
            self.restored.pop_front();
        }

        self.restored.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_times_in_a_minute_it_is_every_ten_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();

        let restored: Vec<u64> = (0..60)
            .filter(|second| pace.may_restore(at(*second)))
            .collect();
        assert_eq!(restored[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(restored[10..], [19, 29, 39, 49, 59]);
        assert!(!pace.is_calm(at(60)));
        assert!(pace.is_calm(at(80)));
        assert!(pace.may_restore(at(80)));
    }
}
