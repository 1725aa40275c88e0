//! [`QueryLog`]: logs a sample of the queries. Off by default; bounded, whatever the rate of
//! queries.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::answer::{Outcome, question_of};

/// Lines per second at most.
const MAX_LINES: u64 = 20;

/// Which queries are logged. The server reads it while the gateway changes it.
#[derive(Debug, Default)]
pub struct QueryLog {
    /// One query of so many; 0: none.
    one_in: AtomicU32,
    seen: AtomicU32,
    /// The second that `lines` is about.
    second: AtomicU64,
    lines: AtomicU64,
}

impl QueryLog {
    /// Logs one query of so many from now on; `None`: none.
    pub fn set(&self, one_in: Option<u32>) {
        self.one_in.store(one_in.unwrap_or(0), Ordering::Relaxed);
    }

    /// Logs the query if it belongs to the sample. `now` is the time since the server was bound.
    pub(crate) fn note(&self, message: &[u8], remote: IpAddr, outcome: &Outcome, now: Duration) {
        let one_in = self.one_in.load(Ordering::Relaxed);
        if one_in == 0 || !self.is_due(one_in, now.as_secs()) {
            return;
        }

        // The name is escaped as in zone files: no control character from the wire reaches the log.
        let Some((qname, qtype)) = question_of(message) else {
            return;
        };
        let (reason, rcode) = match outcome {
            Outcome::Silent => ("silent", None),
            Outcome::Answered(rcode) => ("answered", Some(*rcode)),
            Outcome::Forward(_) => ("forwarded", None),
            Outcome::Truncated => ("truncated by the rate limit", None),
            Outcome::Dropped => ("dropped by the rate limit", None),
        };
        tracing::info!(%remote, %qname, qtype, reason, rcode, "DNS query");
    }

    fn is_due(&self, one_in: u32, second: u64) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        if !seen.is_multiple_of(one_in) {
            return false;
        }

        // Two threads may both reset the count at the turn of a second: some lines more, once.
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < MAX_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(log: &QueryLog, queries: usize, one_in: u32, second: u64) -> u64 {
        let due = (0..queries).filter(|_| log.is_due(one_in, second));
        due.count() as u64
    }

    #[test]
    fn logs_one_query_in_so_many_up_to_a_limit_per_second() {
        let log = QueryLog::default();
        assert_eq!(logged(&log, 100, 10, 1), 10);
        assert_eq!(logged(&log, 100_000, 10, 2), MAX_LINES);
        assert_eq!(logged(&log, 100, 10, 3), 10, "the limit is per second");
    }
}
