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

fn bind(listen: SocketAddr) -> Result<Arc<TunnelSocket>> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&listen.into())?;
    Ok(Arc::new(TunnelSocket::new(socket.into(), 0)?))
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The tunnel as one end has it.
struct End {
    /// Numbers of the two sites.
    here: u8,
    there: u8,
    aead: Aead,
    /// Lanes of each end.
    lanes: u32,
    path: Path,
    peer: Arc<Peer>,
}

impl End {
    fn outgoing(&self, lane: u32) -> Arc<Outgoing> {
        let index = self.index(self.there, lane);
        let secret = secret(self.there);
        Arc::new(Outgoing::new(
            index,
            self.aead,
            &secret,
            self.path,
            self.peer.clone(),
        ))
    }

    fn incoming(&self, lane: u32) -> Incoming {
        let index = self.index(self.here, lane);
        let site = SiteNo(self.there.into());
        Incoming::new(
            index,
            self.aead,
            &secret(self.here),
            site,
            self.peer.clone(),
        )
    }

    fn index(&self, site: u8, lane: u32) -> u32 {
        self.lanes * u32::from(site) + lane
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let lanes = Lanes::new((0..self.lanes).map(|lane| self.outgoing(lane)));
        let lanes = lanes.ok_or("one lane at least")?;
        let mut builder = SnapshotBuilder::new(SiteNo(self.here.into()));

        for (lane, outgoing) in (0..self.lanes).zip(lanes.iter()) {
            let incoming = self.incoming(lane);
            incoming.pair_with(outgoing.clone());
            builder.incoming(Arc::new(incoming));
        }

        let ours = prefixes(self.here)?;
        let theirs = prefixes(self.there)?;
        let others = theirs.map(|prefix| (self.there.into(), prefix));
        builder.rules(harness::permissive(self.here.into(), &ours, &others));
        for prefix in ours {
            builder.site_prefix(prefix);
        }
        for prefix in theirs {
            builder
                .authorize(prefix, SiteNo(self.there.into()))
                .route(prefix, lanes.clone());
        }
        Ok(builder.build())
    }
}

/// Fixed: the same at both ends.
fn secret(site: u8) -> Secret {
    Secret::new([site; 48])
}

fn prefixes(site: u8) -> Result<[Prefix; 2]> {
    Ok([
        format!("10.{site}.0.0/16").parse()?,
        format!("fd00:{site}::/32").parse()?,
    ])
}

/// The end of the tunnel that the arguments and the environment describe.
fn end(number: &str, remote: &str) -> Result<End> {
    let here: u8 = number.parse()?;
    let peer = Arc::new(Peer::new());
    peer.set_path_mtu(1500);

    Ok(End {
        here,
        there: 3 - here,
        aead: match std::env::var("AEAD").as_deref() {
            Ok("aes256") => Aead::Aes256Gcm,
            Ok("chacha") => Aead::ChaCha20Poly1305,
            _ => Aead::Aes128Gcm,
        },
        lanes: std::env::var("LANES").map_or(Ok(1), |lanes| lanes.parse())?,
        path: Path::new(remote.parse()?, None),
        peer,
    })
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, number, listen, remote] = &arguments[..] else {
        return Err("pipe <1|2> <listen> <peer>".into());
    };
    let end = end(number, remote)?;

    let tun = DeviceBuilder::new().name("rw0").mtu(1420).with(|tun| {
        tun.offload(true).multi_queue(end.lanes > 1);
    });
    let sockets = (0..end.lanes)
        .map(|_| bind(listen.parse()?))
        .collect::<Result<Vec<_>>>()?;
    share_port(&sockets)?;
    let own = Arc::new(Counters::new());
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(end.snapshot()?)),
        counters: own.clone(),
        filter: harness::filter(Instant::now()),
    };

    let dataplane = Dataplane::start(&tun.build_sync()?, &sockets, &shared, Ignore)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    dataplane.stop();
    print(&[("peer", end.peer.counters()), ("gateway", &own)]);
    Ok(())
}

fn print(all: &[(&str, &Counters)]) {
    for (whose, counters) in all {
        let counts = counters.snapshot();
        let drops: Vec<_> = counts.drops().filter(|(_, count)| *count > 0).collect();
        println!(
            "{whose}: tx {} rx {} packets, drops {drops:?}",
            counts.tx_packets, counts.rx_packets
        );
    }
}
