//! [`Fight`]: another program removes the virtual addresses; once, as a restart of the network
//! does, or again and again.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::attention::Attention;

/// So many restorations in a minute are a fight.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

const NAME: &str = "fight virtual addresses";

/// Restorations of the last minute.
#[derive(Debug, Default)]
pub(super) struct Fight {
    count: u32,
    began: Option<Instant>,
}

impl Fight {
    /// These were gone, and are there again.
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

    /// A minute later it may be over.
    pub(super) fn look(&mut self, attention: &Attention, now: Instant) {
        if self.began.is_none_or(|began| now < began + MINUTE) {
            return;
        }

        if self.count < MOST {
            attention.clear(NAME);
        }
        *self = Fight::default();
    }
}
