//! [`Boots`]: distinguishes the starts of one peer's daemon by their boot ids.
//!
//! A new boot id means that the daemon was restarted. A boot id that comes back after it was
//! replaced means that two daemons use one identity, unless it arrives late: the last `Hello` of a
//! dead daemon may still be on its way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::id::BootId;

/// Replaced boot ids that are remembered.
const REMEMBERED: usize = 8;

/// Longest time that the `Hello` of a dead daemon may be on its way.
const LATE: Duration = Duration::from_secs(2);

/// Least time between two alarms about one peer.
const ALARM_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Boots {
    current: Option<BootId>,
    /// Earlier boot ids and when each was replaced, the latest first.
    replaced: VecDeque<(BootId, Instant)>,
    last_alarm: Option<Instant>,
}

/// What a boot id says about the daemon that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// The running daemon, or the first one that is seen.
    Same,
    /// Never seen: the daemon was restarted.
    New,
    /// Replaced less than [`LATE`] ago: a message of the dead daemon.
    Late,
    /// Replaced longer ago: a second daemon.
    Returned,
}

impl Boots {
    pub(crate) fn classify(&self, boot: BootId, now: Instant) -> Boot {
        // The first start that is heard of replaces none.
        let Some(current) = self.current else {
            return Boot::Same;
        };

        if current == boot {
            return Boot::Same;
        }

        match self.replaced.iter().find(|(old, _)| *old == boot) {
            None => Boot::New,
            // A `Hello` of the daemon before may still have been on its way.
            Some((_, replaced_at)) if now < *replaced_at + LATE => Boot::Late,
            // After so long that daemon is alive: two use one identity.
            Some(_) => Boot::Returned,
        }
    }

    /// Makes `boot` the id of the peer's running daemon.
    pub(crate) fn adopt(&mut self, boot: BootId, now: Instant) {
        if self.current == Some(boot) {
            return;
        }
        // A boot id is current or replaced, never both.
        self.replaced.retain(|(old, _)| *old != boot);

        if let Some(old) = self.current.replace(boot) {
            self.replaced.truncate(REMEMBERED - 1);
            self.replaced.push_front((old, now));
        }
    }

    /// True at most once in [`ALARM_PAUSE`]: then the caller raises an alarm.
    pub(crate) fn alarm_due(&mut self, now: Instant) -> bool {
        let due = self.last_alarm.is_none_or(|at| at + ALARM_PAUSE <= now);
        if due {
            self.last_alarm = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_that_returns_differs_from_a_restart_and_from_a_late_one() {
        let now = Instant::now();
        let [a, b, c] = [1, 2, 3].map(|n| BootId([n; 16]));
        let mut boots = Boots::default();

        assert_eq!(boots.classify(a, now), Boot::Same);
        boots.adopt(a, now);
        assert_eq!(boots.classify(b, now), Boot::New);
        boots.adopt(b, now);

        assert_eq!(boots.classify(a, now), Boot::Late);
        assert_eq!(boots.classify(a, now + LATE), Boot::Returned);
        assert_eq!(boots.classify(c, now), Boot::New);
        assert_eq!(boots.classify(b, now + LATE), Boot::Same);
    }

    #[test]
    fn endless_alternation_raises_few_alarms() {
        let now = Instant::now();
        let mut boots = Boots::default();

        let raised = (0..600)
            .filter(|second| boots.alarm_due(now + Duration::from_secs(*second)))
            .count();
        assert_eq!(raised, 10);
    }
}
