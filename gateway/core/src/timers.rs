//! [`Timers`]: when each tunnel wants to be called, so that a mesh of many looks only at those due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::GatewayId;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    in_order: BTreeSet<(Instant, GatewayId)>,
    set: BTreeMap<GatewayId, Instant>,
}

impl Timers {
    /// The tunnel with `peer` wants to be called at this time, or not at all, whatever it wanted before.
    pub(crate) fn set(&mut self, peer: &GatewayId, at: Option<Instant>) {
        if self.set.get(peer).copied() == at {
            return;
        }
        if let Some(before) = self.set.remove(peer) {
            self.in_order.remove(&(before, peer.clone()));
        }
        if let Some(at) = at {
            self.set.insert(peer.clone(), at);
            self.in_order.insert((at, peer.clone()));
        }
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Those whose time has come, the earliest first.
    pub(crate) fn due(&self, now: Instant) -> Vec<GatewayId> {
        self.in_order
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, peer)| peer.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_the_last_word_of_each_counts() {
        let (now, [a, b]) = (
            Instant::now(),
            ["gw.a", "gw.b"].map(|id| id.parse::<GatewayId>().unwrap()),
        );
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.set(&a, Some(later(5)));
        timers.set(&b, Some(later(3)));
        timers.set(&a, Some(later(1)));
        assert_eq!(
            (timers.next(), timers.due(later(2))),
            (Some(later(1)), vec![a.clone()])
        );
        assert_eq!(timers.due(later(9)), [a.clone(), b.clone()]);
        timers.set(&a, None);
        assert_eq!(
            (timers.next(), timers.due(later(9))),
            (Some(later(3)), vec![b])
        );
    }
}
