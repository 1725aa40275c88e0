//! [`Beginnings`]: when findings began that are derived from the rest of a report. The daemon makes
//! a report every ten seconds, so that they are known even if nobody asks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use crate::admin::daemon::rfc3339;
use crate::admin::report::AttentionReport;

/// The greatest error of a beginning.
const PERIOD: Duration = Duration::from_secs(10);

/// The beginning of each derived finding, by name. There are as many as the last report had.
#[derive(Debug, Default)]
pub struct Beginnings {
    known: BTreeMap<String, SystemTime>,
    last: Option<Instant>,
}

impl Beginnings {
    /// When the next report is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.last.map(|last| last + PERIOD)
    }

    /// True if the next report is due. The one after it is due a period later.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|last| now < last + PERIOD) {
            return false;
        }

        self.last = Some(now);
        true
    }

    /// Sets the beginning of those `items` that have none, and forgets that of all others.
    pub(super) fn set(&mut self, items: &mut [AttentionReport], now: SystemTime) {
        let mut known = BTreeMap::new();
        for item in items.iter_mut().filter(|item| item.since.is_empty()) {
            let began = self.known.get(&item.name).copied().unwrap_or(now);
            item.since = rfc3339(began);
            known.insert(item.name.clone(), began);
        }
        self.known = known;
    }
}
