//! So many a second, for what strangers and peers can cause. Asked by the receiving thread only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A count that starts anew every second.
pub(crate) struct Budget {
    per_second: u64,
    second: AtomicU64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) fn new(per_second: u64) -> Budget {
        Budget { per_second, second: AtomicU64::new(0), used: AtomicU64::new(0) }
    }

    /// Takes one if there is one left. `now` is any monotonic clock.
    pub(crate) fn take(&self, now: Duration) -> bool {
        let second = now.as_secs();
        if self.second.swap(second, Relaxed) != second {
            self.used.store(0, Relaxed);
        }
        self.used.fetch_add(1, Relaxed) < self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let budget = Budget::new(2);
        let at = |millis| budget.take(Duration::from_millis(millis));
        assert_eq!(
            [at(0), at(500), at(999), at(1000), at(1001), at(1002)],
            [true, true, false, true, true, false]
        );
    }
}
