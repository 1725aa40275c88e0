//! [`Outgoing`]: the sealing direction of a session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::phases::{self, Phases};
use super::{PACKETS_PER_PHASE, PHASES};
use crate::counters::{Counters, DropReason};
use crate::header::{HEADER_LEN, Header, Kind, OVERHEAD, TAG_LEN};
use crate::keys::{Aead, Secret};
use crate::peer::{MIN_MTU, Peer};

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER: usize = 8;

/// Where sealed packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    remote: SocketAddr,
    local: Option<IpAddr>,
}

impl Path {
    /// To `remote`, from the local address `local`; `None` leaves the choice to the kernel's
    /// routes. Both are kept in their plain form: `::ffff:192.0.2.1` becomes `192.0.2.1`.
    pub fn new(remote: SocketAddr, local: Option<IpAddr>) -> Path {
        // A socket of both families reports IPv4 peers in the mapped form.
        let remote = match remote.ip().to_canonical() {
            IpAddr::V4(address) => SocketAddr::from((address, remote.port())),
            IpAddr::V6(_) => remote,
        };

        Path {
            remote,
            local: local.map(|local| local.to_canonical()),
        }
    }

    /// Address and port of the peer.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Bytes of the outer IP and UDP headers.
    pub(crate) fn headers(&self) -> usize {
        UDP_HEADER + if self.remote.is_ipv4() { 20 } else { 40 }
    }

    /// The local address to send from, if it is fixed.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }
}

/// The sealing direction of a session. Any thread may seal; a packet number is given out once.
pub struct Outgoing {
    index: u32,
    /// The next packet number.
    next: AtomicU64,
    /// Packet numbers of the session.
    end: u64,
    phases: ArcSwap<Phases>,
    path: ArcSwap<Path>,
    /// Bytes around an inner packet on this path. Kept beside the path because every packet needs
    /// them.
    overhead: AtomicUsize,
    peer: Arc<Peer>,
}

impl Outgoing {
    /// A session that seals for the `index` of `peer`, starting with phase 0 and packet 0.
    pub fn new(index: u32, aead: Aead, secret: &Secret, path: Path, peer: Arc<Peer>) -> Outgoing {
        Outgoing {
            index,
            next: AtomicU64::new(0),
            end: PHASES * PACKETS_PER_PHASE,
            phases: ArcSwap::from_pointee(Phases::new(aead, secret, PACKETS_PER_PHASE)),
            path: ArcSwap::from_pointee(path),
            overhead: AtomicUsize::new(path.headers() + OVERHEAD),
            peer,
        }
    }

    /// Shortens the phases to `len` packet numbers; the receiver must do the same. For tests, which
    /// cannot send 2²⁶ packets.
    #[doc(hidden)]
    pub fn with_phase_len(self, aead: Aead, secret: &Secret, len: u64) -> Outgoing {
        let phases = ArcSwap::from_pointee(Phases::new(aead, secret, len));
        Outgoing {
            phases,
            end: PHASES * len,
            ..self
        }
    }

    /// Drops the keys of a phase that ended 10 s ago. Any thread may call it.
    pub fn expire_keys(&self, now: Instant) {
        phases::expire_previous(&self.phases, now);
    }

    /// The receiver's index, which every packet carries.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Where packets go now.
    pub fn path(&self) -> Path {
        **self.path.load()
    }

    /// Sends along another path from the next packet on. Its remote must have echoed a challenge.
    pub fn set_path(&self, path: Path) {
        self.path.store(Arc::new(path));
        self.overhead.store(path.headers() + OVERHEAD, Relaxed);
    }

    /// The peer's counters.
    pub fn counters(&self) -> &Counters {
        self.peer.counters()
    }

    /// True if one more SYN that was held for the peer may be sent now.
    pub(crate) fn may_send_held_syn(&self, now: Instant) -> bool {
        self.peer.may_send_held_syn(now)
    }

    /// Bytes of the longest inner packet that goes to the peer in one outer packet. Longer ones go
    /// in fragments.
    pub fn max_packet(&self) -> usize {
        usize::from(self.peer.path_mtu()).saturating_sub(self.overhead.load(Relaxed))
    }

    /// The MTU of routes through this session: [`Outgoing::max_packet`], but at least what IPv6
    /// demands of every link.
    pub fn mtu(&self) -> usize {
        self.max_packet().max(usize::from(MIN_MTU))
    }

    /// Packet numbers that were given out. The session ends after 2³⁴.
    pub fn packets(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// Takes `count` consecutive packet numbers and gives the first. Error:
    /// [`DropReason::Exhausted`].
    pub fn reserve(&self, count: usize) -> Result<u64, DropReason> {
        // Does not wrap: callers end the session at the first error, 2⁶⁴ − 2³⁴ numbers earlier.
        let first = self.next.fetch_add(count as u64, Relaxed);

        if first + count as u64 <= self.end {
            Ok(first)
        } else {
            Err(DropReason::Exhausted)
        }
    }

    /// Seals `buffer`, which holds a payload between [`HEADER_LEN`] bytes in front and [`TAG_LEN`]
    /// behind, under a number from [`Outgoing::reserve`]. Error: [`DropReason::Exhausted`], if the
    /// number's key is no longer held.
    pub fn seal(&self, kind: Kind, number: u64, buffer: &mut [u8]) -> Result<(), DropReason> {
        let mut phases = self.phases.load();
        let phase = phases.of(number).ok_or(DropReason::Exhausted)?;
        if phases.number() < phase {
            // Another thread may have advanced already; then this changes nothing.
            phases::advance_to(&self.phases, phase);
            phases = self.phases.load();
        }

        let key = phases.key(phase).ok_or(DropReason::Exhausted)?;
        let header = Header {
            kind,
            phase,
            index: self.index,
            number,
        }
        .encode();

        // The header is additional data: authenticated, and sent in the clear.
        let payload = HEADER_LEN..buffer.len() - TAG_LEN;
        let tag = key.seal(number, &header, &mut buffer[payload.clone()]);
        buffer[..HEADER_LEN].copy_from_slice(&header);
        buffer[payload.end..].copy_from_slice(&tag);
        Ok(())
    }
}
