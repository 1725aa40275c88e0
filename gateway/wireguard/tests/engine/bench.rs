//! [`Bench`]: a gateway, and clients that are joined to it without a network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path as FilePath;
use std::time::Instant;

use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519::{PublicKey, StaticSecret};
use ringway_config::{Node, Place, PlacedPrefix};
use ringway_dataplane::{Path, SiteNo, Snapshot, SnapshotBuilder};
use ringway_wireguard::{Engine, Output, PrivateKey};

/// What leaves the gateway.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) packets: Vec<Vec<u8>>,
}

impl Output for Left {
    fn send(&mut self, path: &Path, datagram: &[u8]) {
        self.datagrams.push((path.remote(), datagram.to_owned()));
    }

    fn write(&mut self, packet: &[u8]) {
        self.packets.push(packet.to_owned());
    }
}

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) tables: Snapshot,
    pub(crate) key: PrivateKey,
    pub(crate) now: Instant,
}

/// A client at an address of its own.
pub(crate) struct Peer {
    pub(crate) tunn: Tunn,
    pub(crate) at: SocketAddr,
}

/// The node `name`, a WireGuard client if it has a key.
pub(crate) fn node(name: &str, prefixes: &[&str], key: Option<&PrivateKey>) -> Node {
    let place = Place::whole(FilePath::new("gateway.toml"));
    let prefixes = prefixes.iter().map(|prefix| PlacedPrefix {
        prefix: prefix.parse().unwrap(),
        place: place.clone(),
    });

    Node {
        name: name.parse().unwrap(),
        prefixes: prefixes.collect(),
        wireguard: key.map(PrivateKey::public),
        place: place.clone(),
    }
}

/// A key that is another one for each number.
pub(crate) fn key(number: u8) -> PrivateKey {
    PrivateKey::new([number; 32])
}

impl Bench {
    pub(crate) fn new(nodes: &[Node]) -> Bench {
        let now = Instant::now();
        let key = key(200);
        let mut engine = Engine::new(key.clone(), now);
        engine.set_nodes(nodes);

        Bench {
            engine,
            tables: tables(nodes),
            key,
            now,
        }
    }

    /// Puts other nodes in force.
    pub(crate) fn set_nodes(&mut self, nodes: &[Node]) {
        self.engine.set_nodes(nodes);
        self.tables = tables(nodes);
    }

    /// A client with this key, that has no session yet.
    pub(crate) fn stranger(&self, key: &PrivateKey, port: u16) -> Peer {
        let gateway = PublicKey::from(*self.key.public().bytes());
        let secret = secret(key);
        let limiter = RateLimiter::new(&PublicKey::from(&secret), u64::MAX);
        let indices = IndexTable::from_os_rng();
        let tunn = Tunn::new(secret, gateway, None, None, indices, limiter.into());

        Peer {
            tunn,
            at: SocketAddr::from(([192, 0, 2, 1], port)),
        }
    }

    /// A client that has a session.
    pub(crate) fn client(&mut self, key: &PrivateKey, port: u16) -> Peer {
        let mut peer = self.stranger(key, port);
        let init = peer.tunn.format_handshake_initiation(true).unwrap();
        assert!(self.exchange(&mut peer, WgKind::HandshakeInit(init)));
        peer
    }

    /// The gateway gets a message of the peer, and the peer the answers, until none is left. True
    /// if the peer has a session then.
    pub(crate) fn exchange(&mut self, peer: &mut Peer, message: WgKind) -> bool {
        let mut messages = vec![message];
        while let Some(message) = messages.pop() {
            let left = self.arrive(peer.at, &Packet::from(message));
            for (to, datagram) in left.datagrams {
                assert_eq!(to, peer.at);
                let answer = Packet::copy_from(&datagram[..]).try_into_wg().unwrap();
                if let TunnResult::WriteToNetwork(more) = peer.tunn.handle_incoming_packet(answer) {
                    messages.push(more);
                }
            }
        }
        peer.tunn.has_active_session()
    }

    /// What leaves when this datagram has arrived.
    pub(crate) fn arrive(&mut self, from: SocketAddr, datagram: &[u8]) -> Left {
        let mut left = Left::default();
        let path = Path::new(from, None);

        self.engine
            .handle_datagram(&self.tables, path, datagram, self.now, &mut left);
        left
    }

    /// The packets that come out of the device when the peer sends this one.
    pub(crate) fn send(&mut self, peer: &mut Peer, packet: &[u8]) -> Vec<Vec<u8>> {
        let sealed = peer
            .tunn
            .encapsulate_with_session(Packet::copy_from(packet))
            .expect("it has a session");
        let sealed = Packet::from(WgKind::Data(sealed));
        self.arrive(peer.at, &sealed).packets
    }

    /// The datagrams that leave when the kernel routes this packet to the device.
    pub(crate) fn route(&mut self, packet: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        self.route_and_answer(packet).datagrams
    }

    /// Likewise, with the answers to its sender.
    pub(crate) fn route_and_answer(&mut self, packet: &[u8]) -> Left {
        let mut left = Left::default();

        self.engine
            .handle_packet(&self.tables, packet, self.now, &mut left);
        left
    }

    /// How often a packet of node `name` was dropped for this reason.
    pub(crate) fn count(&self, name: &str, reason: &str) -> u64 {
        let status = self.engine.status(self.now);
        let status = status.iter().find(|status| status.name.as_str() == name);

        status.unwrap().counts.count(reason)
    }
}

fn secret(key: &PrivateKey) -> StaticSecret {
    let text: ringway_config::WireGuardKey = key.text().parse().unwrap();
    StaticSecret::from(*text.bytes())
}

fn tables(nodes: &[Node]) -> Snapshot {
    let mut builder = SnapshotBuilder::new(SiteNo(0));
    builder
        .site_prefix("10.1.0.0/16".parse().unwrap())
        .authorize("10.2.0.0/16".parse().unwrap(), SiteNo(1));
    for (number, node) in (2..).zip(nodes) {
        for placed in &node.prefixes {
            builder.node_prefix(placed.prefix, SiteNo(number));
        }
    }
    builder.build()
}

/// A UDP packet without a payload.
pub(crate) fn packet(source: &str, destination: &str) -> Vec<u8> {
    let [source, destination]: [IpAddr; 2] =
        [source, destination].map(|address| address.parse().unwrap());
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else {
        panic!("these are IPv4");
    };
    packet_between(source, destination)
}

pub(crate) fn packet_between(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend([0x23, 0x28, 0x23, 0x29, 0, 8, 0, 0]);

    let sum: u32 = packet[..20]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}
