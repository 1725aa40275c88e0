//! [`Budget`]: at most so many actions per span of time, for work that peers and strangers can
//! cause.
//!
//! A budget belongs to a peer or a session and outlives the threads that draw on it: they end when
//! the TUN device is re-created. So it measures time with [`Instant`], the one monotonic clock of
//! the process. A duration since some thread's start would begin at zero again with the next
//! thread, and the budget would not be refilled until that thread had run as long as all threads
//! before it.
//!
//! Several threads may draw at once. As a span begins they may together take a few more than the
//! limit.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A limit that is refilled at the start of each span.
pub(crate) struct Budget {
    limit: u64,
    span: Duration,
    /// Spans are numbered from here.
    origin: Instant,
    /// Number of the latest span in which something was taken.
    current: AtomicU64,
    /// Taken, or refused, in that span.
    used: AtomicU64,
}

impl Budget {
    /// A budget of `limit` actions in each `span`.
    pub(crate) fn new(limit: u64, span: Duration) -> Budget {
        Budget {
            limit,
            span,
            origin: Instant::now(),
            current: AtomicU64::new(0),
            used: AtomicU64::new(0),
        }
    }

    /// True if one more action fits into the span that `now` lies in; it is taken then.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.origin);
        let span = (elapsed.as_nanos() / self.span.as_nanos()) as u64;

        // A thread whose `now` is a batch old must not refill the span that others have begun.
        if self.current.fetch_max(span, Relaxed) < span {
            self.used.store(0, Relaxed);
        }
        self.used.fetch_add(1, Relaxed) < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_refilled() {
        let budget = Budget::new(2, Duration::from_millis(500));
        let take_at = |millis| budget.take(budget.origin + Duration::from_millis(millis));
        assert_eq!(
            [0, 250, 499, 500, 501, 502].map(take_at),
            [true, true, false, true, true, false]
        );
        assert!(!take_at(499), "a late thread refills nothing");
    }

    #[test]
    fn a_budget_is_refilled_after_any_length_of_time() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let budget = Budget::new(1, Duration::from_millis(500));
        for days in [1, 2, 30, 3000] {
            let now = budget.origin + days * DAY;
            assert_eq!(
                [budget.take(now), budget.take(now)],
                [true, false],
                "{days} days"
            );
        }
    }
}
