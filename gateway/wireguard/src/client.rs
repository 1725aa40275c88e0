//! [`Client`]: the session state and the current endpoint of one WireGuard client.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gotatun::noise::Tunn;
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use ringway_config::{NodeName, WireGuardKey};
use ringway_dataplane::Path;

use crate::counts::Counts;

/// Lifetime of a session without a packet from the client (the WireGuard paper, section 6:
/// Reject-After-Time).
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(180);

/// A client that is there answers a handshake within this time (the WireGuard paper, section 6.1:
/// Rekey-Timeout).
const ANSWER: Duration = Duration::from_secs(5);

/// After a restart of the gateway, a client's keep-alives bring it back within this time. Until
/// then its connections may go on.
const RETURN: Duration = Duration::from_secs(60);

/// Whether a client is absent.
pub(crate) enum Absence {
    /// It is here, or that is not known yet.
    None,
    /// It is absent.
    Known {
        /// For so long that its connections are over.
        is_long: bool,
    },
}

pub(crate) struct Client {
    pub(crate) key: WireGuardKey,
    pub(crate) tunn: Tunn,
    /// Source of its last authenticated packet, and the local address that it was sent to.
    path: Option<Path>,
    /// When that packet arrived.
    last_received: Option<Instant>,
    /// While it is down: when the first packet was to go to it.
    missed: Option<Instant>,
    /// When it last sent anything other than a keep-alive.
    last_used: Option<Instant>,
    /// When it came up.
    since: Option<Instant>,
    received: u64,
    sent: u64,
    pub(crate) counts: Counts,
}

/// State of one client, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// Name of the attached node.
    pub name: NodeName,
    /// True if a packet arrived in the last three minutes.
    pub is_up: bool,
    /// When it came up or went down; none if it has never been up.
    pub since: Option<Instant>,
    /// When its last packet arrived.
    pub last_received: Option<Instant>,
    /// Its current endpoint.
    pub remote: Option<SocketAddr>,
    /// Bytes of WireGuard datagrams received.
    pub received: u64,
    /// Bytes of WireGuard datagrams sent.
    pub sent: u64,
    /// Packets dropped, by reason.
    pub counts: Counts,
}

impl Client {
    pub(crate) fn new(key: WireGuardKey, tunn: Tunn) -> Client {
        Client {
            key,
            tunn,
            path: None,
            missed: None,
            last_received: None,
            last_used: None,
            since: None,
            received: 0,
            sent: 0,
            counts: Counts::default(),
        }
    }

    /// Records an authenticated datagram of `len` bytes that arrived along `path`.
    pub(crate) fn on_received(&mut self, path: Path, len: usize, now: Instant) {
        self.missed = None;
        if !self.is_up(now) {
            self.since = Some(now);
            self.last_used = Some(now);
        }
        self.path = Some(path);
        self.last_received = Some(now);
        self.received += len as u64;
    }

    /// Records that the client sent anything other than a keep-alive.
    pub(crate) fn on_used(&mut self, now: Instant) {
        self.last_used = Some(now);
    }

    /// When it last used this gateway, if it still has a session.
    pub(crate) fn last_use(&self, now: Instant) -> Option<Instant> {
        self.last_used.filter(|_| self.is_up(now))
    }

    pub(crate) fn is_up(&self, now: Instant) -> bool {
        self.last_received
            .is_some_and(|heard| now < heard + SESSION_LIFETIME)
    }

    /// Whether it is absent. Called for each packet to it.
    pub(crate) fn absence(&mut self, now: Instant) -> Absence {
        if self.is_up(now) {
            return Absence::None;
        }

        let since = *self.missed.get_or_insert(now);
        let patience = if self.path.is_some() { ANSWER } else { RETURN };
        let is_long = since + patience <= now;
        // Where its endpoint is known, a handshake finds out first.
        if self.path.is_some() && !is_long {
            Absence::None
        } else {
            Absence::Known { is_long }
        }
    }

    /// The path to its current endpoint; none before its first packet.
    pub(crate) fn path(&self) -> Option<Path> {
        self.path
    }

    pub(crate) fn sent(&mut self, len: usize) {
        self.sent += len as u64;
    }

    /// Packets that waited for a session, sealed, if there is one now.
    pub(crate) fn take_queued(&mut self, mtu: &mut MtuWatcher) -> Vec<WgKind> {
        // Without a session, gotatun would start a second handshake beside the client's own.
        if !self.tunn.has_active_session() {
            return Vec::new();
        }

        self.tunn.get_queued_packets(mtu).collect()
    }

    /// Seals `packet`. Without a session, gotatun queues it and returns a handshake initiation.
    pub(crate) fn seal(&mut self, packet: &[u8], mtu: &mut MtuWatcher) -> Option<WgKind> {
        self.tunn
            .handle_outgoing_packet(Packet::copy_from(packet), Some(mtu))
    }

    pub(crate) fn status(&self, name: &NodeName, now: Instant) -> ClientStatus {
        let is_up = self.is_up(now);

        ClientStatus {
            name: name.clone(),
            is_up,
            since: if is_up {
                self.since
            } else {
                self.last_received.map(|heard| heard + SESSION_LIFETIME)
            },
            last_received: self.last_received,
            remote: self.path.map(|path| path.remote()),
            received: self.received,
            sent: self.sent,
            counts: self.counts.clone(),
        }
    }
}
