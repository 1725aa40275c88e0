//! CPU time of one verdict: small packets of flows that are known, and of others, among 100,000
//! flows and 300 sites. `beside` is the second packet of a flow in a batch; `siphash` is a known
//! function in the same run: on a busy machine, compare with it.
//!
//! ```text
//! cargo bench -p ringway-filter
//! ```
//! `cargo test` runs each once.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ringway_config::{Allow, Origin, Place, Policy, PortRange, Prefix, Service, Target};
use ringway_filter::{
    Filter, FilterCache, Neighbour, Reason, RemoteSite, Rules, RulesSpec, Settings, Verdict,
};
use siphasher::sip::SipHasher13;

const SITES: u32 = 300;
const HOSTS: u32 = 500;
const PORTS: u16 = 200;
const SYN: u8 = 2;
const ACK: u8 = 16;

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn spec() -> RulesSpec {
    let allow = Allow {
        from: vec![Origin::All],
        to: vec![
            Target::Prefix(prefix("10.0.0.0/16")),
            Target::Prefix(prefix("fd00::/48")),
        ],
        services: vec![Service::Tcp(vec![PortRange {
            first: 7050,
            last: 7054,
        }])],
        place: Place::whole(Path::new("gateway.toml")),
    };
    let sites = (1..=SITES).map(|number| RemoteSite {
        number,
        org: format!("org{number}").parse().expect("a name"),
        site: "east".parse().expect("a name"),
        prefixes: vec![
            Prefix::holding(remote(false, number, 0), 24).expect("a prefix"),
            Prefix::holding(remote(true, number, 0), 64).expect("a prefix"),
        ],
        has_gateways: true,
        via: None,
    });

    RulesSpec {
        policy: Policy {
            allow: Some(vec![allow]),
            ..Policy::default()
        },
        former: Vec::new(),
        site: 0,
        own: vec![prefix("10.0.0.0/16"), prefix("fd00::/48")],
        sites: sites.collect(),
        names: BTreeMap::new(),
        dns: Vec::new(),
        gateway: Vec::new(),
        tunnel_port: 4600,
    }
}

fn local(v6: bool, host: u32) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(host)).into()
    } else {
        Ipv4Addr::from_bits(10 << 24 | host).into()
    }
}

fn remote(v6: bool, site: u32, host: u32) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(0xfd01 << 112 | u128::from(site) << 64 | u128::from(host)).into()
    } else {
        Ipv4Addr::from_bits(10 << 24 | 1 << 23 | site << 8 | host).into()
    }
}

/// A TCP segment of 64 bytes.
fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16), flags: u8) -> Vec<u8> {
    let mut packet = match (source.0, destination.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut packet = vec![0x45, 0, 0, 64, 0, 0, 0x40, 0, 64, 6, 0, 0];
            packet.extend(source.octets());
            packet.extend(destination.octets());
            packet
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut packet = vec![0x60, 0, 0, 0, 0, 24, 6, 64];
            packet.extend(source.octets());
            packet.extend(destination.octets());
            packet
        }
        _ => unreachable!("one family"),
    };
    packet.extend(source.1.to_be_bytes());
    packet.extend(destination.1.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    packet.resize(64, 0);
    packet
}

/// A datagram of UDP, in a packet of 64 bytes.
fn udp(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Vec<u8> {
    let mut packet = tcp(source, destination, 0);
    let (protocol_at, header_len) = if source.0.is_ipv4() { (9, 20) } else { (6, 40) };
    packet[protocol_at] = 17;
    let length = (packet.len() - header_len) as u16;
    packet[header_len + 4..header_len + 6].copy_from_slice(&length.to_be_bytes());
    packet
}

struct Bench {
    filter: Filter,
    rules: Rules,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        let began = Instant::now();
        let spec = spec();
        let bench = Bench {
            filter: Filter::new(&Settings::of(&spec.policy), [7; 16], began),
            rules: Rules::compile(&spec),
            now: began + Duration::from_secs(1000),
        };

        for host in 0..HOSTS {
            for port in 0..PORTS {
                let syn = tcp(
                    (local(false, host), 40_000 + port),
                    (remote(false, 1 + host % SITES, 9), 443),
                    SYN,
                );
                assert_eq!(bench.leaves(&syn), Verdict::Pass);
            }
        }
        bench
    }

    fn arrives(&self, cache: &mut FilterCache, site: u32, packet: &[u8]) -> Verdict {
        let filter = &self.filter;
        filter.arrives_by(cache, &self.rules, site, packet, self.now)
    }

    fn arrives_beside<'b>(&'b self, last: &mut Neighbour<'b>, packet: &[u8]) -> Verdict {
        let filter = &self.filter;
        filter.arrives_beside(last, &self.rules, 8, packet, self.now)
    }

    fn leaves_by(&self, cache: &mut FilterCache, packet: &[u8]) -> Verdict {
        let filter = &self.filter;
        filter.leaves_by(cache, &self.rules, packet, self.now)
    }

    fn leaves(&self, packet: &[u8]) -> Verdict {
        self.filter.leaves(&self.rules, packet, self.now)
    }
}

fn verdicts(c: &mut Criterion) {
    let bench = Bench::new();
    let mut cache = bench.filter.cache();
    let mut group = c.benchmark_group("verdict");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));

    for (family, v6) in [("v4", false), ("v6", true)] {
        let here = local(v6, 7);
        let there = remote(v6, 8, 9);
        bench.leaves(&tcp((here, 50_000), (there, 443), SYN));
        let reply = tcp((there, 443), (here, 50_000), ACK);
        let sent = tcp((here, 50_000), (there, 443), ACK);
        let service = tcp((there, 50_000), (here, 7051), ACK);
        let answer = tcp((here, 7051), (there, 50_000), ACK);
        let unknown = tcp((there, 443), (here, 1000), ACK);

        assert_eq!(
            bench.arrives(&mut cache, 8, &unknown),
            Verdict::Drop(Reason::NoFlow)
        );
        bench.leaves(&udp((here, 50_000), (there, 53)));
        let datagram = udp((there, 53), (here, 50_000));
        for (name, packet) in [
            ("reply", &reply),
            ("service", &service),
            ("miss", &unknown),
            ("udp", &datagram),
        ] {
            group.bench_function(format!("arrives/{name}/{family}"), |b| {
                b.iter(|| bench.arrives(&mut cache, 8, black_box(packet)));
            });
        }

        let mut last = Neighbour::new(&bench.filter);
        group.bench_function(format!("arrives/beside/{family}"), |b| {
            b.iter(|| bench.arrives_beside(&mut last, black_box(&reply)));
        });
        for (name, packet) in [("flow", &sent), ("answer", &answer)] {
            group.bench_function(format!("leaves/{name}/{family}"), |b| {
                b.iter(|| bench.leaves_by(&mut cache, black_box(packet)));
            });
        }
    }

    // Neighbours of many flows: the table is not in the nearest caches.
    let replies: Vec<_> = (0..HOSTS)
        .map(|host| {
            let site = 1 + host % SITES;
            let reply = tcp(
                (remote(false, site, 9), 443),
                (local(false, host), 40_017),
                ACK,
            );
            (site, reply)
        })
        .collect();
    let mut next = replies.iter().cycle();
    group.bench_function("arrives/500 flows/v4", |b| {
        b.iter(|| {
            let (site, packet) = next.next().expect("a cycle has no end");
            bench.arrives(&mut cache, *site, black_box(packet))
        });
    });

    let hasher = SipHasher13::new_with_key(&[7; 16]);
    group.bench_function("siphash/40 bytes", |b| {
        b.iter(|| hasher.hash(black_box(&[7; 40])));
    });
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
