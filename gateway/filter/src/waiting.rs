//! [`Waiting`]: later fragments that came before their first, held for a moment by one thread.

use std::time::{Duration, Instant};

use crate::filter::Filter;
use crate::rules::Rules;
use crate::verdict::Verdict;

/// Fragments that one thread holds.
pub const MOST_WAITING: usize = 64;
/// How long one is held.
pub const WAIT: Duration = Duration::from_millis(100);

/// Those of one site among them.
const MOST_OF_A_SITE: usize = MOST_WAITING / 4;

/// Arrived fragments of one thread that wait for their first fragment. Bounded: when it is full,
/// and for a site that has a quarter of it, further fragments are dropped.
#[derive(Default)]
pub struct Waiting {
    held: Vec<Held>,
    /// Buffers of packets that have gone, for others: nothing is allocated for most packets.
    spare: Vec<Vec<u8>>,
}

struct Held {
    from: u32,
    since: Instant,
    packet: Vec<u8>,
}

impl Waiting {
    /// Nothing waits.
    pub fn new() -> Waiting {
        Waiting::default()
    }

    /// True if nothing waits: [`Waiting::release`] has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Holds a copy of `packet`, which got [`Verdict::WaitForFirstFragment`]. False if there is no
    /// room: the packet is lost.
    pub fn hold(&mut self, from: u32, packet: &[u8], now: Instant) -> bool {
        let of_site = self.held.iter().filter(|held| held.from == from).count();
        // A site that sends later fragments alone fills no more than its quarter.
        if self.held.len() >= MOST_WAITING || of_site >= MOST_OF_A_SITE {
            return false;
        }

        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        self.held.push(Held {
            from,
            since: now,
            packet: buffer,
        });
        true
    }

    /// Judges everything that waits again: hands what passes to `deliver`, in the order it came,
    /// with the sending site, and forgets what was dropped or has waited for too long. To be called
    /// after each batch of arrived packets, and after 100 ms without any.
    pub fn release(
        &mut self,
        filter: &Filter,
        rules: &Rules,
        now: Instant,
        mut deliver: impl FnMut(u32, &[u8]),
    ) {
        self.review(now, |from, packet| {
            let verdict = filter.arrives(rules, from, packet, now);
            if verdict == Verdict::Pass {
                deliver(from, packet);
            }
            verdict
        });
    }

    /// As [`Waiting::release`], for fragments of either direction: `judge` gives the verdict, and
    /// has done with the packet unless it is to wait.
    pub fn review(&mut self, now: Instant, mut judge: impl FnMut(u32, &mut [u8]) -> Verdict) {
        let mut index = 0;
        while index < self.held.len() {
            let held = &mut self.held[index];
            let is_late = now.saturating_duration_since(held.since) >= WAIT;

            let verdict = judge(held.from, &mut held.packet);
            if verdict == Verdict::WaitForFirstFragment && !is_late {
                index += 1;
            } else {
                // At most 64 stand behind it.
                self.spare.push(self.held.remove(index).packet);
            }
        }
    }
}
