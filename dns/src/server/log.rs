//! [`QueryLog`]: a sample of the questions in the log, off by default, bounded whatever is asked.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::answer::{Outcome, question_of};

/// Lines that are written in one second at most.
const MAX_LINES: u64 = 20;

/// Which questions are logged. Shared by the server, which asks, and by whoever changes it.
#[derive(Debug, Default)]
pub struct QueryLog {
    /// One in so many; 0: none.
    one_in: AtomicU32,
    seen: AtomicU32,
    /// The second that lines are counted in, and their number.
    second: AtomicU64,
    lines: AtomicU64,
}

impl QueryLog {
    /// Logs one question in so many from now on; `None`: none.
    pub fn set(&self, one_in: Option<u32>) {
        self.one_in.store(one_in.unwrap_or(0), Ordering::Relaxed);
    }

    /// Logs the question if it is its turn; `now` since the server was bound.
    pub(crate) fn note(&self, message: &[u8], remote: IpAddr, outcome: Outcome, now: Duration) {
        let one_in = self.one_in.load(Ordering::Relaxed);
        if one_in == 0 || !self.is_due(one_in, now.as_secs()) {
            return;
        }
        // Names are escaped as in zone files: no byte of them reaches the log as it is.
        let Some((qname, qtype)) = question_of(message) else {
            return;
        };
        let rcode = match outcome {
            Outcome::Answered(rcode) => Some(rcode),
            _ => None,
        };
        tracing::info!(%remote, %qname, qtype, reason = ?outcome, rcode, "Question");
    }

    fn is_due(&self, one_in: u32, second: u64) -> bool {
        if !self
            .seen
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(one_in)
        {
            return false;
        }
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < MAX_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_in_so_many_is_logged_and_no_more_than_a_few_a_second() {
        let log = QueryLog::default();
        let due = |questions: usize, one_in, second| {
            (0..questions)
                .filter(|_| log.is_due(one_in, second))
                .count() as u64
        };
        assert_eq!(due(100, 10, 1), 10);
        assert_eq!(due(100_000, 10, 2), MAX_LINES, "a flood");
        assert_eq!(due(100, 10, 3), 10, "the next second begins anew");
    }
}
