//! [`Boots`]: the starts of one peer's daemon, told apart by their boot ids.
//!
//! A new boot id means that the daemon was restarted. One that comes back after it was replaced means that
//! two daemons use one identity, unless it was only late: a dead daemon's last `Hello` may still arrive.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::BootId;

/// Replaced boot ids that are remembered.
const REMEMBERED: usize = 8;

/// Longest that a dead daemon's `Hello` may be under way.
const LATE: Duration = Duration::from_secs(2);

/// Least time between two alarms about one peer.
const ALARM_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Boots {
    current: Option<BootId>,
    replaced: VecDeque<(BootId, Instant)>,
    alarmed: Option<Instant>,
}

/// What a boot id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// The daemon that we knew, or the first.
    Same,
    /// Never seen: the daemon was restarted.
    New,
    /// Replaced a moment ago: late.
    Late,
    /// Replaced a while ago: a second daemon.
    Returned,
}

impl Boots {
    pub(crate) fn judge(&self, boot: BootId, now: Instant) -> Boot {
        let replaced = self.replaced.iter().find(|(old, _)| *old == boot);
        match (self.current, replaced) {
            (None, _) => Boot::Same,
            (Some(current), _) if current == boot => Boot::Same,
            (_, Some((_, at))) if now < *at + LATE => Boot::Late,
            (_, Some(_)) => Boot::Returned,
            (_, None) => Boot::New,
        }
    }

    /// `boot` is the peer's daemon from now on.
    pub(crate) fn adopt(&mut self, boot: BootId, now: Instant) {
        if self.current == Some(boot) {
            return;
        }
        self.replaced.retain(|(old, _)| *old != boot);
        if let Some(old) = self.current.replace(boot) {
            self.replaced.truncate(REMEMBERED - 1);
            self.replaced.push_front((old, now));
        }
    }

    /// True if it is time to raise the alarm (again).
    pub(crate) fn alarm(&mut self, now: Instant) -> bool {
        let due = self.alarmed.is_none_or(|at| at + ALARM_PAUSE <= now);
        if due {
            self.alarmed = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_that_returns_is_told_from_a_restart_and_from_a_late_one() {
        let now = Instant::now();
        let [a, b, c] = [1, 2, 3].map(|n| BootId([n; 16]));
        let mut boots = Boots::default();
        assert_eq!(boots.judge(a, now), Boot::Same);
        boots.adopt(a, now);
        assert_eq!(boots.judge(b, now), Boot::New);
        boots.adopt(b, now);
        assert_eq!(boots.judge(a, now), Boot::Late);
        assert_eq!(boots.judge(a, now + LATE), Boot::Returned);
        assert_eq!(boots.judge(c, now), Boot::New);
        assert_eq!(boots.judge(b, now + LATE), Boot::Same);
    }

    #[test]
    fn endless_alternation_raises_few_alarms() {
        let now = Instant::now();
        let mut boots = Boots::default();
        let raised = (0..600)
            .filter(|second| boots.alarm(now + Duration::from_secs(*second)))
            .count();
        assert_eq!(raised, 10);
    }
}
