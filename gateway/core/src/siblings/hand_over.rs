//! [`HandOver`]: whether this gateway asks a sibling to take over.

use std::time::{Duration, Instant};

/// How long this gateway must have had clearly fewer tunnels than a sibling.
const FEWER_TUNNELS_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct HandOver {
    is_leaving: bool,
    is_requested: bool,
    fewer_since: Option<Instant>,
    /// This gateway has no tunnel, and that is not urgent: no sibling had one either, or the peers
    /// have ended their sessions, which siblings notice at the same time.
    is_patient: bool,
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
    /// sibling that could take over, if one answers.
    /// `has_sessions`: peers have not ended theirs.
    pub(super) fn update(
        &mut self,
        tunnels: u16,
        most: Option<u16>,
        has_sessions: bool,
        now: Instant,
    ) {
        if tunnels > 0 {
            self.is_patient = false;
        } else if most == Some(0) || !has_sessions {
            self.is_patient = true;
        }

        let most = most.unwrap_or_default();
        let is_cut_off = tunnels == 0 && most > 0;
        let has_fewer = most >= tunnels.saturating_mul(2) && most >= tunnels.saturating_add(2);
        let is_behind = is_cut_off || has_fewer;
        if !is_behind {
            self.fewer_since = None;
        }

        let since = is_behind.then(|| *self.fewer_since.get_or_insert(now));
        let is_long_behind = since.is_some_and(|since| since + FEWER_TUNNELS_FOR <= now);
        // After an outage of all uplinks, tunnels come up one after the other. The role must not
        // move because of the order.
        let is_urgent = is_cut_off && !self.is_patient;

        self.is_requested = self.is_leaving || is_urgent || is_long_behind;
    }
}
