//! CPU time of one packet, each step beside its lower bound: the AEAD alone, or a copy of the same
//! bytes.
//!
//! ```text
//! cargo bench -p ringway-dataplane                    all; under three minutes
//! cargo bench -p ringway-dataplane -- lookup          how lookups grow with peers and prefixes
//! ```
//! `cargo test` runs each once. Whole gateways are measured by tests/bench/run.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ringway_dataplane::*;

/// Bytes of a full packet on a path of 1500 bytes, and of a small one.
const SIZES: [usize; 2] = [1440, 64];
const AEADS: [(Aead, &aead::Algorithm); 3] = [
    (Aead::Aes128Gcm, &aead::AES_128_GCM),
    (Aead::Aes256Gcm, &aead::AES_256_GCM),
    (Aead::ChaCha20Poly1305, &aead::CHACHA20_POLY1305),
];
/// Bytes of the headers of TCP over IPv4, and of the payload of each segment.
const HEADERS: usize = 40;
const SEGMENT: usize = 1400;
const SEGMENTS: usize = 45;
const PEERS: u32 = 300;

fn outgoing(aead: Aead) -> Outgoing {
    let path = Path::new(([192, 0, 2, 1], 4600).into(), None);
    Outgoing::new(1, aead, &Secret::new([7; 48]), path, Arc::new(Peer::new()))
}

fn incoming(aead: Aead) -> Incoming {
    Incoming::new(
        1,
        aead,
        &Secret::new([7; 48]),
        SiteNo(1),
        Arc::new(Peer::new()),
    )
}

fn sealed(session: &Outgoing, size: usize) -> Vec<u8> {
    let mut buffer = vec![1; size + OVERHEAD];
    let number = session.reserve(1).expect("there are numbers enough");
    session
        .seal(Kind::Packet(Checksum::Complete), number, &mut buffer)
        .expect("its key is held");
    buffer
}

/// The AEAD alone, over as many bytes and as much additional data.
fn alone(algorithm: &'static aead::Algorithm) -> LessSafeKey {
    let key = UnboundKey::new(algorithm, &[7; 32][..algorithm.key_len()]);
    LessSafeKey::new(key.expect("the key has the AEAD's length"))
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn seal(c: &mut Criterion) {
    let mut group = quick(c, "seal");
    for (aead, algorithm) in AEADS {
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let session = outgoing(aead);
            let mut buffer = vec![1; size + OVERHEAD];
            group.bench_function(BenchmarkId::new(format!("{aead:?}"), size), |b| {
                b.iter(|| {
                    let number = session.reserve(1)?;
                    session.seal(
                        Kind::Packet(Checksum::Partial),
                        number,
                        black_box(&mut buffer),
                    )
                });
            });
            let key = alone(algorithm);
            let mut number = 0;
            group.bench_function(BenchmarkId::new(format!("{aead:?} alone"), size), |b| {
                b.iter(|| {
                    number += 1;
                    let bytes = black_box(&mut buffer[..size]);
                    key.seal_in_place_separate_tag(nonce(number), Aad::from([9; HEADER_LEN]), bytes)
                });
            });
        }
    }
}

fn open(c: &mut Criterion) {
    let mut group = quick(c, "open");
    for (aead, algorithm) in AEADS {
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let sender = outgoing(aead);
            let receiver = incoming(aead);
            group.bench_function(BenchmarkId::new(format!("{aead:?}"), size), |b| {
                b.iter_batched_ref(
                    || sealed(&sender, size),
                    |datagram| {
                        let header = Header::decode(datagram)?;
                        receiver.open(&header, datagram)
                    },
                    BatchSize::SmallInput,
                );
            });
            let key = alone(algorithm);
            let mut bytes = vec![1; size];
            let aad = || Aad::from([9; HEADER_LEN]);
            key.seal_in_place_append_tag(nonce(1), aad(), &mut bytes)
                .expect("it is short");
            group.bench_function(BenchmarkId::new(format!("{aead:?} alone"), size), |b| {
                b.iter_batched_ref(
                    || bytes.clone(),
                    |bytes| {
                        key.open_in_place(nonce(1), aad(), bytes)
                            .map(|opened| opened.len())
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

/// A TCP/IPv4 packet with `payload` bytes; its checksums are what the kernel leaves.
fn tcp(sequence: u32, payload: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(HEADERS + payload)
        .expect("it is a packet")
        .to_be_bytes();
    let mut packet = vec![
        0x45, 0, high, low, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1,
    ];
    packet.extend([0x1b, 0x8a, 0x1b, 0x8b]);
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.resize(HEADERS + payload, 7);
    packet
}

fn split(c: &mut Criterion) {
    let mut group = quick(c, "split");
    let mut packet = tcp(1, SEGMENT * SEGMENTS);
    let mut out = vec![0; (SEGMENT + HEADERS) * SEGMENTS];
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("TCP", |b| {
        b.iter(|| harness::cut(black_box(&mut packet), SEGMENT, &mut out))
    });
    copy_alone(&mut group, &packet);
}

fn coalesce(c: &mut Criterion) {
    let mut group = quick(c, "coalesce");
    let mut whole = tcp(1, SEGMENT * SEGMENTS);
    let mut segments = vec![0; (SEGMENT + HEADERS) * SEGMENTS];
    assert_eq!(
        harness::cut(&mut whole, SEGMENT, &mut segments),
        Ok(SEGMENTS)
    );
    let packets: Vec<u8> = segments
        .chunks(SEGMENT + HEADERS)
        .flat_map(|segment| [&[0; harness::HEADROOM][..], segment].concat())
        .collect();
    group.throughput(Throughput::Bytes(packets.len() as u64));
    group.bench_function("TCP", |b| {
        b.iter_batched_ref(
            || packets.clone(),
            |packets| {
                assert_eq!(
                    harness::join(packets, SEGMENT + HEADERS, Checksum::Partial),
                    1
                )
            },
            BatchSize::SmallInput,
        );
    });
    copy_alone(&mut group, &packets);
}

fn copy_alone(group: &mut BenchmarkGroup<'_, WallTime>, bytes: &[u8]) {
    let mut out = vec![0; bytes.len()];
    group.bench_function("copy alone", |b| {
        b.iter(|| out.copy_from_slice(black_box(bytes)))
    });
}

/// Prefix `at` of as many as there may be: /24s out of 10/8 and what follows it.
fn network(at: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + (at << 8))
}

/// This site's prefix is the first; all others are spread over the peers.
fn snapshot(prefixes: u32) -> Snapshot {
    let mut builder = SnapshotBuilder::new(SiteNo(0));
    let sessions: Vec<_> = (0..PEERS)
        .map(|_| Arc::new(outgoing(Aead::Aes128Gcm)))
        .collect();
    let prefix = |at| {
        format!("{}/24", network(at))
            .parse()
            .expect("it is a prefix")
    };
    builder.site_prefix(prefix(0));
    for at in 1..prefixes {
        let peer = at % PEERS;
        builder
            .authorize(prefix(at), SiteNo(1 + peer))
            .route(prefix(at), sessions[peer as usize].clone());
    }
    builder.build()
}

fn lookup(c: &mut Criterion) {
    let mut group = quick(c, "lookup");
    for prefixes in [300, 1_000, 10_000, 100_000] {
        let snapshot = snapshot(prefixes);
        // Far apart, so that no lookup finds the path of the previous one in the cache.
        let mut at = 0;
        let mut next = || {
            at = 1 + (at + 7_919) % (prefixes - 1);
            at
        };
        let mut out = tcp(1, 0);
        let mut back = tcp(1, 0);
        out[12..16].copy_from_slice(&network(0).octets());
        back[16..20].copy_from_slice(&network(0).octets());
        group.bench_function(BenchmarkId::new("route", prefixes), |b| {
            b.iter(|| {
                out[16..20].copy_from_slice(&network(next()).octets());
                assert!(route(&snapshot, &out).is_ok());
            });
        });
        group.bench_function(BenchmarkId::new("admit", prefixes), |b| {
            b.iter(|| {
                let from = next();
                back[12..16].copy_from_slice(&network(from).octets());
                assert_eq!(admit(&snapshot, SiteNo(1 + from % PEERS), &back), Ok(()));
            });
        });
    }
}

fn quick<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    group
}

criterion_group!(benches, seal, open, split, coalesce, lookup);
criterion_main!(benches);
