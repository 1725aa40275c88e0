//! [`Client`]: one WireGuard client, its sessions and where it is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gotatun::noise::Tunn;
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use ringway_config::{NodeName, WireGuardKey};
use ringway_dataplane::Path;

use crate::counts::Counts;

/// A client that is silent for so long has no session any more (the WireGuard paper, section 6:
/// Reject-After-Time).
pub(crate) const SILENT: Duration = Duration::from_secs(180);

pub(crate) struct Client {
    pub(crate) key: WireGuardKey,
    pub(crate) tunn: Tunn,
    /// Where its last authenticated packet came from, and to which address of ours.
    path: Option<Path>,
    /// When that was.
    heard: Option<Instant>,
    /// When it last sent more than keep-alives, or began a session.
    used: Option<Instant>,
    /// Since when it is heard without long silence.
    since: Option<Instant>,
    received: u64,
    sent: u64,
    pub(crate) counts: Counts,
}

/// What is known of one client, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// The node.
    pub name: NodeName,
    /// It was heard of in the last three minutes.
    pub is_up: bool,
    /// Since when it is so; none if it was never heard of.
    pub since: Option<Instant>,
    /// When it was heard of last.
    pub heard: Option<Instant>,
    /// Where its packets come from.
    pub remote: Option<SocketAddr>,
    /// Bytes of WireGuard's datagrams that were received.
    pub received: u64,
    /// Bytes of WireGuard's datagrams that were sent.
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
            heard: None,
            used: None,
            since: None,
            received: 0,
            sent: 0,
            counts: Counts::default(),
        }
    }

    /// An authenticated datagram of `len` bytes came along `path`.
    pub(crate) fn heard(&mut self, path: Path, len: usize, now: Instant) {
        if !self.is_up(now) {
            self.since = Some(now);
            self.used = Some(now);
        }
        self.path = Some(path);
        self.heard = Some(now);
        self.received += len as u64;
    }

    /// It was no keep-alive.
    pub(crate) fn used(&mut self, now: Instant) {
        self.used = Some(now);
    }

    /// When it used this gateway last, if it still has a session.
    pub(crate) fn last_use(&self, now: Instant) -> Option<Instant> {
        self.used.filter(|_| self.is_up(now))
    }

    pub(crate) fn is_up(&self, now: Instant) -> bool {
        self.heard.is_some_and(|heard| now < heard + SILENT)
    }

    /// Where it is reached.
    pub(crate) fn path(&self) -> Option<Path> {
        self.path
    }

    pub(crate) fn sent(&mut self, len: usize) {
        self.sent += len as u64;
    }

    /// What waits for a session, if there is one now.
    pub(crate) fn waiting(&mut self, mtu: &mut MtuWatcher) -> Vec<WgKind> {
        // Without one, gotatun would begin a handshake beside that of the client.
        if !self.tunn.has_active_session() {
            return Vec::new();
        }

        self.tunn.get_queued_packets(mtu).collect()
    }

    /// Seals `packet`, or begins the handshake that it waits for.
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
                self.heard.map(|heard| heard + SILENT)
            },
            heard: self.heard,
            remote: self.path.map(|path| path.remote()),
            received: self.received,
            sent: self.sent,
            counts: self.counts.clone(),
        }
    }
}
