//! The sessions of the moment: each connection with its control stream and its keys. Which session lives
//! is the core's to say; this file derives keys from handshakes and lets go of them. The data plane's
//! tables are made from it in [`super::packets`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::Connection;
use ringway_config::{GatewayId, ZoneName};
use ringway_core::{ConnId, Lane, Message, Role};
use ringway_dataplane as dataplane;
use ringway_dataplane::{
    Aead, EXPORTER_LABEL, Incoming, KeyContext, Lanes, Outgoing, Path, Peer, Secret, SiteNo,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::challenges::Challenges;
use super::control::Control;
use super::{Input, Running};
use crate::host::links::Links;
use crate::identity::{self, Refusal, Trust, Verified};
use crate::tunnel::link::{self, Load, Outbox};

/// How long links may take to say good-bye.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection and what was derived from it.
struct Session {
    peer: GatewayId,
    role: Role,
    connection: Connection,
    chain: Vec<CertificateDer<'static>>,
    outbox: Outbox,
    /// One for each of our lanes.
    incoming: Vec<Arc<Incoming>>,
    /// For as many of the peer's lanes as we have.
    outgoing: Option<Lanes>,
    challenges: Challenges,
    control: Control,
}

/// Every connection that the core knows of.
pub(super) struct Sessions {
    table: BTreeMap<ConnId, Session>,
    next: u64,
    domain: ZoneName,
    me: GatewayId,
    links: TaskTracker,
}

impl Sessions {
    pub(super) fn new(domain: ZoneName, me: GatewayId) -> Sessions {
        Sessions { table: BTreeMap::new(), next: 0, domain, me, links: TaskTracker::new() }
    }

    /// Judges the connection's certificates by the trust in force now; gives the peer, and until when.
    pub(super) fn admit(
        &self,
        connection: &Connection,
        role: Role,
        dialled: Option<&GatewayId>,
        running: &Running,
    ) -> Result<(GatewayId, Instant), Refusal> {
        let Verified { id, not_after, .. } = verify(&running.trust(), &chain_of(connection), role, dialled)?;
        let now = UnixTime::now();
        let left = Duration::from_secs(not_after.as_secs().saturating_sub(now.as_secs()));
        Ok((id, Instant::now() + left))
    }

    pub(super) fn insert(
        &mut self,
        connection: Connection,
        role: Role,
        peer: GatewayId,
        inputs: mpsc::Sender<Input>,
        links: &Links,
    ) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        let outbox = link::start(conn, connection.clone(), role, inputs, &self.links);
        let chain = chain_of(&connection);
        let control = Control::new(&connection, links, Instant::now());
        let session = Session {
            peer,
            role,
            connection,
            chain,
            outbox,
            incoming: Vec::new(),
            outgoing: None,
            challenges: Challenges::default(),
            control,
        };
        self.table.insert(conn, session);
        conn
    }

    pub(super) fn peer(&self, conn: ConnId) -> Option<&GatewayId> {
        Some(&self.table.get(&conn)?.peer)
    }

    /// Every session with a peer of which `chosen` is true.
    pub(super) fn of(&self, chosen: impl Fn(&GatewayId) -> bool) -> Vec<ConnId> {
        self.table.iter().filter(|(_, session)| chosen(&session.peer)).map(|(conn, _)| *conn).collect()
    }

    /// Addresses that have a session.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.table.values().map(|session| session.connection.remote_address().ip().to_canonical()).collect()
    }

    /// Sessions that the trust in force would not have let begin, and why.
    pub(super) fn untrusted(&self, trust: &Trust) -> Vec<(ConnId, Refusal)> {
        let judge = |(conn, session): (&ConnId, &Session)| {
            let dialled = (session.role == Role::Dialler).then_some(&session.peer);
            Some((*conn, verify(trust, &session.chain, session.role, dialled).err()?))
        };
        self.table.iter().filter_map(judge).collect()
    }

    /// Derives the keys that open what the peer will send, of all our lanes.
    pub(super) fn install_opening(&mut self, conn: ConnId, lanes: &[Lane], site: SiteNo, peer: &Arc<Peer>) {
        let Some(session) = self.table.get_mut(&conn) else { return };
        let sender = opposite(session.role);
        let opening = Direction::all(lanes).map_while(|direction| {
            let secret = session.secret(sender, &self.domain, &self.me, direction)?;
            let Direction { index, aead, .. } = direction;
            Some(Arc::new(Incoming::new(index, aead, &secret, site, peer.clone())))
        });
        session.incoming = opening.collect();
    }

    /// Derives the keys that seal for the peer; probes are answered from now on.
    pub(super) fn install_sealing(&mut self, conn: ConnId, lanes: &[Lane], peer: &Arc<Peer>) {
        let Some(session) = self.table.get_mut(&conn) else { return };
        let sealing = Direction::all(lanes).take(session.incoming.len()).map_while(|direction| {
            let secret = session.secret(session.role, &self.domain, &self.me, direction)?;
            let Direction { index, aead, .. } = direction;
            Some(Arc::new(Outgoing::new(index, aead, &secret, session.path(), peer.clone())))
        });
        let sealing = Lanes::new(sealing);
        for (number, incoming) in session.incoming.iter().enumerate() {
            if let Some(lanes) = &sealing {
                incoming.answer_through(lanes.of(number).clone());
            }
        }
        session.outgoing = sealing;
    }

    /// Every lane of every session that opens packets.
    pub(super) fn incoming(&self) -> impl Iterator<Item = &Arc<Incoming>> {
        self.table.values().flat_map(|session| &session.incoming)
    }

    /// The sealing directions of a session that is up.
    pub(super) fn lanes(&self, conn: ConnId) -> Option<&Lanes> {
        self.table.get(&conn)?.outgoing.as_ref()
    }

    /// That of lane 0, which probes go through.
    pub(super) fn outgoing(&self, conn: ConnId) -> Option<&Arc<Outgoing>> {
        Some(self.lanes(conn)?.of(0))
    }

    /// Lets go of keys whose time is over.
    pub(super) fn forget_passed_keys(&self, now: Instant) {
        for session in self.table.values() {
            session.incoming.iter().for_each(|incoming| incoming.forget_passed(now));
            session.sealing().for_each(|outgoing| outgoing.forget_passed(now));
        }
    }

    pub(super) fn send(&self, conn: ConnId, message: &Message) {
        if let Some(session) = self.table.get(&conn) {
            session.outbox.send(message.encode());
        }
    }

    /// Sends what does not fit an outbox at once, as fast as the peer takes it.
    pub(super) fn stream(&self, conn: ConnId, messages: Load) {
        if let Some(session) = self.table.get(&conn) {
            session.outbox.stream(messages);
        }
    }

    /// Forgets a session and its keys; gives its outbox, for a last word.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Outbox> {
        Some(self.table.remove(&conn)?.outbox)
    }

    /// Waits until every link has said good-bye, but not for a peer that makes it wait.
    pub(super) async fn closed(self) {
        self.links.close();
        if timeout(PATIENCE, self.links.wait()).await.is_err() {
            tracing::warn!("Some peers did not take our leave");
        }
    }

    /// Sends a probe; one that makes an outer packet of `size` bytes, if given.
    pub(super) fn probe(&self, conn: ConnId, probe: u64, size: Option<u16>, socket: &UdpSocket) {
        if let Some(outgoing) = self.outgoing(conn) {
            // A probe that could not be sent is a probe that is not answered.
            let _ = match size {
                Some(size) => dataplane::send_padded_probe(socket, outgoing, probe, size),
                None => dataplane::send_probe(socket, outgoing, probe, None),
            };
        }
    }

    /// Packets of a session came from an address that is not the peer's: asks that address to prove
    /// that the peer is there (DESIGN.md 4.2, "Address of the peer").
    pub(super) fn challenge(&mut self, index: u32, from: SocketAddr, socket: &UdpSocket) {
        let Some(session) = self.by_index(index) else { return };
        // A packet may have been on its way here while the peer's address was settled.
        let elsewhere = |outgoing: &&Arc<Outgoing>| outgoing.path().remote() != from;
        let first = session.outgoing.as_ref().map(|lanes| lanes.of(0));
        let Some(outgoing) = first.filter(elsewhere) else { return };
        let mut token = [0; 8];
        if aws_lc_rs::rand::fill(&mut token).is_ok() {
            let token = session.challenges.token(from, u64::from_be_bytes(token));
            let _ = dataplane::send_probe(socket, outgoing, token, Some(from));
        }
    }

    /// What the echo says if it answers a challenge of ours: whether the peer has moved there now.
    pub(super) fn answered(
        &mut self,
        index: u32,
        probe: u64,
        from: SocketAddr,
        to: Option<IpAddr>,
    ) -> Option<bool> {
        if !Challenges::has_made(probe) {
            return None;
        }
        let session = self.by_index(index)?;
        let moved = session.challenges.is_answered(from, probe);
        if moved {
            tracing::info!(peer = %session.peer, remote = %from, "Peer has moved");
            session.sealing().for_each(|outgoing| outgoing.move_to(Path::new(from, to)));
        }
        Some(moved)
    }

    /// Sessions whose control stream will end soon, since nothing comes through it any more: the peer's address
    /// or ours has changed, and QUIC did not follow.
    pub(super) fn stranded(&mut self, links: &Links, now: Instant) -> Vec<ConnId> {
        let stranded = |session: &mut Session| session.control.is_stranded(&session.connection, links, now);
        self.table.iter_mut().filter_map(|(conn, session)| stranded(session).then_some(*conn)).collect()
    }

    fn by_index(&mut self, index: u32) -> Option<&mut Session> {
        let holds = |session: &&mut Session| session.incoming.iter().any(|lane| lane.index() == index);
        self.table.values_mut().find(holds)
    }
}

impl Session {
    /// The secret of one direction (DESIGN.md 4.2, "Keys"), from the handshake's exporter.
    fn secret(
        &self,
        sender: Role,
        domain: &ZoneName,
        me: &GatewayId,
        direction: Direction,
    ) -> Option<Secret> {
        let (dialler, dialled) = match self.role {
            Role::Dialler => (me, &self.peer),
            Role::Accepter => (&self.peer, me),
        };
        let context = KeyContext {
            sender: match sender {
                Role::Dialler => dataplane::Role::Dialler,
                Role::Accepter => dataplane::Role::Accepter,
            },
            lane: direction.lane,
            aead: direction.aead,
            index: direction.index,
            dialler: &dialler.spiffe(domain),
            dialled: &dialled.spiffe(domain),
        };
        let mut secret = [0; 48];
        self.connection.export_keying_material(&mut secret, EXPORTER_LABEL, &context.encode()).ok()?;
        Some(Secret::new(secret))
    }

    fn sealing(&self) -> impl Iterator<Item = &Arc<Outgoing>> {
        self.outgoing.iter().flat_map(|lanes| lanes.iter())
    }

    fn path(&self) -> Path {
        Path::new(self.connection.remote_address(), self.connection.local_ip())
    }
}

/// One lane of a direction, as its receiver chose it.
#[derive(Clone, Copy)]
struct Direction {
    lane: u8,
    index: u32,
    aead: Aead,
}

impl Direction {
    /// The lanes of a `Hello`.
    fn all(lanes: &[Lane]) -> impl Iterator<Item = Direction> {
        (0..).zip(lanes).map(|(lane, Lane { index, aead })| {
            let aead = match aead {
                ringway_core::Aead::Aes128Gcm => Aead::Aes128Gcm,
                ringway_core::Aead::Aes256Gcm => Aead::Aes256Gcm,
                ringway_core::Aead::ChaCha20Poly1305 => Aead::ChaCha20Poly1305,
            };
            Direction { lane, index: index.0, aead }
        })
    }
}

fn opposite(role: Role) -> Role {
    match role {
        Role::Dialler => Role::Accepter,
        Role::Accepter => Role::Dialler,
    }
}

/// The chain that the peer presented. quinn gives it as rustls does: never absent after a handshake in
/// which both sides must present one.
fn chain_of(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let identity =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    identity.map(|chain| *chain).unwrap_or_default()
}

fn verify(
    trust: &Trust,
    chain: &[CertificateDer<'static>],
    role: Role,
    dialled: Option<&GatewayId>,
) -> Result<Verified, Refusal> {
    let peer = match role {
        Role::Dialler => identity::Role::Server,
        Role::Accepter => identity::Role::Client,
    };
    trust.verify(chain, peer, dialled, UnixTime::now())
}
