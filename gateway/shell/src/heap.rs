//! [`Heap`]: when to give freed memory back to the system.
//!
//! glibc keeps most of it: a hundred handshakes at once, or a zone that was replaced, would leave
//! the daemon as large as it was at its worst.

use std::time::{Duration, Instant};

/// How long nothing must have been freed: more may follow, and sessions drain for 10 s.
const CALM: Duration = Duration::from_secs(15);

/// Least time between two trims, and the longest wait for calm.
const PAUSE: Duration = Duration::from_secs(60);

/// What was freed, and when memory was last given back.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    /// When memory was freed since the last trim.
    freed: Option<Freed>,
    trimmed: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Freed {
    first: Instant,
    last: Instant,
}

impl Heap {
    /// Much was freed, or will be soon.
    pub(crate) fn note_freed(&mut self, now: Instant) {
        let first = self.freed.map_or(now, |freed| freed.first);

        self.freed = Some(Freed { first, last: now });
    }

    /// True if it is time to trim. The caller does; the time to the next trim counts from now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let too_soon = self.trimmed.is_some_and(|at| now < at + PAUSE);
        // Handshakes that trickle in would never leave it calm, so the wait is bounded too.
        let calm = self
            .freed
            .is_some_and(|freed| now >= (freed.last + CALM).min(freed.first + PAUSE));

        if too_soon || !calm {
            return false;
        }

        self.freed = None;
        self.trimmed = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_trimmed_once_when_calm_and_not_too_often() {
        let mut heap = Heap::default();
        let start = Instant::now();
        assert!(!heap.is_due(start + PAUSE), "nothing was freed");

        heap.note_freed(start);
        heap.note_freed(start + CALM / 2);
        assert!(!heap.is_due(start + CALM) && heap.is_due(start + CALM * 2));
        assert!(!heap.is_due(start + PAUSE * 9), "nothing was freed since");

        heap.note_freed(start + CALM * 2);
        assert!(!heap.is_due(start + CALM * 4), "too soon");
        assert!(heap.is_due(start + CALM * 2 + PAUSE));
    }

    #[test]
    fn memory_that_is_freed_continuously_is_trimmed_too() {
        let mut heap = Heap::default();
        let start = Instant::now();

        let trims = (0..600).filter(|second| {
            let now = start + Duration::from_secs(*second);
            heap.note_freed(now);
            heap.is_due(now)
        });
        assert_eq!(trims.count() as u64, 600 / (PAUSE.as_secs() + 1));
    }
}
