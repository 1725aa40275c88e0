//! One end of a tunnel with fixed keys, to measure the data plane alone. Never for traffic that
//! matters.
//!
//! ```text
//! ip netns exec a pipe 1 192.0.2.1:4600 192.0.2.2:4600        site 10.1.0.0/16, fd00:1::/32 on rw0
//! ip netns exec b pipe 2 192.0.2.2:4600 192.0.2.1:4600        site 10.2.0.0/16, fd00:2::/32 on rw0
//! ```
//! The caller configures addresses and routes of rw0. The program ends with its standard input.
//! AEAD=aes256 or AEAD=chacha selects another AEAD, LANES=2 two lanes.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use ringway_config::Prefix;
use ringway_dataplane::*;
use socket2::{Domain, Socket, Type};
use tun_rs::DeviceBuilder;

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

fn bind(listen: SocketAddr) -> Result<Arc<TunnelSocket>, Box<dyn std::error::Error>> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&listen.into())?;
    Ok(Arc::new(TunnelSocket::new(socket.into(), 0)?))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, number, listen, remote] = &arguments[..] else {
        return Err("pipe <1|2> <listen> <peer>".into());
    };
    let here: u8 = number.parse()?;
    let there = 3 - here;
    let aead = match std::env::var("AEAD").as_deref() {
        Ok("aes256") => Aead::Aes256Gcm,
        Ok("chacha") => Aead::ChaCha20Poly1305,
        _ => Aead::Aes128Gcm,
    };

    let peer = Arc::new(Peer::new());
    peer.set_path_mtu(1500);
    let secret = |number: u8| Secret::new([number; 48]);
    let path = Path::new(remote.parse()?, None);
    let count: u32 = std::env::var("LANES").map_or(Ok(1), |lanes| lanes.parse())?;
    let index = |number: u8, lane| count * u32::from(number) + lane;
    let seal = |lane| {
        Arc::new(Outgoing::new(
            index(there, lane),
            aead,
            &secret(there),
            path,
            peer.clone(),
        ))
    };
    let lanes = Lanes::new((0..count).map(seal)).ok_or("one lane at least")?;
    let mut builder = SnapshotBuilder::new(SiteNo(here.into()));
    for (lane, outgoing) in (0..count).zip(lanes.iter()) {
        let site = SiteNo(there.into());
        let incoming = Incoming::new(index(here, lane), aead, &secret(here), site, peer.clone());
        incoming.pair_with(outgoing.clone());
        builder.incoming(Arc::new(incoming));
    }
    let prefixes = |site: u8| -> Result<[Prefix; 2], Box<dyn std::error::Error>> {
        Ok([
            format!("10.{site}.0.0/16").parse()?,
            format!("fd00:{site}::/32").parse()?,
        ])
    };
    let others = prefixes(there)?.map(|prefix| (there.into(), prefix));
    builder.rules(harness::permissive(here.into(), &prefixes(here)?, &others));
    for (site, site_no) in [(here, SiteNo(here.into())), (there, SiteNo(there.into()))] {
        for prefix in prefixes(site)? {
            if site == here {
                builder.site_prefix(prefix);
            } else {
                builder
                    .authorize(prefix, site_no)
                    .route(prefix, lanes.clone());
            }
        }
    }
    let snapshot = Arc::new(ArcSwap::from_pointee(builder.build()));

    let tun = DeviceBuilder::new().name("rw0").mtu(1420).with(|tun| {
        tun.offload(true).multi_queue(count > 1);
    });
    let sockets = (0..count)
        .map(|_| bind(listen.parse()?))
        .collect::<Result<Vec<_>, _>>()?;
    share_port(&sockets)?;
    let own = Arc::new(Counters::new());
    let shared = Shared {
        snapshot,
        counters: own.clone(),
        filter: harness::filter(Instant::now()),
    };
    let dataplane = Dataplane::start(&tun.build_sync()?, &sockets, &shared, Ignore)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    dataplane.stop();
    for (whose, counters) in [("peer", peer.counters()), ("gateway", &own)] {
        let counts = counters.snapshot();
        let drops: Vec<_> = counts.drops().filter(|(_, count)| *count > 0).collect();
        println!(
            "{whose}: tx {} rx {} packets, drops {drops:?}",
            counts.tx_packets, counts.rx_packets
        );
    }
    Ok(())
}
