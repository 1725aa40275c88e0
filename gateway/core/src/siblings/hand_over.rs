//! [`HandOver`]: whether this gateway asks a sibling to take over.

use std::time::{Duration, Instant};

/// How long this gateway must have had clearly fewer tunnels than a sibling.
const FEWER_TUNNELS_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct HandOver {
    is_leaving: bool,
    is_requested: bool,
    fewer_since: Option<Instant>,
}

impl HandOver {
    /// This gateway is about to stop or is drained; or no longer.
    pub(super) fn set_leaving(&mut self, leaving: bool) {
        self.is_leaving = leaving;
    }

    pub(super) fn is_requested(&self) -> bool {
        self.is_requested
    }

    /// Requests a hand-over if this gateway has lost all of its `tunnels` to other sites while a
    /// sibling has some, or has had clearly fewer for a while. `most`: the highest count of a
    /// sibling that could take over.
    pub(super) fn update(&mut self, tunnels: u16, most: u16, now: Instant) {
        let is_cut_off = tunnels == 0 && most > 0;
        let has_fewer = most >= tunnels.saturating_mul(2) && most >= tunnels.saturating_add(2);
        if !has_fewer {
            self.fewer_since = None;
        }

        let since = has_fewer.then(|| *self.fewer_since.get_or_insert(now));
        let has_long = since.is_some_and(|since| since + FEWER_TUNNELS_FOR <= now);

        self.is_requested = self.is_leaving || is_cut_off || has_long;
    }
}
