//! One end of a tunnel with fixed keys, to measure the data plane alone. Never for traffic that matters.
//!
//! ```text
//! ip netns exec a pipe 1 192.0.2.1:4600 192.0.2.2:4600        site 10.1.0.0/16, fd00:1::/32 on rw0
//! ip netns exec b pipe 2 192.0.2.2:4600 192.0.2.1:4600        site 10.2.0.0/16, fd00:2::/32 on rw0
//! ```
//! Addresses and routes of rw0 are the caller's. Ends with its standard input.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringway_dataplane::*;
use tun_rs::DeviceBuilder;

struct Ignore;

impl ControlSink for Ignore {
    fn quic(&mut self, _: &[u8], _: SocketAddr, _: Option<IpAddr>, _: Option<u8>) -> bool {
        false
    }

    fn event(&mut self, _: Event) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, number, listen, remote] = &arguments[..] else { return Err("pipe <1|2> <listen> <peer>".into()) };
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
    let outgoing = Arc::new(Outgoing::new(there.into(), aead, &secret(there), path, peer.clone()));
    let incoming =
        Arc::new(Incoming::new(here.into(), aead, &secret(here), SiteNo(there.into()), peer.clone()));
    incoming.answer_through(outgoing.clone());
    let mut builder = SnapshotBuilder::new(SiteNo(here.into()));
    builder.incoming(incoming);
    for (site, site_no) in [(here, SiteNo(here.into())), (there, SiteNo(there.into()))] {
        for prefix in [format!("10.{site}.0.0/16").parse()?, format!("fd00:{site}::/32").parse()?] {
            if site == here {
                builder.own(prefix);
            } else {
                builder.authorize(prefix, site_no).route(prefix, outgoing.clone());
            }
        }
    }
    let snapshot = Arc::new(ArcSwap::from_pointee(builder.build()));

    let tun = DeviceBuilder::new().name("rw0").mtu(1420).with(|tun| {
        tun.offload(true);
    });
    let socket = UdpSocket::bind(listen)?;
    configure_socket(&socket, 0)?;
    let own = Arc::new(Counters::new());
    let dataplane =
        Dataplane::start(Arc::new(tun.build_sync()?), Arc::new(socket), snapshot, own.clone(), Ignore)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    dataplane.stop();
    for (whose, counters) in [("peer", peer.counters()), ("gateway", &own)] {
        let counts = counters.snapshot();
        let drops: Vec<_> = counts.drops().filter(|(_, count)| *count > 0).collect();
        println!("{whose}: tx {} rx {} packets, drops {drops:?}", counts.tx_packets, counts.rx_packets);
    }
    Ok(())
}
