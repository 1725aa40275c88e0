//! [`Sessions`]: those of the moment, found by connection or by index. Which session lives is the core's to say.
//! The data plane's tables are made from them in [`super::packets`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::Connection;
use ringway_config::{GatewayId, ZoneName};
use ringway_core::{ConnId, Lane, Message, Role};
use ringway_dataplane::{
    self as dataplane, Incoming, Lanes, Outgoing, Path, Peer, SiteNo, TunnelSocket,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::challenges::Challenges;
use super::control::Control;
use super::session::Session;
use super::{Input, Running};
use crate::host::links::Links;
use crate::identity::{self, Refusal, Trust, Verified};
use crate::quic::link::{self, Load, Outbox};

/// How long links may take to say good-bye.
const PATIENCE: Duration = Duration::from_secs(2);

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
        Sessions {
            table: BTreeMap::new(),
            next: 0,
            domain,
            me,
            links: TaskTracker::new(),
        }
    }

    /// Judges the connection's certificates by the trust in force now; gives the peer, and until when.
    pub(super) fn admit(
        &self,
        connection: &Connection,
        role: Role,
        dialled: Option<&GatewayId>,
        running: &Running,
    ) -> Result<(GatewayId, Instant), Refusal> {
        let Verified { id, not_after, .. } =
            verify(&running.trust(), &chain_of(connection), role, dialled)?;
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
        self.table
            .iter()
            .filter(|(_, session)| chosen(&session.peer))
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// Addresses that have a session.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.table
            .values()
            .map(|session| session.connection.remote_address().ip().to_canonical())
            .collect()
    }

    /// Sessions that the trust in force would not have let begin, and why.
    pub(super) fn untrusted(&self, trust: &Trust) -> Vec<(ConnId, Refusal)> {
        let judge = |(conn, session): (&ConnId, &Session)| {
            let dialled = (session.role == Role::Dialler).then_some(&session.peer);
            Some((
                *conn,
                verify(trust, &session.chain, session.role, dialled).err()?,
            ))
        };
        self.table.iter().filter_map(judge).collect()
    }

    /// Derives the keys that open what the peer will send.
    pub(super) fn install_opening(
        &mut self,
        conn: ConnId,
        lanes: &[Lane],
        site: SiteNo,
        peer: &Arc<Peer>,
    ) {
        if let Some(session) = self.table.get_mut(&conn) {
            session.open((&self.domain, &self.me), lanes, site, peer);
        }
    }

    /// Derives the keys that seal for the peer; probes are answered from now on.
    pub(super) fn install_sealing(&mut self, conn: ConnId, lanes: &[Lane], peer: &Arc<Peer>) {
        if let Some(session) = self.table.get_mut(&conn) {
            session.seal((&self.domain, &self.me), lanes, peer);
        }
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
        Some(self.lanes(conn)?.lane(0))
    }

    /// Lets go of keys whose time is over.
    pub(super) fn forget_passed_keys(&self, now: Instant) {
        for session in self.table.values() {
            session
                .incoming
                .iter()
                .for_each(|incoming| incoming.expire_keys(now));
            session
                .sealing()
                .for_each(|outgoing| outgoing.expire_keys(now));
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
    pub(super) fn probe(&self, conn: ConnId, probe: u64, size: Option<u16>, socket: &TunnelSocket) {
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
    pub(super) fn challenge(&mut self, index: u32, from: SocketAddr, socket: &TunnelSocket) {
        let Some(session) = self.by_index(index) else {
            return;
        };
        // A packet may have been on its way here while the peer's address was settled.
        let elsewhere = |outgoing: &&Arc<Outgoing>| outgoing.path().remote() != from;
        let first = session.outgoing.as_ref().map(|lanes| lanes.lane(0));
        let Some(outgoing) = first.filter(elsewhere) else {
            return;
        };
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
            session
                .sealing()
                .for_each(|outgoing| outgoing.set_path(Path::new(from, to)));
        }
        Some(moved)
    }

    /// Sessions whose control stream will end soon, since nothing comes through it any more: the peer's address
    /// or ours has changed, and QUIC did not follow.
    pub(super) fn stranded(&mut self, links: &Links, now: Instant) -> Vec<ConnId> {
        let stranded =
            |session: &mut Session| session.control.is_stranded(&session.connection, links, now);
        self.table
            .iter_mut()
            .filter_map(|(conn, session)| stranded(session).then_some(*conn))
            .collect()
    }

    fn by_index(&mut self, index: u32) -> Option<&mut Session> {
        let holds =
            |session: &&mut Session| session.incoming.iter().any(|lane| lane.index() == index);
        self.table.values_mut().find(holds)
    }
}

/// The chain that the peer presented. quinn gives it as rustls does: never absent after a handshake in
/// which both sides must present one.
fn chain_of(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let identity = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
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
