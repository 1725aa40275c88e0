//! Random questions about random zones, to this server, to NSD and to Knot, all on loopback.
//!
//! ```text
//!   40 zones ──► NSD, Knot, Ringway ◄── the same question to each ── compared as sets of records
//! ```
//! All sections are compared, as sets. Where the RFCs leave room, NSD and Knot differ: a difference
//! must be one of those in `known`, or the test fails. Each server gets [`PAIRS`] questions, or as
//! many as `RINGWAY_DNS_PAIRS` says, with new zones every [`ROUND`] questions. `RINGWAY_SEED`
//! repeats a run.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod draw;
mod known;
#[path = "../read/answer.rs"]
mod read;
mod reference;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use draw::{Rng, ZONES, apex, message, question, zone_text};
use known::{Facts, Server as Other, explained};
use read::Answer;
use reference::ReferenceServers;
use ringway_dns::rdata::kind;
use ringway_dns::{Acl, Options, Rate, Server, Zone, Zones};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Questions of an ordinary run.
const PAIRS: usize = 20_000;
/// Questions about one set of zones.
const ROUND: usize = 5_000;
/// How long a test waits for a server that is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// The response to `message`, which is repeated until a response with its ID arrives.
fn ask(socket: &UdpSocket, at: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    let begin = Instant::now();
    let mut buffer = [0; 4096];
    while begin.elapsed() < PATIENCE {
        let _ = socket.send_to(message, at);
        while let Ok(len) = socket.recv(&mut buffer) {
            if len >= 12 && buffer[..2] == message[..2] {
                return Some(buffer[..len].to_vec());
            }
        }
    }
    None
}

/// Waits until the server has loaded every zone, that is, returns its SOA record.
fn wait_until_loaded(socket: &UdpSocket, at: SocketAddr, reference: &ReferenceServers) {
    for zone in 0..ZONES {
        let message = message(0xff00 | zone as u16, &apex(zone), kind::SOA);
        let begin = Instant::now();
        while ask(socket, at, &message)
            .is_none_or(|response| Answer::read(&response).answer.is_empty())
        {
            assert!(
                begin.elapsed() < PATIENCE,
                "{at} does not serve zone {zone}:\n{}",
                reference.logs()
            );
            std::thread::yield_now();
        }
    }
}

/// One set of zones on three servers.
struct Round {
    reference: ReferenceServers,
    runtime: Runtime,
    /// Ours, NSD's, Knot's.
    servers: [SocketAddr; 3],
    facts: Facts,
    socket: UdpSocket,
}

impl Round {
    fn start(rng: &mut Rng, dir: &Path) -> Round {
        std::fs::create_dir_all(dir).unwrap();
        let zones = Arc::new(Zones::new());
        let apexes: Vec<_> = (0..ZONES)
            .map(|i| apex(i).trim_end_matches('.').parse().unwrap())
            .collect();
        zones.set_expected(&apexes[0], &apexes);
        let mut facts = Facts::default();
        for i in 0..ZONES {
            let text = zone_text(rng, &apex(i));
            facts.add(&apex(i), &text);
            std::fs::write(dir.join(format!("zone{i}")), &text).unwrap();
            zones
                .publish(Zone::from_text(&text, None).unwrap(), SystemTime::now())
                .unwrap();
        }
        let (reference, [nsd, knot]) = ReferenceServers::start(dir);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let acl = Arc::new(ArcSwap::from_pointee(Acl::new(["127.0.0.0/8"
            .parse()
            .unwrap()])));
        let options = Options {
            rate: Arc::new(ArcSwap::from_pointee(Rate::of(0, 0))),
            ..Options::default()
        };
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let server = runtime
            .block_on(Server::bind_with(&listen, zones, acl, options))
            .unwrap();
        let servers = [server.addresses()[0], nsd, knot];
        runtime.spawn(server.run(CancellationToken::new()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        for at in servers {
            wait_until_loaded(&socket, at, &reference);
        }
        Round {
            reference,
            runtime,
            servers,
            facts,
            socket,
        }
    }

    /// The answer of each server, ours first.
    fn ask(&self, message: &[u8]) -> [Answer; 3] {
        self.servers.map(|at| {
            let response = ask(&self.socket, at, message);
            Answer::read(
                &response
                    .unwrap_or_else(|| panic!("{at} does not answer:\n{}", self.reference.logs())),
            )
        })
    }
}

/// The results of a run.
#[derive(Default)]
struct Tally {
    codes: BTreeMap<String, usize>,
    /// Answers with a DNAME.
    renames: usize,
    referrals: usize,
    referrals_with_glue: usize,
    known: BTreeMap<(Other, &'static str), usize>,
    unexplained: Vec<String>,
}

impl Tally {
    fn count(&mut self, question: &str, [ours, nsd, knot]: [Answer; 3], facts: &Facts) {
        *self.codes.entry(ours.rcode.clone()).or_default() += 1;
        let mut records = ours.answer.iter();
        if records.any(|record| record.contains(" in dname ")) {
            self.renames += 1;
        }
        if !ours.authoritative && !ours.authority.is_empty() {
            self.referrals += 1;
            self.referrals_with_glue += usize::from(!ours.additional.is_empty());
        }

        for (other, theirs) in [(Other::Nsd, nsd), (Other::Knot, knot)] {
            if ours == theirs {
                continue;
            }
            match explained(other, &ours, &theirs, facts) {
                Some(names) => {
                    for name in names {
                        *self.known.entry((other, name)).or_default() += 1;
                    }
                }
                None => self
                    .unexplained
                    .push(format!("{question}\n ours {ours:?}\n {other:?} {theirs:?}")),
            }
        }
    }
}

#[test]
fn answers_are_those_of_nsd_and_knot_except_for_known_differences() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seed = number("RINGWAY_SEED").unwrap_or(0x5eed_0001);
    let pairs = number("RINGWAY_DNS_PAIRS").map_or(PAIRS, |pairs| pairs as usize);
    let mut rng = Rng::new(seed);
    let mut tally = Tally::default();
    for round in 0..pairs.div_ceil(ROUND) {
        let dir = std::env::temp_dir().join(format!(
            "ringway-differential-{}-{round}",
            std::process::id()
        ));
        let servers = Round::start(&mut rng, &dir);
        for i in 0..ROUND.min(pairs - round * ROUND) {
            let (message, text) = question(&mut rng, i as u16);
            tally.count(&text, servers.ask(&message), &servers.facts);
        }
        servers.runtime.shutdown_timeout(PATIENCE);
    }

    let Tally {
        codes,
        renames,
        referrals,
        referrals_with_glue,
        known,
        unexplained,
    } = tally;
    println!(
        "{pairs} questions: {codes:?}; {renames} renamed, {referrals} referrals, \
         {referrals_with_glue} of them with glue; known differences {known:?}"
    );
    assert!(codes.len() > 2, "too few response codes");
    assert!(
        renames > 0 && referrals_with_glue > 0,
        "too few kinds of answers"
    );
    let count = unexplained.len();
    let first = unexplained[..count.min(5)].join("\n");
    assert_eq!(
        count, 0,
        "seed {seed}: {count} of {pairs} answers differ without a known reason:\n{first}"
    );
}
