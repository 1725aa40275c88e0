//! [`Waiting`]: later fragments that came before their first, held for a moment by one thread.

use std::time::{Duration, Instant};

use crate::filter::Filter;
use crate::rules::Rules;

/// Fragments that one thread holds.
pub const MOST_WAITING: usize = 64;
/// How long one is held.
pub const WAIT: Duration = Duration::from_millis(100);

/// Arrived fragments of one thread that wait for their first fragment. Bounded: when it is full,
/// and for a site that has a quarter of it, further fragments are dropped.
#[derive(Default)]
pub struct Waiting {
    held: Vec<Held>,
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
    ///
    /// [`Verdict::WaitForFirstFragment`]: crate::Verdict::WaitForFirstFragment
    pub fn hold(&mut self, from: u32, packet: &[u8], now: Instant) -> bool {
        if self.held.len() >= MOST_WAITING {
            return false;
        }

        self.held.push(Held {
            from,
            since: now,
            packet: packet.to_vec(),
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
        use crate::verdict::Verdict;

        self.held.retain(
            |held| match filter.arrives(rules, held.from, &held.packet, now) {
                Verdict::Pass => {
                    deliver(held.from, &held.packet);
                    false
                }
                Verdict::WaitForFirstFragment => now.saturating_duration_since(held.since) < WAIT,
                Verdict::Drop(_) | Verdict::Reject(_) => false,
            },
        );
    }
}
