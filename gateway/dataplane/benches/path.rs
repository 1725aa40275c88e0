//! The whole way of small packets through one gateway's threads, in memory, with the filter in it:
//! from the TUN device to the socket, and back. Ratios between builds count, not the times: two
//! threads, their queues and wake-ups are in them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway_config::Prefix;
use ringway_dataplane::*;

/// Packets under way at once.
const BURST: usize = 64;

/// Bytes of the queue that a burst must fit in.
const CAPACITY: usize = 4096;

#[derive(Clone)]
struct Ignore;

impl ControlSink for Ignore {
    fn quic(&mut self, _: &[u8], _: SocketAddr, _: Option<IpAddr>, _: Option<u8>) -> bool {
        false
    }

    fn event(&mut self, _: Event) -> bool {
        true
    }
}

struct Gateway {
    host: ChannelHost,
    _dataplane: Dataplane,
}

fn prefix(site: u8) -> Prefix {
    format!("10.{site}.0.0/16").parse().expect("it is a prefix")
}

fn start(network: &ChannelNetwork, here: u8) -> io::Result<Gateway> {
    let there = 3 - here;
    let address = |number: u8| SocketAddr::from(([192, 0, 2, number], 4600));
    let secret = |receiver: u8| Secret::new([receiver; 48]);
    let peer = Arc::new(Peer::new());
    peer.set_path_mtu(1500);

    let aead = Aead::Aes128Gcm;
    let path = Path::new(address(there), None);
    let outgoing = Outgoing::new(there.into(), aead, &secret(there), path, peer.clone());
    let outgoing = Arc::new(outgoing);
    let incoming = Incoming::new(here.into(), aead, &secret(here), SiteNo(there.into()), peer);
    incoming.pair_with(outgoing.clone());

    let others = [(u32::from(there), prefix(there))];
    let mut builder = SnapshotBuilder::new(SiteNo(here.into()));
    builder
        .incoming(Arc::new(incoming))
        .site_prefix(prefix(here))
        .authorize(prefix(there), SiteNo(there.into()))
        .route(prefix(there), outgoing)
        .rules(harness::permissive(here.into(), &[prefix(here)], &others));

    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(builder.build())),
        counters: Arc::new(Counters::new()),
        filter: harness::filter(Instant::now()),
    };
    let (tun, host) = ChannelTun::new(CAPACITY)?;
    let udp = Arc::new(network.bind(address(here), CAPACITY)?);
    Ok(Gateway {
        host,
        _dataplane: Dataplane::start_on([(tun, udp)], &shared, Ignore)?,
    })
}

/// UDP packets of 64 bytes, each of another flow if `flows` says so.
fn packets(flows: bool) -> Vec<Vec<u8>> {
    let packet = |at: usize| {
        let mut packet = vec![0; 64];
        packet[..20].copy_from_slice(&[
            0x45, 0, 0, 64, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1,
        ]);
        let port = if flows { 20_000 + at as u16 } else { 20_000 };
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet[22..26].copy_from_slice(&[0x1b, 0x8b, 0, 44]);
        packet
    };
    (0..BURST).map(packet).collect()
}

fn path(c: &mut Criterion) {
    let network = ChannelNetwork::new();
    let left = start(&network, 1).expect("there are descriptors enough");
    let right = start(&network, 2).expect("there are descriptors enough");

    let mut group = c.benchmark_group("path");
    group
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
        .throughput(Throughput::Elements(BURST as u64));
    for (name, flows) in [("one flow", false), ("many flows", true)] {
        let packets = packets(flows);
        group.bench_function(name, |b| {
            b.iter(|| {
                for packet in &packets {
                    assert!(left.host.send(packet));
                }
                for _ in 0..BURST {
                    let arrived = right.host.receive(Duration::from_secs(5));
                    assert!(arrived.is_some());
                }
            });
        });
    }
}

criterion_group!(benches, path);
criterion_main!(benches);
