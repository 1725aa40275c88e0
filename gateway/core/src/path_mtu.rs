//! [`PathMtu`]: the largest packet that the way to a peer carries whole, found by asking on the data path
//! (RFC 8899: ICMP is neither needed nor believed).
//!
//! Owns which padded probes go out, and what their echoes and their silence mean. Padding, sealing and the Don't
//! Fragment bit are the data plane's; what a size means for the packets inside is the shell's. An echo is
//! short: each end learns about its own direction.
//!
//! ```text
//!   Search ── the largest is echoed, or three rounds are over ──► Rest ── time to ask ──► Asked
//!    ▲  ▲                                                          ▲ ▲                     │ │ no echo
//!    │  └───────────── a larger size is echoed ────────────────────┼─┼─────────────────────┤ ▼
//!    │                                                             │ └─ the size in use ───┴ Doubt
//!    └── in three rounds, small probes passed and no padded one ───┼───── is echoed ─────────┘
//! ```
//! Sizes are those of whole outer IP packets, so that they do not depend on the address family.
//!
//! Loss alone lowers nothing (quinn#1540, quinn#2212): a round of doubt counts only if none of five padded
//! probes came back and a small one, sent after them, did. At 15 % loss each way that happens to one round
//! in 650, and to three in a row once in 280 million.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is asked for, ascending: the links and tunnels that there are.
const SIZES: [u16; 18] = [
    SMALLEST, 1280, 1300, 1320, 1340, 1360, 1380, 1400, 1410, 1420, 1430, 1440, 1450, 1460, 1470,
    1480, 1492, LARGEST,
];

/// What the handshake's own packets need: 1200 bytes behind UDP and IPv4 (RFC 9000, section 14).
const SMALLEST: u16 = 1228;

/// The size to start with, and to fall back to: every IPv6 path carries it (RFC 8200, section 5).
const BASE: u16 = 1280;

/// Ethernet's; a link that takes less refuses the probe.
const LARGEST: u16 = 1500;

/// Time between the rounds of a search or a doubt.
const ROUND: Duration = Duration::from_millis(250);

/// Rounds of a search, and lost rounds that end a doubt.
const ROUNDS: u32 = 3;

/// How often the size in use is asked for.
const CONFIRM: Duration = Duration::from_millis(2500);

/// How often larger sizes are asked for.
const GROW: Duration = Duration::from_secs(10);

/// Padded and small probes in a round of doubt.
const DOUBTED: (usize, usize) = (5, 2);

/// Probes whose echo still counts.
const REMEMBERED: usize = 64;

/// The path MTU of one tunnel. It outlives the tunnel's sessions.
#[derive(Debug)]
pub(crate) struct PathMtu {
    size: u16,
    stage: Stage,
    next: Instant,
    /// When to ask for larger sizes again.
    grow_at: Instant,
    /// Unanswered probes; the small ones have no size.
    sent: VecDeque<(u64, Option<u16>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All larger sizes were asked for so many times.
    Search { rounds: u32 },
    /// Nothing is awaited.
    Rest,
    /// The size in use was asked for.
    Asked,
    /// It was not echoed, nor in so many rounds more.
    Doubt { lost: u32, small_passed: bool },
}

impl PathMtu {
    /// Starts to search at once, from the size that every path should carry.
    pub(crate) fn new(now: Instant) -> PathMtu {
        let stage = Stage::Search { rounds: 0 };
        PathMtu {
            size: BASE,
            stage,
            next: now,
            grow_at: now,
            sent: VecDeque::new(),
        }
    }

    /// Bytes of the largest outer IP packet that is known to pass.
    pub(crate) fn size(&self) -> u16 {
        self.size
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Instant {
        self.next
    }

    /// The way may be another one now: asks at once whether the size in use still passes, and larger ones.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.sent.clear();
        self.stage = match self.stage {
            Stage::Search { .. } => Stage::Search { rounds: 0 },
            _ => Stage::Rest,
        };
        (self.next, self.grow_at) = (now, now);
    }

    /// What is to be sent now that something is due, in this order; `number` gives each probe its own. A size
    /// is that of the whole packet; small probes have none. Lowers the size if it has to.
    pub(crate) fn round(
        &mut self,
        mut number: impl FnMut() -> u64,
        now: Instant,
    ) -> Vec<(u64, Option<u16>)> {
        self.judge(now);
        self.next = now + ROUND;
        let sizes = match &mut self.stage {
            Stage::Search { rounds } => {
                *rounds += 1;
                self.larger().rev().map(Some).collect()
            }
            Stage::Rest => self.ask(now),
            Stage::Asked => Vec::new(),
            // The small ones last: where packets queue, they pass behind the padded ones.
            Stage::Doubt { .. } => [vec![Some(self.size); DOUBTED.0], vec![None; DOUBTED.1]]
                .into_iter()
                .flatten()
                .collect(),
        };
        let probes: Vec<_> = sizes.into_iter().map(|size| (number(), size)).collect();
        self.sent.extend(&probes);
        self.sent
            .drain(..self.sent.len().saturating_sub(REMEMBERED));
        probes
    }

    /// An echo came; false if it answers none of our recent probes.
    pub(crate) fn echoed(&mut self, number: u64, now: Instant) -> bool {
        let Some(at) = self.sent.iter().position(|(sent, _)| *sent == number) else {
            return false;
        };
        match self.sent.remove(at).and_then(|(_, size)| size) {
            Some(size) if size > self.size => self.raise(size, now),
            Some(size) if size == self.size => self.confirm(now),
            Some(_) => {}
            None => {
                if let Stage::Doubt { small_passed, .. } = &mut self.stage {
                    *small_passed = true;
                }
            }
        }
        true
    }

    /// What the round that is over says.
    fn judge(&mut self, now: Instant) {
        self.stage = match self.stage {
            Stage::Search { rounds: ROUNDS } => {
                self.grow_at = now + GROW;
                Stage::Rest
            }
            Stage::Asked => Stage::Doubt {
                lost: 0,
                small_passed: false,
            },
            Stage::Doubt { lost, small_passed } => match lost + u32::from(small_passed) {
                ROUNDS => return self.lower(),
                lost => Stage::Doubt {
                    lost,
                    small_passed: false,
                },
            },
            stage => stage,
        };
    }

    fn raise(&mut self, size: u16, now: Instant) {
        self.size = size;
        match self.stage {
            _ if size == LARGEST => self.rest(now),
            Stage::Search { .. } => {}
            _ => (self.stage, self.next) = (Stage::Search { rounds: 0 }, now),
        }
    }

    fn confirm(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Asked | Stage::Doubt { .. }) {
            self.rest(now);
        }
    }

    fn rest(&mut self, now: Instant) {
        (self.stage, self.next) = (Stage::Rest, now + CONFIRM);
    }

    /// What was asked for larger sizes before says nothing about the way as it is now.
    fn lower(&mut self) {
        self.size = if self.size > BASE { BASE } else { SMALLEST };
        self.stage = Stage::Search { rounds: 0 };
        self.sent.clear();
    }

    /// Asks for the size in use; from time to time also for the next one and for the largest, one of which
    /// passes when the way has grown.
    fn ask(&mut self, now: Instant) -> Vec<Option<u16>> {
        let mut sizes = Vec::new();
        if self.grow_at <= now {
            self.grow_at = now + GROW;
            sizes.extend(
                self.larger()
                    .next()
                    .filter(|next| *next < LARGEST)
                    .map(Some),
            );
            sizes.extend((self.size < LARGEST).then_some(Some(LARGEST)));
        }
        // What the handshake needs passes, or there is no session.
        match self.size > SMALLEST {
            true => {
                self.stage = Stage::Asked;
                sizes.push(Some(self.size));
            }
            false => self.next = now + CONFIRM,
        }
        sizes
    }

    fn larger(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        let size = self.size;
        SIZES.into_iter().filter(move |larger| *larger > size)
    }
}
