//! [`Allowance`]: how often something that a peer causes is reported to the operator.

use std::time::{Duration, Instant};

/// Times in a row.
const BURST: u32 = 8;

/// After which one more is allowed.
const PAUSE: Duration = Duration::from_secs(60);

/// Some at once, then one a minute.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u32,
    /// When the last one was added to what is left.
    filled: Instant,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Allowance {
        Allowance {
            left: BURST,
            filled: now,
        }
    }

    /// Takes one; false if there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let pauses = now.saturating_duration_since(self.filled).as_secs() / PAUSE.as_secs();
        let gained = u32::try_from(pauses).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(BURST);
            self.filled = now;
        }

        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        true
    }

    /// When there is one again, if there is none.
    pub(crate) fn next(&self) -> Instant {
        self.filled + PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_then_one_a_minute() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let taken = (0..100).filter(|_| allowance.take(start)).count();
        assert_eq!(taken, BURST as usize);

        assert!(!allowance.take(start + PAUSE / 2));
        assert_eq!(allowance.next(), start + PAUSE);
        assert!(allowance.take(start + PAUSE));
        assert!(!allowance.take(start + PAUSE));

        let later = start + 1000 * PAUSE;
        let taken = (0..100).filter(|_| allowance.take(later)).count();
        assert_eq!(taken, BURST as usize);
    }
}
