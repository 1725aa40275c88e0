//! [`FilterCache`]: what a packet thread keeps of the filter from one packet to the next.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::{Clock, Tick};
use crate::drops::{Counter, Drops};
use crate::flows::{Flows, TableCache, Tables};

/// The tables of flows, which are followed when they are replaced, the time in ticks, and a place to
/// count drops. For one thread; it spares atomic exchanges and a division for each packet.
pub struct FilterCache {
    tables: TableCache,
    last: Option<(Instant, Tick)>,
    counter: Counter,
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
    pub(crate) fn new(flows: &Flows, drops: &Arc<Drops>) -> FilterCache {
        FilterCache {
            tables: flows.cache(),
            last: None,
            counter: drops.counter(),
        }
    }

    #[inline(always)]
    pub(crate) fn view(&mut self, clock: &Clock, at: Instant) -> (View<'_>, &mut Counter) {
        // All packets of a batch have one time.
        let now = match self.last {
            Some((last, tick)) if last == at => tick,
            _ => clock.tick(at),
        };

        self.last = Some((at, now));
        let view = View {
            tables: self.tables.load(),
            at,
            now,
        };
        (view, &mut self.counter)
    }

    pub(crate) fn counter(&mut self) -> &mut Counter {
        &mut self.counter
    }
}
