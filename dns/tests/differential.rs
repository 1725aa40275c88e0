//! Random zones and questions, to this server, to NSD and to Knot, all on loopback.
//!
//! ```text
//!   40 zones ──► NSD, Knot, Ringway ◄── the same question to each ── compared as sets of records
//! ```
//! An answer must be NSD's or Knot's: the two differ where the RFCs leave it open. Additional sections are
//! not compared (what they hold is each server's taste), nor an NS set beside an answer. At least
//! [`PAIRS`] questions, or as many as `RINGWAY_DNS_PAIRS` says; `RINGWAY_SEED` repeats a run.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "read/answer.rs"]
mod read;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use read::Answer;
use ringway_dns::rdata::kind;
use ringway_dns::{Acl, Name, Options, Server, Zone, Zones};
use tokio_util::sync::CancellationToken;

/// Question pairs (one with each of the two) of an ordinary run.
const PAIRS: usize = 20_000;
const ZONES: usize = 40;
/// Only a broken server makes a test wait this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A repeatable source of choices (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }

    /// Up to `most` labels, with a dot behind each; short of them, so that names meet.
    fn labels(&mut self, most: usize) -> String {
        (0..self.below(most + 1)).map(|_| format!("{}.", self.of(&["a", "b", "c", "a", "b", "*"]))).collect()
    }
}

fn apex(zone: usize) -> String {
    format!("z{zone}.test.")
}

/// A zone that all three load: no CNAME beside other data, no data below a DNAME, no delegation or DNAME at
/// a wildcard. Everything else is drawn.
fn zone_text(dice: &mut Dice, apex: &str) -> String {
    let mut text = format!("{apex} 5 IN SOA ns.{apex} h.{apex} 1 60 10 600 5\n{apex} 5 IN NS ns.{apex}\n");
    let mut owners: Vec<(String, &str)> = vec![(apex.into(), "SOA")];
    let below = |name: &str, above: &str| name.len() > above.len() && name.ends_with(&format!(".{above}"));
    for _ in 0..dice.below(25) {
        let owner = dice.labels(4) + apex;
        let kind = dice.of(&["A", "A", "A", "AAAA", "TXT", "MX", "CNAME", "CNAME", "DNAME", "NS"]);
        let here = |kinds: &[&str]| owners.iter().any(|(name, kind)| *name == owner && kinds.contains(kind));
        let renamed = owners.iter().any(|(name, kind)| *kind == "DNAME" && below(&owner, name));
        let taken = here(&["SOA", "A", "AAAA", "TXT", "MX", "CNAME", "DNAME", "NS"]);
        let lawful = !renamed
            && !here(&["CNAME", "DNAME"])
            && match kind {
                "CNAME" => !taken,
                "DNAME" => {
                    !taken && !owner.contains('*') && !owners.iter().any(|(name, _)| below(name, &owner))
                }
                "NS" => !here(&["SOA"]) && !owner.contains('*'),
                _ => true,
            };
        if !lawful {
            continue;
        }
        let target = dice.labels(3) + if dice.below(6) == 0 { "out.invalid." } else { apex };
        let data = match kind {
            "A" => format!("10.0.0.{}", dice.below(250)),
            "AAAA" => format!("fd00::{}", dice.below(250)),
            "TXT" => format!("\"t{}\"", dice.below(250)),
            "MX" => format!("1 {target}"),
            _ => target,
        };
        text += &format!("{owner} 5 IN {kind} {data}\n");
        owners.push((owner, kind));
    }
    text
}

/// A message, and how to say it in a report.
fn question(dice: &mut Dice, id: u16) -> (Vec<u8>, String) {
    let name = dice.labels(5) + &apex(dice.below(ZONES));
    let kinds = [kind::A, kind::AAAA, kind::TXT, kind::MX, kind::CNAME, kind::DNAME, kind::NS, kind::SOA];
    let kind = kinds[dice.below(kinds.len())];
    let header = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    let wire = Name::from_text(&name).unwrap();
    ([&header, wire.as_wire(), &kind.to_be_bytes(), &[0, 1]].concat(), format!("{name} type {kind}"))
}

/// A directory and the servers in it; dropped, they are gone.
struct Others {
    dir: PathBuf,
    servers: Vec<Child>,
}

impl Others {
    /// NSD and Knot with the zones in `dir`, and where they listen.
    fn start(dir: &Path) -> (Others, [SocketAddr; 2]) {
        let ports = [free_port(), free_port()];
        std::fs::write(dir.join("nsd.conf"), nsd_conf(dir, ports[0])).unwrap();
        std::fs::write(dir.join("knot.conf"), knot_conf(dir, ports[1])).unwrap();
        let mut others = Others { dir: dir.into(), servers: Vec::new() };
        for command in [&["nsd", "-d", "-c", "nsd.conf"][..], &["knotd", "-c", "knot.conf"]] {
            let log = std::fs::File::create(dir.join(format!("{}.out", command[0]))).unwrap();
            let mut server = Command::new(command[0]);
            server.args(&command[1..]).current_dir(dir).stdin(Stdio::null());
            let server = server.stdout(log.try_clone().unwrap()).stderr(log).spawn();
            others
                .servers
                .push(server.unwrap_or_else(|e| panic!("{}: {e}; install nsd and knot", command[0])));
        }
        (others, ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))))
    }

    fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        ["nsd.out", "nsd.log", "knotd.out"].map(read).join("\n")
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // SIGTERM: NSD's children end with it.
            let _ = Command::new("kill").arg(server.id().to_string()).status();
            let _ = server.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn nsd_conf(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let zones: String =
        (0..ZONES).map(|i| format!("zone:\n  name: \"{}\"\n  zonefile: \"zone{i}\"\n", apex(i))).collect();
    format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{dir}\"\n  \
         database: \"\"\n  pidfile: \"{dir}/nsd.pid\"\n  xfrdfile: \"{dir}/nsd.xfrd\"\n  xfrdir: \"{dir}\"\n  \
         zonelistfile: \"{dir}/nsd.list\"\n  logfile: \"{dir}/nsd.log\"\n  server-count: 1\n  rrl-ratelimit: 0\n\
         remote-control:\n  control-enable: no\n{zones}"
    )
}

fn knot_conf(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let zone = |i| format!("  - domain: {}\n    file: \"{dir}/zone{i}\"\n    zonefile-sync: -1\n", apex(i));
    let zones: String = (0..ZONES).map(zone).collect();
    format!(
        "server:\n    rundir: \"{dir}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    \
         background-workers: 1\nlog:\n  - target: stderr\n    any: warning\ndatabase:\n    storage: \"{dir}\"\n\
         zone:\n{zones}"
    )
}

/// The response to `message`, asked again until it comes with its id.
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

/// Every zone is loaded: each apex has its SOA.
fn loaded(socket: &UdpSocket, at: SocketAddr, others: &Others) {
    for zone in 0..ZONES {
        let name = Name::from_text(&apex(zone)).unwrap();
        let message =
            [&[0xff, zone as u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], name.as_wire(), &[0, 6, 0, 1]].concat();
        let begin = Instant::now();
        while ask(socket, at, &message).is_none_or(|response| Answer::read(&response).answer.is_empty()) {
            assert!(begin.elapsed() < PATIENCE, "{at} does not serve zone {zone}:\n{}", others.logs());
            std::thread::yield_now();
        }
    }
}

#[test]
fn random_zones_are_answered_as_nsd_or_knot_answer_them() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("RINGWAY_SEED").unwrap_or(0x5eed_0001).max(1);
    let pairs = number("RINGWAY_DNS_PAIRS").map_or(PAIRS, |pairs| pairs as usize);
    let mut dice = Dice(seed);
    let dir = std::env::temp_dir().join(format!("ringway-differential-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let zones = Arc::new(Zones::new());
    let apexes: Vec<_> = (0..ZONES).map(|i| apex(i).trim_end_matches('.').parse().unwrap()).collect();
    zones.set_expected(&apexes[0], &apexes);
    for i in 0..ZONES {
        let text = zone_text(&mut dice, &apex(i));
        std::fs::write(dir.join(format!("zone{i}")), &text).unwrap();
        zones.publish_own(Zone::from_text(&text, None).unwrap(), SystemTime::now()).unwrap();
    }
    let (others, [nsd, knot]) = Others::start(&dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let acl = Arc::new(ArcSwap::from_pointee(Acl::new(["127.0.0.0/8".parse().unwrap()])));
    let options = Options { rate: None, ..Options::default() };
    let listen = ["127.0.0.1:0".parse().unwrap()];
    let server = runtime.block_on(Server::bind_with(&listen, zones, acl, options)).unwrap();
    let ringway = server.addresses()[0];
    runtime.spawn(server.run(CancellationToken::new()));

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    [nsd, knot].iter().for_each(|at| loaded(&socket, *at, &others));
    let (mut strange, mut codes, mut apart) = (Vec::new(), BTreeSet::new(), [0, 0]);
    for i in 0..pairs {
        let (message, text) = question(&mut dice, i as u16);
        let [ours, nsd, knot] = [ringway, nsd, knot].map(|at| {
            let response = ask(&socket, at, &message);
            Answer::read(&response.unwrap_or_else(|| panic!("{at} does not answer:\n{}", others.logs())))
        });
        codes.insert(ours.rcode.clone());
        apart[0] += usize::from(ours != nsd);
        apart[1] += usize::from(ours != knot);
        if ours != nsd && ours != knot {
            strange.push(format!("{text}\n ours {ours:?}\n nsd  {nsd:?}\n knot {knot:?}"));
        }
    }
    runtime.shutdown_timeout(PATIENCE);
    println!("{pairs} pairs: {} unlike NSD, {} unlike Knot, codes {codes:?}", apart[0], apart[1]);
    assert!(codes.len() > 1, "the questions reach more than one kind of answer");
    let shown = strange.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        strange.is_empty(),
        "seed {seed}: {} of {pairs} are nobody else's answer:\n{shown}",
        strange.len()
    );
}
