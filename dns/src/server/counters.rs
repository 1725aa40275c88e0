//! [`Counters`]: what the server has done so far. Arrays of atomics with an index for each label: counting
//! costs a few additions, and whoever reads puts the words to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::acl::Class;
use crate::answer::{Asker, Outcome, Transport, qtype_of};
use crate::rdata::kind;

/// Codes that are counted one by one; BADVERS is the highest we give.
const RCODES: [&str; 17] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE", "11", "12", "13", "14", "15", "BADVERS",
];

/// Question types that are counted one by one, the usual ones first.
const KINDS: [(u16, &str); 15] = [
    (kind::A, "A"),
    (kind::AAAA, "AAAA"),
    (kind::HTTPS, "HTTPS"),
    (kind::SRV, "SRV"),
    (kind::PTR, "PTR"),
    (kind::SOA, "SOA"),
    (kind::NS, "NS"),
    (kind::TXT, "TXT"),
    (kind::CNAME, "CNAME"),
    (kind::MX, "MX"),
    (kind::SVCB, "SVCB"),
    (kind::NAPTR, "NAPTR"),
    (kind::DS, "DS"),
    (kind::DNAME, "DNAME"),
    (kind::ANY, "ANY"),
];
/// All others together.
const OTHER: &str = "other";

const TRANSPORTS: [(Transport, &str); 2] = [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")];

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
    /// Messages over UDP whose network had had its share of answers, and which were dropped.
    pub limited: Count,
    /// The same, told to ask over TCP.
    pub cut: Count,
    /// Answers that the socket's full buffer swallowed.
    pub unsent: Count,
    /// TCP connections closed, the longest silent ones, to make room for others.
    pub crowded: Count,
    /// From the receipt of a message to its answer's sending: one message in some.
    pub latency: Histogram,
    /// The same where others were asked: all.
    pub forwarded: Histogram,
    questions: [[[Count; KINDS.len() + 1]; TRANSPORTS.len()]; Class::ALL.len()],
    answers: [[[Count; RCODES.len() + 1]; TRANSPORTS.len()]; Class::ALL.len()],
}

/// One message in so many has its latency measured: reading the clock costs more than counting.
pub(super) const SAMPLE: u32 = 16;

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, many: u32) {
        self.0.fetch_add(many.into(), Ordering::Relaxed);
    }
}

/// A count, and the words for what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Who asked.
    pub class: &'static str,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The question's type, or the answer's code.
    pub what: &'static str,
    /// How often.
    pub count: u64,
}

impl Counters {
    /// Answers with this response code.
    pub fn answered(&self, rcode: u16) -> u64 {
        let all = self.answers.iter().flatten();
        all.filter_map(|counts| counts.get(usize::from(rcode)))
            .map(Count::get)
            .sum()
    }

    /// Questions by asker, transport and type; those that never came are left out.
    pub fn questions(&self) -> impl Iterator<Item = Counted> {
        let words = KINDS.iter().map(|(_, text)| *text).chain([OTHER]);
        counted(&self.questions, words)
    }

    /// Answers by asker, transport and code; those that were never given are left out.
    pub fn answers(&self) -> impl Iterator<Item = Counted> {
        counted(&self.answers, RCODES.into_iter().chain([OTHER]))
    }

    /// An answer that others had to be asked for.
    pub(super) fn count_late(&self, asker: &Asker<'_>, outcome: Outcome) {
        if let Outcome::Answered(rcode) = outcome {
            let rcode = usize::from(rcode).min(RCODES.len());
            self.answers[asker.class as usize][asker.transport as usize][rcode].add();
        }
    }

    /// `message` came of `asker`, and what became of it.
    pub(super) fn count(&self, asker: &Asker<'_>, message: &[u8], outcome: Outcome) {
        match asker.transport {
            Transport::Udp => self.udp.add(),
            Transport::Tcp => self.tcp.add(),
        }
        if outcome != Outcome::Silent {
            let is = |known: &(u16, _)| Some(known.0) == qtype_of(message);
            let kind = KINDS.iter().position(is).unwrap_or(KINDS.len());
            self.questions[asker.class as usize][asker.transport as usize][kind].add();
        }
        match outcome {
            Outcome::Silent => self.silent.add(),
            // Counted when others have answered.
            Outcome::Elsewhere => {}
            Outcome::Limited { told: true } => self.cut.add(),
            Outcome::Limited { told: false } => self.limited.add(),
            Outcome::Answered(_) => self.count_late(asker, outcome),
        }
    }
}

fn counted<const N: usize>(
    counts: &[[[Count; N]; 2]; 2],
    words: impl Iterator<Item = &'static str> + Clone,
) -> impl Iterator<Item = Counted> {
    let classes = Class::ALL.into_iter().zip(counts);
    classes.flat_map(move |(class, counts)| {
        let words = words.clone();
        TRANSPORTS
            .into_iter()
            .zip(counts)
            .flat_map(move |((_, transport), counts)| {
                let all = words
                    .clone()
                    .zip(counts)
                    .map(|(what, count)| (what, count.get()));
                all.filter(|(_, count)| *count > 0)
                    .map(move |(what, count)| Counted {
                        class: class.as_str(),
                        transport,
                        what,
                        count,
                    })
            })
    })
}

/// Upper bounds of the buckets of a [`Histogram`], in microseconds.
pub const BUCKETS: [u64; 16] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// How long something took, how often.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Count; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    pub(super) fn add(&self, elapsed: Duration) {
        let micros = elapsed.as_micros() as u64;
        self.counts[BUCKETS.partition_point(|bound| *bound < micros)].add();
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum in seconds, and the count of each bucket, not accumulated; the last has no bound.
    pub fn get(&self) -> (f64, [u64; BUCKETS.len() + 1]) {
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        (sum, std::array::from_fn(|i| self.counts[i].get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(class: Class) -> Asker<'static> {
        let address = [10, 0, 0, 1].into();
        Asker {
            address,
            class,
            transport: Transport::Udp,
            now: 0,
            cookies: None,
            nsid: &[],
            forwards: false,
        }
    }

    #[test]
    fn messages_are_counted_by_asker_transport_type_and_code_and_strange_ones_together() {
        let counters = Counters::default();
        let question = |kind: u8| [&[0; 12][..], b"\x01a\x00", &[0, kind, 0, 1]].concat();
        counters.count(&asker(Class::Site), &question(1), Outcome::Answered(0));
        counters.count(&asker(Class::Mesh), &question(99), Outcome::Answered(3));
        counters.count(&asker(Class::Mesh), b"short", Outcome::Silent);
        counters.count(&asker(Class::Mesh), &[0; 14], Outcome::Answered(999));
        let words = |counted: Counted| {
            (
                counted.class,
                counted.transport,
                counted.what,
                counted.count,
            )
        };
        let questions: Vec<_> = counters.questions().map(words).collect();
        assert_eq!(
            questions,
            [("site", "udp", "A", 1), ("mesh", "udp", "other", 2)]
        );
        let answers: Vec<_> = counters.answers().map(words).collect();
        let expected = [
            ("site", "udp", "NOERROR", 1),
            ("mesh", "udp", "NXDOMAIN", 1),
            ("mesh", "udp", "other", 1),
        ];
        assert_eq!(answers, expected);
        assert_eq!(
            (
                counters.udp.get(),
                counters.silent.get(),
                counters.answered(3)
            ),
            (4, 1, 1)
        );
    }

    #[test]
    fn a_time_falls_into_the_bucket_that_bounds_it() {
        let histogram = Histogram::default();
        for micros in [0, 5, 6, 5_000_000, 5_000_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let (sum, counts) = histogram.get();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert!((sum - 10.000012).abs() < 1e-9);
    }
}
