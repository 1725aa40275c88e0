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
}

impl Network {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            loss: rng.below(50),
            delay: rng.millis(1, 60),
            jitter: 1 + rng.next() % 40,
            cut: BTreeSet::new(),
        }
    }

    /// Nothing lost, nothing late.
    pub(crate) fn calm() -> Self {
        Self {
            loss: 0,
            delay: Duration::from_millis(10),
            jitter: 1,
            cut: BTreeSet::new(),
        }
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
    }

    /// True if a datagram between the two gets lost now.
    pub(crate) fn loses(&self, a: usize, b: usize, rng: &mut Rng) -> bool {
        self.is_cut(a, b) || rng.chance(self.loss)
    }

    pub(crate) fn transit(&self, rng: &mut Rng) -> Duration {
        self.delay + rng.millis(0, self.jitter)
    }

    /// A stream repeats what was lost, which takes a while.
    pub(crate) fn stream_transit(&self, rng: &mut Rng) -> Duration {
        let repeats = if rng.chance(self.loss) { 300 } else { 0 };
        self.transit(rng) + Duration::from_millis(repeats)
    }
}
