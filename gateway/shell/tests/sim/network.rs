//! The network between the gateways: delay, loss and cuts. Datagrams are lost and overtake each
//! other, streams only stall.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rng::Rng;

#[derive(Debug)]
pub(crate) struct Network {
    /// Datagrams lost, per mille.
    pub(crate) loss: usize,
    /// One way, at least.
    pub(crate) delay: Duration,
    /// Added to it, at most, in milliseconds.
    pub(crate) jitter: u64,
    /// Pairs that cannot reach each other, lower index first.
    cut: BTreeSet<(usize, usize)>,
    /// Pairs of which the first cannot reach the second.
    one_way: BTreeSet<(usize, usize)>,
    /// Pairs that are neighbours in one network, lower index first.
    lan: BTreeSet<(usize, usize)>,
}

impl Network {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            loss: rng.below(50),
            delay: rng.millis(1, 60),
            jitter: 1 + rng.next() % 40,
            cut: BTreeSet::new(),
            one_way: BTreeSet::new(),
            lan: BTreeSet::new(),
        }
    }

    /// Nothing lost, nothing late.
    pub(crate) fn calm() -> Self {
        Self {
            loss: 0,
            delay: Duration::from_millis(10),
            jitter: 1,
            cut: BTreeSet::new(),
            one_way: BTreeSet::new(),
            lan: BTreeSet::new(),
        }
    }

    /// Works as [`Network::calm`] from now on, with the same neighbours.
    pub(crate) fn calm_down(&mut self) {
        let lan = std::mem::take(&mut self.lan);
        *self = Network {
            lan,
            ..Network::calm()
        };
    }

    /// Two gateways are in one network.
    pub(crate) fn join(&mut self, a: usize, b: usize) {
        self.lan.insert((a.min(b), a.max(b)));
    }

    /// Each pair of gateways that are in one network.
    pub(crate) fn neighbours(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lan.iter().copied()
    }

    /// True if nothing gets from the first to the second.
    pub(crate) fn is_cut_from(&self, from: usize, to: usize) -> bool {
        self.is_cut(from, to) || self.one_way.contains(&(from, to))
    }

    pub(crate) fn cut_one_way(&mut self, from: usize, to: usize) {
        self.one_way.insert((from, to));
    }

    pub(crate) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    /// Cuts every path between `group` and the rest of `count` gateways.
    pub(crate) fn cut_off(&mut self, group: &BTreeSet<usize>, count: usize) {
        for inside in group {
            for other in (0..count).filter(|other| !group.contains(other)) {
                self.cut(*inside, other);
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.one_way.clear();
    }

    /// True if a datagram between the two gets lost now.
    pub(crate) fn loses(&self, a: usize, b: usize, rng: &mut Rng) -> bool {
        self.is_cut_from(a, b) || rng.chance(self.loss)
    }

    pub(crate) fn transit(&self, a: usize, b: usize, rng: &mut Rng) -> Duration {
        if self.lan.contains(&(a.min(b), a.max(b))) {
            return Duration::from_micros(200) + rng.millis(0, 1);
        }

        self.delay + rng.millis(0, self.jitter)
    }

    /// A stream repeats what was lost, which takes a while.
    pub(crate) fn stream_transit(&self, a: usize, b: usize, rng: &mut Rng) -> Duration {
        let repeats = if rng.chance(self.loss) { 300 } else { 0 };
        self.transit(a, b, rng) + Duration::from_millis(repeats)
    }
}
