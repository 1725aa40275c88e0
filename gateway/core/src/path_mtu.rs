//! [`PathMtu`]: the largest packet that reaches a peer whole, found by padded probes on the data
//! path (packetization layer path MTU discovery, RFC 8899). ICMP is neither needed nor believed.
//!
//! This file decides which probes are sent and what their echoes, or missing echoes, mean. The data
//! plane pads and seals them and sets Don't Fragment. The shell derives the routes' MTU from the
//! size. An echo is not padded, so each end measures its own direction.
//!
//! ```text
//!   Searching ── largest size echoed, or 3 rounds ──► Resting ── time to confirm ──► Confirming
//!    ▲   ▲                                              ▲                             │  │
//!    │   └─── a larger size is echoed ──────────────────┼─────────────────────────────┤  │ no echo
//!    │                                                  └──── size in use echoed ─────┤  ▼
//!    └─── 3 rounds in which small probes were echoed, the size in use was not ───── Doubting
//! ```
//! Sizes are those of whole outer IP packets, so that they do not depend on the address family.
//!
//! Loss alone must not lower the size (quinn#1540, quinn#2212). A round of doubt therefore counts
//! only if none of five padded probes was echoed and a small one, sent after them, was. At 15 %
//! loss each way that happens to one round in 650, and to three in a row once in 280 million.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The sizes to probe, ascending: the MTUs of common links less common tunnel overheads.
const SIZES: [u16; 18] = [
    SMALLEST, 1280, 1300, 1320, 1340, 1360, 1380, 1400, 1410, 1420, 1430, 1440, 1450, 1460, 1470,
    1480, 1492, LARGEST,
];

/// What QUIC's handshake needs: 1200 bytes behind UDP and IPv4 (RFC 9000, section 14).
const SMALLEST: u16 = 1228;

/// The size at the start and after a failure: every IPv6 path carries it (RFC 8200, section 5).
const BASE: u16 = 1280;

/// Ethernet's MTU. A link with a smaller one refuses the probe.
const LARGEST: u16 = 1500;

/// Time between the rounds of a search or a doubt.
const ROUND: Duration = Duration::from_millis(250);

/// Rounds of a search, and lost rounds that end a doubt.
const ROUNDS: u32 = 3;

/// Time between two confirmations of the size in use.
const CONFIRM: Duration = Duration::from_millis(2500);

/// Time between two probes for larger sizes.
const GROW: Duration = Duration::from_secs(10);

/// Padded probes in a round of doubt.
const DOUBT_PADDED: usize = 5;

/// Small probes in a round of doubt.
const DOUBT_SMALL: usize = 2;

/// Probes whose echo is still recognized.
const REMEMBERED: usize = 64;

/// The path MTU of one tunnel. It outlives the tunnel's sessions.
#[derive(Debug)]
pub(crate) struct PathMtu {
    size: u16,
    /// `size` was measured: a probe of it was echoed, or none of a larger one in a whole search.
    is_known: bool,
    stage: Stage,
    next: Instant,
    /// When larger sizes are probed again.
    grow_at: Instant,
    /// Probes without an echo, the oldest first.
    sent: VecDeque<PathProbe>,
}

/// One probe of the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathProbe {
    /// What the echo repeats.
    pub(crate) number: u64,
    /// Bytes of the whole packet; `None`: no padding.
    pub(crate) size: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All larger sizes were probed in this many rounds.
    Searching { rounds: u32 },
    /// No echo is expected.
    Resting,
    /// The size in use was probed.
    Confirming,
    /// The size in use was not echoed, nor in `lost` rounds after that.
    Doubting { lost: u32, small_echoed: bool },
}

impl PathMtu {
    /// Searches at once, from the size that every path is expected to carry.
    pub(crate) fn new(now: Instant) -> PathMtu {
        PathMtu {
            size: BASE,
            is_known: false,
            stage: Stage::Searching { rounds: 0 },
            next: now,
            grow_at: now,
            sent: VecDeque::new(),
        }
    }

    /// Bytes of the largest outer IP packet that is known to arrive.
    pub(crate) fn size(&self) -> u16 {
        self.size
    }

    /// The same, once it was measured and not only assumed.
    pub(crate) fn known(&self) -> Option<u16> {
        self.is_known.then_some(self.size)
    }

    /// When [`PathMtu::due_probes`] is to be called.
    pub(crate) fn deadline(&self) -> Instant {
        self.next
    }

    /// The path may be another one now: the size in use and larger ones are probed at once.
    pub(crate) fn path_changed(&mut self, now: Instant) {
        // Echoes of the old path say nothing about the new one.
        self.sent.clear();
        self.stage = match self.stage {
            Stage::Searching { .. } => Stage::Searching { rounds: 0 },
            _ => Stage::Resting,
        };
        self.next = now;
        self.grow_at = now;
    }

    /// The probes that are due, to be sent in this order; `number` gives each a number of its own.
    /// Lowers the size if the last rounds showed that it does not pass any more.
    pub(crate) fn due_probes(
        &mut self,
        mut number: impl FnMut() -> u64,
        now: Instant,
    ) -> Vec<PathProbe> {
        self.end_round(now);
        self.next = now + ROUND;

        let sizes = match &mut self.stage {
            Stage::Searching { rounds } => {
                *rounds += 1;
                self.larger().rev().map(Some).collect()
            }
            Stage::Resting => self.sizes_after_rest(now),
            // `end_round` has just turned it into a doubt.
            Stage::Confirming => Vec::new(),
            Stage::Doubting { .. } => {
                let mut sizes = vec![Some(self.size); DOUBT_PADDED];
                // The small ones last: in a queue on the path they stand behind the padded ones.
                sizes.extend([None; DOUBT_SMALL]);
                sizes
            }
        };

        let probes: Vec<PathProbe> = sizes
            .into_iter()
            .map(|size| PathProbe {
                number: number(),
                size,
            })
            .collect();
        self.sent.extend(&probes);
        let forgotten = self.sent.len().saturating_sub(REMEMBERED);
        self.sent.drain(..forgotten);
        probes
    }

    /// Takes an echo; false if it answers none of our recent probes.
    pub(crate) fn echoed(&mut self, number: u64, now: Instant) -> bool {
        let Some(at) = self.sent.iter().position(|probe| probe.number == number) else {
            return false;
        };

        match self.sent.remove(at).and_then(|probe| probe.size) {
            Some(size) if size > self.size => self.raise(size, now),
            Some(size) if size == self.size => self.confirm(now),
            // A smaller size says nothing: the size in use covers it.
            Some(_) => {}
            None => {
                if let Stage::Doubting { small_echoed, .. } = &mut self.stage {
                    *small_echoed = true;
                }
            }
        }
        true
    }

    /// Draws the conclusion from the round that is over.
    fn end_round(&mut self, now: Instant) {
        match self.stage {
            Stage::Searching { rounds: ROUNDS } => {
                self.grow_at = now + GROW;
                self.stage = Stage::Resting;
                self.is_known = true;
            }
            Stage::Confirming => {
                self.stage = Stage::Doubting {
                    lost: 0,
                    small_echoed: false,
                };
            }
            Stage::Doubting { lost, small_echoed } => {
                // Without an echo of a small probe either, the path may be down: the size is not at
                // fault.
                let lost = lost + u32::from(small_echoed);
                if lost == ROUNDS {
                    self.lower();
                } else {
                    self.stage = Stage::Doubting {
                        lost,
                        small_echoed: false,
                    };
                }
            }
            Stage::Searching { .. } | Stage::Resting => {}
        }
    }

    fn raise(&mut self, size: u16, now: Instant) {
        self.size = size;
        self.is_known = true;

        // Beyond the largest size there is nothing to search. A search under way continues.
        if size == LARGEST {
            self.rest(now);
        } else if !matches!(self.stage, Stage::Searching { .. }) {
            self.stage = Stage::Searching { rounds: 0 };
            self.next = now;
        }
    }

    fn confirm(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Confirming | Stage::Doubting { .. }) {
            self.rest(now);
        }
    }

    fn rest(&mut self, now: Instant) {
        self.stage = Stage::Resting;
        self.next = now + CONFIRM;
    }

    /// Falls back and searches again: earlier echoes of larger sizes say nothing about the path as
    /// it is.
    fn lower(&mut self) {
        self.size = if self.size > BASE { BASE } else { SMALLEST };
        self.stage = Stage::Searching { rounds: 0 };
        self.sent.clear();
    }

    /// The size in use; from time to time also the next larger one and the largest, of which one is
    /// echoed if the path carries more than before.
    fn sizes_after_rest(&mut self, now: Instant) -> Vec<Option<u16>> {
        let mut sizes = Vec::new();

        if self.grow_at <= now {
            self.grow_at = now + GROW;
            sizes.extend(self.larger().next().filter(|next| *next < LARGEST));
            sizes.extend(Some(LARGEST).filter(|largest| self.size < *largest));
        }

        // The smallest size needs no confirmation: without it there is no session.
        if self.size > SMALLEST {
            self.stage = Stage::Confirming;
            sizes.push(self.size);
        } else {
            self.next = now + CONFIRM;
        }
        sizes.into_iter().map(Some).collect()
    }

    fn larger(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        let size = self.size;
        SIZES.into_iter().filter(move |larger| *larger > size)
    }
}
