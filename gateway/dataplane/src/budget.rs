//! So many in a while, for what strangers and peers can cause. Asked by the receiving threads, whose clocks may
//! differ by the length of a batch; as a span begins, they may take a few more than the count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A count that starts anew after each span of time.
pub(crate) struct Budget {
    count: u64,
    span: Duration,
    /// Which span it was when one was last asked for.
    now: AtomicU64,
    used: AtomicU64,
}

impl Budget {
    /// `count` in each `span`.
    pub(crate) fn new(count: u64, span: Duration) -> Budget {
        Budget {
            count,
            span,
            now: AtomicU64::new(0),
            used: AtomicU64::new(0),
        }
    }

    /// Takes one if there is one left. `now` is any monotonic clock.
    pub(crate) fn take(&self, now: Duration) -> bool {
        let now = (now.as_nanos() / self.span.as_nanos()) as u64;
        if self.now.fetch_max(now, Relaxed) < now {
            self.used.store(0, Relaxed);
        }
        self.used.fetch_add(1, Relaxed) < self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let budget = Budget::new(2, Duration::from_millis(500));
        let at = |millis| budget.take(Duration::from_millis(millis));
        assert_eq!(
            [at(0), at(250), at(499), at(500), at(501), at(502)],
            [true, true, false, true, true, false]
        );
        assert!(!at(499), "who is late opens no span anew");
    }
}
