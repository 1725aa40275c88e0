//! [`Counters`]: what the server has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::answer::{Outcome, Transport};

/// Codes that are counted one by one; BADVERS is the highest we give.
const RCODES: usize = 17;

/// Counts since the server was bound. Each is read on its own: sums may be off by what is in flight.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages over UDP from those who may ask.
    pub udp: Count,
    /// Messages over TCP from those who may ask.
    pub tcp: Count,
    /// Datagrams dropped and connections closed because the asker may not ask.
    pub foreign: Count,
    /// Messages that are never answered: responses, fragments of a header.
    pub silent: Count,
    /// Messages over UDP whose network had had its share of answers.
    pub limited: Count,
    /// Answers that the socket's full buffer swallowed.
    pub unsent: Count,
    /// TCP connections closed, the longest silent ones, to make room for others.
    pub crowded: Count,
    rcodes: [Count; RCODES],
}

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counters {
    /// Answers with this response code.
    pub fn answered(&self, rcode: u16) -> u64 {
        self.rcodes.get(usize::from(rcode)).map_or(0, Count::get)
    }

    /// An answer that others had to be asked for.
    pub(super) fn count_late(&self, outcome: Outcome) {
        if let Outcome::Answered(rcode) = outcome {
            self.count_code(rcode);
        }
    }

    /// Codes that are not counted one by one are not counted.
    fn count_code(&self, rcode: u16) {
        if let Some(count) = self.rcodes.get(usize::from(rcode)) {
            count.add();
        }
    }

    pub(super) fn count(&self, transport: Transport, outcome: Outcome) {
        match transport {
            Transport::Udp => self.udp.add(),
            Transport::Tcp => self.tcp.add(),
        }
        match outcome {
            Outcome::Silent => self.silent.add(),
            // Counted when others have answered ([`Counters::count_late`]).
            Outcome::Elsewhere => {}
            Outcome::Limited { .. } => self.limited.add(),
            Outcome::Answered(rcode) => self.count_code(rcode),
        }
    }
}
