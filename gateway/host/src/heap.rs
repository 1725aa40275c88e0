//! The heap: memory that was freed goes back to the system.
//!
//! glibc keeps most of it: a hundred handshakes at once or a zone that was replaced would leave the
//! daemon as large as it was at its worst.

use std::time::{Duration, Instant};

/// How long nothing must litter the heap before it is tidied: more may follow, and sessions drain
/// for 10 s.
const CALM: Duration = Duration::from_secs(15);

/// Least time between two tidyings, and how long a heap that is littered again and again waits for
/// calm.
const PAUSE: Duration = Duration::from_secs(60);

/// When to give freed memory back.
#[derive(Debug, Default)]
pub struct Heap {
    /// When it was littered, for the first and the last time since it was tidied.
    littered: Option<(Instant, Instant)>,
    tidied: Option<Instant>,
}

impl Heap {
    /// Much was freed, or will be soon.
    pub fn littered(&mut self, now: Instant) {
        let first = self.littered.map_or(now, |(first, _)| first);
        self.littered = Some((first, now));
    }

    /// True if it is time to [`give_back`] what is free; time passes anew from now on.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let waits = self.tidied.is_some_and(|tidied| now < tidied + PAUSE);
        let due = self
            .littered
            .is_some_and(|(first, last)| now >= (last + CALM).min(first + PAUSE));
        if waits || !due {
            return false;
        }
        (self.littered, self.tidied) = (None, Some(now));
        true
    }
}

/// Gives back all pages that nothing lies on. May take milliseconds: nothing for a loop that others
/// wait for.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "libc has no safe wrapper of malloc_trim(3)")]
    // SAFETY: malloc_trim(3) takes no pointer, and any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_tidied_once_when_all_is_calm_and_not_too_often() {
        let (mut heap, start) = (Heap::default(), Instant::now());
        assert!(!heap.is_due(start + PAUSE), "nothing littered it");
        heap.littered(start);
        heap.littered(start + CALM / 2);
        assert!(!heap.is_due(start + CALM) && heap.is_due(start + CALM * 2));
        assert!(!heap.is_due(start + PAUSE * 9), "it is tidy");
        heap.littered(start + CALM * 2);
        assert!(
            !heap.is_due(start + CALM * 4) && heap.is_due(start + CALM * 2 + PAUSE),
            "too soon, and again"
        );
    }

    #[test]
    fn a_heap_that_is_littered_again_and_again_is_tidied_now_and_then() {
        let (mut heap, start, second) = (Heap::default(), Instant::now(), Duration::from_secs(1));
        let tidied = (0..600).filter(|n| {
            heap.littered(start + second * *n);
            heap.is_due(start + second * *n)
        });
        assert_eq!(tidied.count() as u64, 600 / (PAUSE.as_secs() + 1));
    }

    #[test]
    fn what_was_freed_between_what_is_kept_goes_back() {
        const SIZE: u64 = 64 << 20;
        let mut blocks: Vec<Option<Box<[u8; 1000]>>> = (0..SIZE / 1000)
            .map(|_| Some(Box::new([1; 1000])))
            .collect();
        // One stays in every hundred kilobytes, so that no run of pages is at the heap's end.
        blocks
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| i % 100 != 0)
            .for_each(|(_, block)| *block = None);
        let before = resident();
        give_back();
        let after = resident();
        assert!(
            before - after > SIZE / 2,
            "{before} bytes before, {after} after"
        );
        drop(blocks);
    }

    /// Bytes of this process's heap and stacks in memory, or nearly: other tests run in it.
    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}
