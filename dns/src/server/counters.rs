//! [`Counters`]: what the server has done so far. Arrays of atomics, with one index per label, so
//! that counting costs a few additions; the reader adds the label texts.

use std::iter::once;
use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Histogram;
use crate::acl::Locality;
use crate::answer::{Client, Outcome, Transport, qtype_of};
use crate::rdata::kind;

/// Response codes that are counted one by one (IANA, DNS RCODEs). BADVERS is the highest that we
/// send.
const RCODES: [&str; 17] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE", "11", "12", "13", "14", "15", "BADVERS",
];

/// Question types that are counted one by one, the most frequent first.
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
/// Label of all other types and codes together.
const OTHER: &str = "other";

/// Labels of [`Transport`], in the order of its variants.
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

/// Counts by locality, transport, and a third label with `N` values.
type Table<const N: usize> = [[[Count; N]; TRANSPORTS.len()]; Locality::ALL.len()];

/// Counts since the server was bound. Each is read by itself, so sums may differ by queries that
/// are being answered.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages over UDP from clients that the ACL admits.
    pub udp: Count,
    /// Messages over TCP from clients that the ACL admits.
    pub tcp: Count,
    /// Datagrams dropped and connections closed because the ACL does not admit the client.
    pub foreign: Count,
    /// Messages that are never answered: responses, and messages too short for a header.
    pub silent: Count,
    /// Queries over UDP above the client's rate that were dropped.
    pub dropped: Count,
    /// Queries over UDP above the client's rate that got a truncated response without records.
    pub truncated: Count,
    /// Responses over UDP that the socket did not accept: its send buffer was full, or sending
    /// failed.
    pub unsent: Count,
    /// TCP connections closed for a new one, because there were too many.
    pub crowded: Count,
    /// Time from the receipt of a query over UDP to the sending of its response: a sample.
    pub latency: Histogram,
    /// Time from the receipt of a forwarded query to its response: every one.
    pub forwarded: Histogram,
    questions: Table<{ KINDS.len() + 1 }>,
    answers: Table<{ RCODES.len() + 1 }>,
}

/// One query of so many has its latency measured: reading the clock costs more than counting.
pub(super) const SAMPLE: u32 = 16;

/// One counter, which only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The value at this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, many: u32) {
        // Counters are independent of each other and of other data: no ordering is needed.
        self.0.fetch_add(many.into(), Ordering::Relaxed);
    }
}

/// A count and its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Where the client is: `site` or `mesh`.
    pub locality: &'static str,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The question's type, or the response code.
    pub what: &'static str,
    /// At least 1.
    pub count: u64,
}

impl Counters {
    /// The number of responses with this response code, over all clients and transports.
    pub fn answered(&self, rcode: u16) -> u64 {
        self.answers
            .iter()
            .flatten()
            .filter_map(|counts| counts.get(usize::from(rcode)))
            .map(Count::get)
            .sum()
    }

    /// Questions by locality, transport and type, without those that are 0.
    pub fn questions(&self) -> impl Iterator<Item = Counted> {
        let labels = KINDS.iter().map(|(_, mnemonic)| *mnemonic);
        counted(&self.questions, labels.chain(once(OTHER)))
    }

    /// Answers by locality, transport and response code, without those that are 0.
    pub fn answers(&self) -> impl Iterator<Item = Counted> {
        counted(&self.answers, RCODES.into_iter().chain(once(OTHER)))
    }

    /// Counts the answer to a forwarded query.
    pub(super) fn count_forwarded(&self, client: Client, outcome: &Outcome) {
        if let Outcome::Answered(rcode) = outcome {
            self.count_answer(client, *rcode);
        }
    }

    /// Counts `message` from `client`, and its outcome.
    pub(super) fn count(&self, client: Client, message: &[u8], outcome: &Outcome) {
        match client.transport {
            Transport::Udp => self.udp.add(),
            Transport::Tcp => self.tcp.add(),
        }

        match outcome {
            Outcome::Silent => return self.silent.add(),
            // Its answer is counted when a resolver has responded.
            Outcome::Forward(_) => {}
            Outcome::Truncated => self.truncated.add(),
            Outcome::Dropped => self.dropped.add(),
            Outcome::Answered(rcode) => self.count_answer(client, *rcode),
        }

        // The frequent types come first, so a linear search is short.
        let qtype = qtype_of(message);
        let kind = KINDS
            .iter()
            .position(|(kind, _)| Some(*kind) == qtype)
            .unwrap_or(KINDS.len());
        self.questions[client.locality as usize][client.transport as usize][kind].add();
    }

    fn count_answer(&self, client: Client, rcode: u16) {
        let rcode = usize::from(rcode).min(RCODES.len());
        self.answers[client.locality as usize][client.transport as usize][rcode].add();
    }
}

/// The counts of `table` that are not 0, with `labels` for its last dimension.
fn counted<const N: usize>(
    table: &Table<N>,
    labels: impl Iterator<Item = &'static str>,
) -> impl Iterator<Item = Counted> {
    // Runs once per scrape, so it may allocate.
    let labels: Vec<_> = labels.collect();
    let mut all = Vec::new();

    for (locality, by_transport) in Locality::ALL.into_iter().zip(table) {
        for (transport, counts) in TRANSPORTS.into_iter().zip(by_transport) {
            for (what, count) in labels.iter().zip(counts) {
                all.push(Counted {
                    locality: locality.as_str(),
                    transport,
                    what,
                    count: count.get(),
                });
            }
        }
    }

    all.into_iter().filter(|counted| counted.count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(locality: Locality) -> Client {
        Client {
            address: [10, 0, 0, 1].into(),
            locality,
            transport: Transport::Udp,
        }
    }

    /// A message with a question of this type.
    fn message(kind: u8) -> Vec<u8> {
        [&[0; 12][..], b"\x01a\x00", &[0, kind, 0, 1]].concat()
    }

    fn lines(counted: impl Iterator<Item = Counted>) -> Vec<String> {
        counted
            .map(|c| format!("{} {} {} {}", c.locality, c.transport, c.what, c.count))
            .collect()
    }

    #[test]
    fn counts_by_locality_transport_and_type_or_code() {
        let counters = Counters::default();
        let site = client(Locality::Site);
        let mesh = client(Locality::Mesh);
        counters.count(site, &message(1), &Outcome::Answered(0));
        counters.count(mesh, &message(99), &Outcome::Answered(3));
        counters.count(mesh, b"short", &Outcome::Silent);
        counters.count(mesh, &[0; 14], &Outcome::Answered(999));

        assert_eq!(
            lines(counters.questions()),
            ["site udp A 1", "mesh udp other 2"]
        );
        assert_eq!(
            lines(counters.answers()),
            [
                "site udp NOERROR 1",
                "mesh udp NXDOMAIN 1",
                "mesh udp other 1"
            ]
        );
        assert_eq!(counters.udp.get(), 4);
        assert_eq!(counters.silent.get(), 1);
        assert_eq!(counters.answered(3), 1);
    }

    #[test]
    fn the_labels_of_transports_follow_the_order_of_the_variants() {
        assert_eq!(TRANSPORTS[Transport::Udp as usize], "udp");
        assert_eq!(TRANSPORTS[Transport::Tcp as usize], "tcp");
    }
}
