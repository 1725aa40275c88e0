//! [`Timers`]: the deadline of each tunnel, in order of time. When time has passed, only the
//! tunnels that are due are visited, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::GatewayId;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, GatewayId)>,
    by_peer: BTreeMap<GatewayId, Instant>,
}

impl Timers {
    /// Replaces the deadline of the tunnel with `peer`; `None` removes it.
    pub(crate) fn set(&mut self, peer: &GatewayId, at: Option<Instant>) {
        // Most inputs change no deadline.
        if self.by_peer.get(peer).copied() == at {
            return;
        }

        if let Some(before) = self.by_peer.remove(peer) {
            self.by_time.remove(&(before, peer.clone()));
        }
        if let Some(at) = at {
            self.by_peer.insert(peer.clone(), at);
            self.by_time.insert((at, peer.clone()));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The peers whose deadline has passed, the earliest first.
    pub(crate) fn due(&self, now: Instant) -> Vec<GatewayId> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, peer)| peer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_the_last_deadline_of_each_tunnel_counts() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let [a, b] = ["gw.a", "gw.b"].map(|id| id.parse::<GatewayId>().unwrap());
        let mut timers = Timers::default();

        timers.set(&a, Some(later(5)));
        timers.set(&b, Some(later(3)));
        timers.set(&a, Some(later(1)));
        assert_eq!(timers.next(), Some(later(1)));
        assert_eq!(timers.due(later(2)), std::slice::from_ref(&a));
        assert_eq!(timers.due(later(9)), [a.clone(), b.clone()]);

        timers.set(&a, None);
        assert_eq!(timers.next(), Some(later(3)));
        assert_eq!(timers.due(later(9)), [b]);
    }
}
