//! [`Engine`]: all clients; processes each datagram from the socket and each packet from the TUN
//! device. Does no I/O: results go to an [`Output`].

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use gotatun::noise::handshake::parse_handshake_anon;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use gotatun::x25519::PublicKey;
use ringway_config::{Node, NodeName, Prefix, WireGuardKey};
use ringway_dataplane::{Path, Snapshot, Unreachable, admit_from_node, route_to_node};

use crate::client::{Absence, Client, ClientStatus};
use crate::counts::Counts;
use crate::handshakes::{Handshakes, Verdict};
use crate::key::PrivateKey;
use crate::sources::Sources;
use crate::stranger::{self, Stranger};
use crate::{MTU, counts};

/// Takes what the engine sends.
pub trait Output {
    /// Sends a datagram.
    fn send(&mut self, path: &Path, datagram: &[u8]);
    /// Writes a packet to the TUN device.
    fn write(&mut self, packet: &[u8]);
}

/// Why a datagram is no client's.
enum Unclaimed {
    /// No node has this key.
    Key(WireGuardKey),
    /// The reason, as it is counted.
    Dropped(&'static str),
}

/// See the head of this file.
pub struct Engine {
    key: PrivateKey,
    public: PublicKey,
    clients: BTreeMap<NodeName, Client>,
    prefixes: BTreeMap<NodeName, Vec<Prefix>>,
    by_key: HashMap<WireGuardKey, NodeName>,
    /// The client of each session or handshake index. At most as many entries as gotatun has
    /// indices.
    by_index: HashMap<u32, NodeName>,
    sources: Sources,
    indices: IndexTable,
    handshakes: Handshakes,
    /// Drops that belong to no client.
    counts: Counts,
    /// A client whose key no node has.
    stranger: Option<Stranger>,
    unreachable: Unreachable,
    mtu: MtuWatcher,
}

impl Engine {
    /// An engine with the gateway's key, without clients.
    pub fn new(key: PrivateKey, now: Instant) -> Engine {
        let public = PublicKey::from(key.secret());

        Engine {
            handshakes: Handshakes::new(&public, now),
            key,
            public,
            clients: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            by_key: HashMap::new(),
            by_index: HashMap::new(),
            sources: Sources::default(),
            indices: IndexTable::from_os_rng(),
            counts: Counts::default(),
            stranger: None,
            unreachable: Unreachable::new(),
            mtu: MtuWatcher::new(MTU),
        }
    }

    /// Replaces the attached nodes. A client that is gone, or whose key has changed, loses its
    /// session.
    pub fn set_nodes(&mut self, nodes: &[Node]) {
        self.sources = Sources::of(nodes);
        let keys: BTreeMap<&NodeName, WireGuardKey> = nodes
            .iter()
            .filter_map(|node| Some((&node.name, node.wireguard?)))
            .filter(|(_, key)| self.key.agrees_with(key))
            .collect();

        self.clients
            .retain(|name, client| keys.get(name) == Some(&client.key));
        for (name, key) in &keys {
            if !self.clients.contains_key(*name) {
                let client = Client::new(*key, self.session(key));
                self.clients.insert((*name).clone(), client);
            }
        }
        self.by_key = keys
            .iter()
            .map(|(name, key)| (*key, (*name).clone()))
            .collect();
        let clients = nodes
            .iter()
            .filter(|node| self.clients.contains_key(&node.name));
        self.prefixes = clients
            .map(|node| {
                let prefixes = node.prefixes.iter().map(|placed| placed.prefix);
                (node.name.clone(), prefixes.collect())
            })
            .collect();
        self.forget_indices();
    }

    fn session(&self, key: &WireGuardKey) -> Tunn {
        // `Handshakes` limits the rate before gotatun sees a datagram, so this limiter never
        // applies.
        let unused = RateLimiter::new(&self.public, u64::MAX);

        Tunn::new(
            self.key.secret().clone(),
            PublicKey::from(*key.bytes()),
            None,
            None,
            self.indices.clone(),
            unused.into(),
        )
    }

    /// Handles a datagram that arrived along `path`.
    pub fn handle_datagram(
        &mut self,
        tables: &Snapshot,
        path: Path,
        datagram: &[u8],
        now: Instant,
        output: &mut impl Output,
    ) {
        let packet = Packet::copy_from(datagram);
        let kind = match self.handshakes.judge(path.remote(), packet, now) {
            Verdict::Passed(kind) => kind,
            Verdict::Cookie(cookie) => {
                self.counts.add("handshake_cookie");
                return output.send(&path, &Packet::from(cookie));
            }
            Verdict::Dropped(reason) => return self.counts.add(reason),
        };
        let name = match self.claimed_sender(&kind) {
            Ok(name) => name,
            Err(Unclaimed::Dropped(reason)) => return self.counts.add(reason),
            Err(Unclaimed::Key(key)) => {
                stranger::remember(&mut self.stranger, key, path.remote(), now);
                return self.counts.add("unknown_key");
            }
        };
        let Some(client) = self.clients.get_mut(&name) else {
            return self.counts.add("unknown_index");
        };

        let is_handshake = !matches!(kind, WgKind::Data(_));
        let opened = client.tunn.handle_incoming_packet(kind);
        if matches!(opened, TunnResult::Err(_)) {
            return client.counts.add("auth");
        }
        // Only now is the datagram authenticated: the path and the counts are the client's.
        client.on_received(path, datagram.len(), now);
        if is_handshake {
            client.on_used(now);
        }
        match opened {
            TunnResult::WriteToNetwork(answer) => self.send(&name, answer, output),
            TunnResult::WriteToTunnel(packet) if !packet.is_empty() => {
                client.on_used(now);
                self.deliver(tables, &name, packet, output);
            }
            TunnResult::WriteToTunnel(_) | TunnResult::Done | TunnResult::Err(_) => {}
        }
        self.send_queued(&name, output);
    }

    /// The client that a message claims to be from. Not authenticated yet.
    fn claimed_sender(&self, kind: &WgKind) -> Result<NodeName, Unclaimed> {
        let index = match kind {
            WgKind::HandshakeInit(init) => {
                let half = parse_handshake_anon(self.key.secret(), &self.public, init);
                let half = half.map_err(|_| Unclaimed::Dropped("handshake_auth"))?;
                let key = WireGuardKey::new(half.peer_static_public);
                return self.by_key.get(&key).cloned().ok_or(Unclaimed::Key(key));
            }
            WgKind::HandshakeResp(response) => response.receiver_idx.get(),
            WgKind::CookieReply(cookie) => cookie.receiver_idx.get(),
            WgKind::Data(data) => data.header.receiver_idx.get(),
        };

        let name = self.by_index.get(&index).cloned();
        name.ok_or(Unclaimed::Dropped("unknown_index"))
    }

    /// Writes an opened packet of client `name` to the TUN device, if the client may send it.
    fn deliver(
        &mut self,
        tables: &Snapshot,
        name: &NodeName,
        packet: Packet,
        output: &mut impl Output,
    ) {
        let checked = check_source(&self.sources, tables, name, packet);

        match checked {
            Ok(packet) => output.write(&packet),
            Err(reason) => {
                if let Some(client) = self.clients.get_mut(name) {
                    client.counts.add(reason);
                }
            }
        }
    }

    /// Handles a packet from the TUN device, which the kernel has routed to a client. Answers its
    /// sender while the client is absent.
    pub fn handle_packet(
        &mut self,
        tables: &Snapshot,
        packet: &[u8],
        now: Instant,
        output: &mut impl Output,
    ) {
        let destination = match route_to_node(tables, packet) {
            Ok(destination) => destination,
            Err(reason) => return self.counts.add(reason.name()),
        };
        let name = self.sources.node(destination).cloned();
        let client = name.as_ref().and_then(|name| self.clients.get_mut(name));
        let (Some(name), Some(client)) = (name, client) else {
            return self.counts.add("no_route");
        };
        if let Absence::Known { is_long } = client.absence(now)
            && let Some(answer) = self.unreachable.answer(packet, is_long, now)
        {
            output.write(&answer);
        }
        // The client's endpoint is unknown until its first packet: it has to start the session.
        if client.path().is_none() {
            return client.counts.add("no_session");
        }

        if let Some(sealed) = client.seal(packet, &mut self.mtu) {
            self.send(&name, sealed, output);
        }
    }

    /// Sends what gotatun's timers demand. Call it several times a second.
    pub fn handle_timers(&mut self, output: &mut impl Output) {
        let names: Vec<NodeName> = self.clients.keys().cloned().collect();
        for name in names {
            let client = self.clients.get_mut(&name);
            let due = client.and_then(|client| client.tunn.update_timers().ok().flatten());
            if let Some(message) = due {
                self.send(&name, message, output);
            }
        }
        self.forget_indices();
    }

    fn forget_indices(&mut self) {
        let indices = &self.indices;

        self.by_index.retain(|index, _| indices.in_use(*index));
    }

    fn send_queued(&mut self, name: &NodeName, output: &mut impl Output) {
        let Some(client) = self.clients.get_mut(name) else {
            return;
        };
        for message in client.take_queued(&mut self.mtu) {
            self.send(name, message, output);
        }
    }

    fn send(&mut self, name: &NodeName, message: WgKind, output: &mut impl Output) {
        let index = match &message {
            WgKind::HandshakeInit(init) => Some(init.sender_idx.get()),
            WgKind::HandshakeResp(response) => Some(response.sender_idx.get()),
            WgKind::CookieReply(_) | WgKind::Data(_) => None,
        };
        if let Some(index) = index {
            self.by_index.insert(index, name.clone());
        }

        let Some(client) = self.clients.get_mut(name) else {
            return;
        };
        let Some(path) = client.path() else {
            return;
        };
        let datagram = Packet::from(message);
        client.sent(datagram.len());
        output.send(&path, &datagram);
    }

    /// Prefixes of the clients that are up, with the time of each client's last use.
    pub fn active(&self, now: Instant) -> BTreeMap<Prefix, Instant> {
        let mut present = BTreeMap::new();
        for (name, client) in &self.clients {
            let Some(used) = client.last_use(now) else {
                continue;
            };
            let prefixes = self.prefixes.get(name).into_iter().flatten();
            present.extend(prefixes.map(|prefix| (*prefix, used)));
        }
        present
    }

    /// Status of each client, by name.
    pub fn status(&self, now: Instant) -> Vec<ClientStatus> {
        let clients = self.clients.iter();

        clients
            .map(|(name, client)| client.status(name, now))
            .collect()
    }

    /// Drops that belong to no client.
    pub fn counts(&self) -> &counts::Counts {
        &self.counts
    }

    /// A client that has tried to come in lately, and whose key no node has.
    pub fn stranger(&self, now: Instant) -> Option<Stranger> {
        self.stranger.filter(|stranger| stranger.is_recent(now))
    }
}

/// Checks an opened packet, independently of gotatun's own check: it is well-formed, its source is
/// an address of this very node, and its destination is one that an attached node may reach.
fn check_source(
    sources: &Sources,
    tables: &Snapshot,
    name: &NodeName,
    packet: Packet,
) -> Result<Packet, &'static str> {
    // Cuts off the padding that WireGuard adds.
    let packet = packet.try_into_ipvx().map_err(|_| "malformed")?;
    let packet: Packet = packet.either(Packet::from, Packet::from);

    let source = admit_from_node(tables, &packet).map_err(|reason| reason.name())?;
    if sources.node(source) != Some(name) {
        return Err("source");
    }
    Ok(packet)
}
