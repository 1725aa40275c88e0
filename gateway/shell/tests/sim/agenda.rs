//! [`Agenda`]: the queue of future events, ordered by time. Of events at the same moment the one
//! that was added first comes first, so that a run repeats exactly.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::event::Event;

#[derive(Default)]
pub(crate) struct Agenda {
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl Agenda {
    pub(crate) fn push(&mut self, at: Instant, event: Event) {
        self.scheduled += 1;

        self.queue.push(Reverse(Scheduled {
            at,
            number: self.scheduled,
            event,
        }));
    }

    /// The next event and its time, if it is due until `end`.
    pub(crate) fn pop(&mut self, end: Instant) -> Option<(Instant, Event)> {
        let Reverse(next) = self.queue.peek()?;
        if next.at > end {
            return None;
        }

        let Reverse(next) = self.queue.pop()?;
        Some((next.at, next.event))
    }

    /// How many events there were, or will be.
    pub(crate) fn scheduled(&self) -> u64 {
        self.scheduled
    }
}

struct Scheduled {
    at: Instant,
    number: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}
