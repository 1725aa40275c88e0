//! [`Outages`]: when a tunnel was without a session, how long, and why: the last few times, for
//! operators.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::tunnel_error::TunnelError;

/// Outages of one tunnel that are remembered.
const REMEMBERED: usize = 5;

/// The last outages, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Outages(VecDeque<Outage>);

#[derive(Debug)]
struct Outage {
    began: Instant,
    ended: Option<Instant>,
    reason: TunnelError,
}

/// One outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutageStatus {
    /// How long ago it began.
    pub began: Duration,
    /// How long it lasted; `None` while it lasts.
    pub lasted: Option<Duration>,
    /// Why the session before it ended.
    pub reason: TunnelError,
}

impl Outages {
    /// The tunnel has no session any more.
    pub(crate) fn begin(&mut self, reason: TunnelError, now: Instant) {
        // A link that flaps all day must not fill the memory.
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front(Outage {
            began: now,
            ended: None,
            reason,
        });
    }

    /// The tunnel has a session again, or its first one.
    pub(crate) fn end(&mut self, now: Instant) {
        // A tunnel that moves to another session was not down.
        if let Some(last) = self.0.front_mut() {
            last.ended.get_or_insert(now);
        }
    }

    pub(crate) fn status(&self, now: Instant) -> Vec<OutageStatus> {
        self.0
            .iter()
            .map(|outage| OutageStatus {
                began: now.saturating_duration_since(outage.began),
                lasted: outage
                    .ended
                    .map(|ended| ended.saturating_duration_since(outage.began)),
                reason: outage.reason.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outages_are_remembered_the_latest_first() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut outages = Outages::default();

        outages.end(start);
        assert!(outages.status(start).is_empty(), "the first session");
        for hour in 0..8 {
            outages.begin(TunnelError::NoEndpoint, at(hour * 3600));
            outages.end(at(hour * 3600 + 2));
            outages.end(at(hour * 3600 + 9));
        }
        outages.begin(TunnelError::NoEndpoint, at(8 * 3600));

        let status = outages.status(at(8 * 3600 + 1));
        assert_eq!(status.len(), REMEMBERED);
        assert_eq!(status[0].lasted, None);
        assert_eq!(status[0].began, Duration::from_secs(1));
        assert_eq!(status[1].lasted, Some(Duration::from_secs(2)));
        assert_eq!(status[1].began, Duration::from_secs(3601));
    }
}
