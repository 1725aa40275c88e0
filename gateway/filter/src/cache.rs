//! [`FilterCache`]: what a packet thread keeps of the filter from one packet to the next.

use std::time::Instant;

use crate::clock::{Clock, Tick};
use crate::flows::{Flows, TableCache, Tables};

/// The tables of flows, which are followed when they are replaced, and the time in ticks. For one
/// thread; it spares an atomic exchange and a division for each packet.
pub struct FilterCache {
    tables: TableCache,
    last: Option<(Instant, Tick)>,
}

/// The tables and the time by which one packet is judged.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) at: Instant,
    /// The same time in ticks.
    pub(crate) now: Tick,
}

impl FilterCache {
    pub(crate) fn new(flows: &Flows) -> FilterCache {
        FilterCache {
            tables: flows.cache(),
            last: None,
        }
    }

    #[cold]
    fn tick(&mut self, clock: &Clock, at: Instant) -> Tick {
        let tick = clock.tick(at);
        self.last = Some((at, tick));
        tick
    }

    #[inline(always)]
    pub(crate) fn view(&mut self, clock: &Clock, at: Instant) -> View<'_> {
        // All packets of a batch have one time.
        let now = match self.last {
            Some((last, tick)) if last == at => tick,
            _ => self.tick(clock, at),
        };

        View {
            tables: self.tables.load(),
            at,
            now,
        }
    }
}
