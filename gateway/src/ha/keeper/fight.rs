//! [`Fight`]: counts how often another program removes the virtual addresses. Once is harmless (the
//! network was restarted); again and again is a finding.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::attention::Attention;

/// Restorations in a minute from which on it is a finding.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

const NAME: &str = "fight virtual addresses";

/// Restorations in the current minute.
#[derive(Debug, Default)]
pub(super) struct Fight {
    count: u32,
    began: Option<Instant>,
}

impl Fight {
    /// Counts one restoration of the addresses in `missing`.
    pub(super) fn restored(
        &mut self,
        missing: &BTreeSet<IpAddr>,
        attention: &Attention,
        now: Instant,
    ) {
        self.began.get_or_insert(now);
        self.count = self.count.saturating_add(1);

        if self.count < MOST {
            tracing::warn!(name = ?missing, "Another program removed virtual addresses; restored");
        } else {
            let what = "another program removes the virtual addresses of [ha] again and again";
            let remedy = "have it leave them: KeepConfiguration=yes for systemd-networkd";
            attention.raise(NAME, what, remedy);
        }
    }

    /// Begins a new minute if the last one is over. Clears the finding if it had few restorations.
    pub(super) fn expire(&mut self, attention: &Attention, now: Instant) {
        if self.began.is_none_or(|began| now < began + MINUTE) {
            return;
        }

        if self.count < MOST {
            attention.clear(NAME);
        }
        *self = Fight::default();
    }
}
