//! [`Links`]: the port to the peers. Numbers connections, verifies certificates against the trust
//! in force, and passes dials, messages and closes on to [`crate::quic`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use quinn::Connection;
use ringway_config::{Digest, Endpoint, GatewayId};
use ringway_core::{ByeCode, ConnId, DialId, ExternalText, Message, Role};
use ringway_identity::certificate::{Certificate, rfc3339};
use ringway_identity::{self as identity, Refusal, Trust};
use ringway_shell::{Activity, Handshake, Input, Untrusted, Verified};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::mpsc;

use crate::quic::accept::PeerAddresses;
use crate::quic::dial::Dialler;
use crate::quic::dialled::Dialled;
use crate::quic::event::{self, Event};
use crate::quic::link::{self, Link, Load, Outbox};
use crate::quic::refusals::Refusals;
use crate::quic::socket::plain;
use crate::tasks::Tasks;

/// All connections, by number.
pub struct Links {
    dialler: Dialler,
    peers: PeerAddresses,
    trust: Arc<ArcSwap<Trust>>,
    refusals: Arc<Refusals>,
    /// The last certificate of each peer.
    presented: BTreeMap<GatewayId, Digest>,
    events: mpsc::Sender<Event>,
    /// The tasks of the links. They outlive the daemon's other tasks until the last messages are
    /// sent.
    tasks: Tasks,
    table: BTreeMap<ConnId, Entry>,
    last: ConnId,
}

/// One connection.
struct Entry {
    connection: Connection,
    role: Role,
    /// The gateway that we dialled; `None` if the peer dialled us.
    dialled: Option<GatewayId>,
    chain: Vec<CertificateDer<'static>>,
    /// The keys of the peer's certificate chain.
    keys: Vec<Digest>,
    /// `None` until the control stream has started.
    outbox: Option<Outbox>,
}

/// The inputs from which the keys of a connection are derived.
pub(super) struct KeySource<'a> {
    pub(super) conn: ConnId,
    pub(super) connection: &'a Connection,
    pub(super) role: Role,
}

impl Links {
    /// No connections yet.
    pub fn new(
        dialler: Dialler,
        peers: PeerAddresses,
        trust: Arc<ArcSwap<Trust>>,
        refusals: Arc<Refusals>,
        events: mpsc::Sender<Event>,
    ) -> Links {
        Links {
            dialler,
            peers,
            trust,
            refusals,
            presented: BTreeMap::new(),
            events,
            tasks: Tasks::default(),
            table: BTreeMap::new(),
            last: ConnId(0),
        }
    }

    /// Converts an event into an input of the shell.
    pub(super) fn input(&mut self, event: Event) -> Input {
        match event {
            Event::Accepted(handshake) => self.register(handshake, Role::Accepter, None, None),
            Event::Dialled {
                dial,
                peer,
                handshake,
            } => {
                self.dialler.finish(dial);
                self.register(handshake, Role::Dialler, Some(dial), Some(peer))
            }
            Event::DialFailed { dial, error } => {
                self.dialler.finish(dial);
                Input::DialFailed { dial, error }
            }
            Event::Message { conn, incoming } => Input::Message { conn, incoming },
            Event::Disconnected { conn, error } => Input::Disconnected { conn, error },
        }
    }

    fn register(
        &mut self,
        handshake: event::Handshake,
        role: Role,
        dial: Option<DialId>,
        dialled: Option<GatewayId>,
    ) -> Input {
        let event::Handshake {
            connection,
            certificate,
        } = handshake;
        let chain = chain_of(&connection);
        let entry = Entry {
            keys: keys_of(&chain),
            chain,
            connection,
            role,
            dialled,
            outbox: None,
        };

        // The trust may have changed since the handshake began.
        let verdict = entry.verify(&self.trust.load()).map_err(ExternalText::new);
        if let Ok(verified) = &verdict {
            self.note_certificate(&verified.peer, &entry.chain);
        }
        let input = Handshake {
            role,
            dial,
            remote: plain(entry.connection.remote_address()),
            local: entry.connection.local_ip(),
            rtt: entry.connection.rtt(),
            certificate,
            verdict,
        };

        // Numbers are never reused: an event of an ended connection must not reach a later one.
        let conn = ConnId(self.last.0 + 1);
        self.last = conn;
        self.table.insert(conn, entry);
        Input::Connected {
            conn,
            handshake: input,
        }
    }

    /// Logs that a peer's certificate has changed: it was renewed, or somebody who has the CA
    /// issued another one.
    fn note_certificate(&mut self, peer: &GatewayId, chain: &[CertificateDer<'_>]) {
        let Some(certificate) = leaf_of(chain) else {
            return;
        };

        let fingerprint = certificate.fingerprint;
        let before = self.presented.insert(peer.clone(), fingerprint);
        if before.is_some_and(|before| before != fingerprint) {
            let until = rfc3339(certificate.not_after);
            tracing::info!(
                %peer, serial = certificate.serial, %fingerprint, until,
                "Peer has another certificate"
            );
        }
    }

    /// The certificate that the peer of a connection has presented.
    pub(super) fn certificate(&self, conn: ConnId) -> Option<Certificate> {
        leaf_of(&self.table.get(&conn)?.chain)
    }

    /// Counts of refused handshakes, by reason.
    pub(super) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.refusals.counts()
    }

    pub(super) fn dial(&mut self, dial: DialId, peer: GatewayId, endpoints: Vec<Endpoint>) {
        self.dialler.start(dial, peer, endpoints);
    }

    /// Results of the dials so far.
    pub(super) fn dialled(&self) -> &Dialled {
        self.dialler.dialled()
    }

    pub(super) fn abandon(&mut self, dial: DialId) {
        self.dialler.abandon(dial);
    }

    pub(super) fn start(&mut self, conn: ConnId, peer: GatewayId) {
        if let Some(entry) = self.table.get_mut(&conn) {
            let link = Link {
                conn,
                peer,
                role: entry.role,
                connection: entry.connection.clone(),
            };
            entry.outbox = Some(link::start(link, self.events.clone(), &self.tasks));
        }
    }

    pub(super) fn refuse(&mut self, conn: ConnId) {
        if let Some(entry) = self.table.remove(&conn) {
            // Sends no reason to the peer, which may be a stranger. The log has it.
            entry.connection.close(0u8.into(), b"");
        }
    }

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.table.get(&conn)?.outbox.as_ref()
    }

    pub(super) fn send(&self, conn: ConnId, message: &Message) {
        if let Some(outbox) = self.outbox(conn) {
            outbox.send(message.encode());
        }
    }

    /// Sends messages that may exceed the queue, as fast as the peer reads them.
    pub(super) fn stream(&self, conn: ConnId, messages: Load) {
        if let Some(outbox) = self.outbox(conn) {
            outbox.stream(messages);
        }
    }

    pub(super) fn close_one(&mut self, conn: ConnId, code: ByeCode) {
        let entry = self.table.remove(&conn);

        if let Some(outbox) = entry.and_then(|entry| entry.outbox) {
            outbox.close(code);
        }
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.table.remove(&conn);
    }

    pub(super) fn activity(&self) -> Vec<Activity> {
        self.table
            .iter()
            .map(|(conn, entry)| {
                // Counts only frames that a live peer sends and that QUIC has authenticated.
                let received = entry.connection.stats().frame_rx;
                Activity {
                    conn: *conn,
                    frames: received.acks + received.ping + received.stream,
                    local: entry.connection.local_ip(),
                }
            })
            .collect()
    }

    pub(super) fn expect(&self, addresses: BTreeSet<IpAddr>) {
        self.peers.store(Arc::new(addresses));
    }

    /// Connections whose certificates the trust in force refuses.
    pub(super) fn untrusted(&self) -> Vec<Untrusted> {
        let trust = self.trust.load();

        self.table
            .iter()
            .filter_map(|(conn, entry)| {
                Some(Untrusted {
                    conn: *conn,
                    reason: ExternalText::new(entry.verify(&trust).err()?),
                })
            })
            .collect()
    }

    /// The keys of the certificate chain that the peer has presented.
    pub(super) fn keys(&self, conn: ConnId) -> Vec<Digest> {
        let entry = self.table.get(&conn);
        entry.map(|entry| entry.keys.clone()).unwrap_or_default()
    }

    pub(super) fn key_source(&self, conn: ConnId) -> Option<KeySource<'_>> {
        let entry = self.table.get(&conn)?;

        Some(KeySource {
            conn,
            connection: &entry.connection,
            role: entry.role,
        })
    }

    /// Waits until every link has sent its last message, for at most `patience`. False if some have
    /// not.
    pub(super) async fn close(self, patience: Duration) -> bool {
        self.tasks.end_within(patience).await
    }
}

impl Entry {
    fn verify(&self, trust: &Trust) -> Result<Verified, Refusal> {
        let role = match self.role {
            Role::Dialler => identity::Role::Server,
            Role::Accepter => identity::Role::Client,
        };
        let now = UnixTime::now();

        // When we dialled, the certificate must be that gateway's. A peer that dials may be any
        // member.
        let verified = trust.verify(&self.chain, role, self.dialled.as_ref(), now)?;

        Ok(Verified {
            peer: verified.id,
            expires: Duration::from_secs(verified.not_after.as_secs()),
        })
    }
}

fn leaf_of(chain: &[CertificateDer<'_>]) -> Option<Certificate> {
    Certificate::read(chain.first()?).ok()
}

/// The keys of the chain's certificates. One that cannot be parsed is skipped: no trust accepts a
/// chain with such a certificate.
fn keys_of(chain: &[CertificateDer<'_>]) -> Vec<Digest> {
    chain
        .iter()
        .filter_map(|der| Certificate::read(der).ok())
        .map(|certificate| certificate.key)
        .collect()
}

/// The chain that the peer has presented. It always exists after a handshake with mutual
/// authentication, and quinn returns it in the type of rustls.
fn chain_of(connection: &Connection) -> Vec<CertificateDer<'static>> {
    connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
        .map(|chain| *chain)
        .unwrap_or_default()
}
