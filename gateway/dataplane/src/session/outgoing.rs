//! [`Outgoing`]: the sealing direction of a session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;

use super::phases::Phases;
use super::{PACKETS, phase_of};
use crate::counters::{Counters, DropReason};
use crate::header::{HEADER_LEN, Header, Kind, TAG_LEN};
use crate::keys::{Aead, Secret};

/// Where sealed packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    remote: SocketAddr,
    local: Option<IpAddr>,
}

impl Path {
    /// To `remote`, from the local address `local`; `None` leaves the choice to the kernel's routes.
    /// Both are kept in their plain form: `::ffff:192.0.2.1` becomes `192.0.2.1`.
    pub fn new(remote: SocketAddr, local: Option<IpAddr>) -> Path {
        let remote = match remote.ip().to_canonical() {
            IpAddr::V4(address) => SocketAddr::from((address, remote.port())),
            IpAddr::V6(_) => remote,
        };
        Path { remote, local: local.map(|local| local.to_canonical()) }
    }

    /// Address and port of the peer.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The local address to send from, if it is fixed.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }
}

/// The sealing direction of a session. Any thread may seal; a packet number is given out once.
pub struct Outgoing {
    index: u32,
    numbers: AtomicU64,
    phases: ArcSwap<Phases>,
    path: ArcSwap<Path>,
    counters: Arc<Counters>,
}

impl Outgoing {
    /// A session that seals for the peer's `index`, starting with phase 0 and packet 0. `counters` are the
    /// peer's, and may be shared by all of its sessions.
    pub fn new(index: u32, aead: Aead, secret: &Secret, path: Path, counters: Arc<Counters>) -> Outgoing {
        Outgoing {
            index,
            numbers: AtomicU64::new(0),
            phases: ArcSwap::from_pointee(Phases::new(aead, secret)),
            path: ArcSwap::from_pointee(path),
            counters,
        }
    }

    /// The receiver's index, which every packet carries.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Where packets go now.
    pub fn path(&self) -> Path {
        **self.path.load()
    }

    /// Sends along another path from the next packet on. Only to an address that has echoed a challenge.
    pub fn move_to(&self, path: Path) {
        self.path.store(Arc::new(path));
    }

    /// The peer's counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// How many packet numbers were given out: 2³⁴ is the end of the session.
    pub fn packets(&self) -> u64 {
        self.numbers.load(Relaxed)
    }

    /// Takes `count` consecutive packet numbers and gives the first. Error: [`DropReason::Exhausted`].
    pub fn reserve(&self, count: usize) -> Result<u64, DropReason> {
        // A u64 does not wrap: 2³⁰ years of asking after the end.
        let first = self.numbers.fetch_add(count as u64, Relaxed);
        if first + count as u64 <= PACKETS { Ok(first) } else { Err(DropReason::Exhausted) }
    }

    /// Seals `buffer`, which holds a payload between [`HEADER_LEN`] bytes in front and [`TAG_LEN`] behind,
    /// under a number from [`Outgoing::reserve`]. Error: [`DropReason::Exhausted`], if the number's key is
    /// no longer held.
    pub fn seal(&self, kind: Kind, number: u64, buffer: &mut [u8]) -> Result<(), DropReason> {
        let phase = phase_of(number).ok_or(DropReason::Exhausted)?;
        let mut phases = self.phases.load();
        if phases.number() < phase {
            self.advance_to(phase);
            phases = self.phases.load();
        }
        let key = phases.key(phase).ok_or(DropReason::Exhausted)?;
        let header = Header { kind, phase, index: self.index, number }.encode();
        let payload = HEADER_LEN..buffer.len() - TAG_LEN;
        let tag = key.seal(number, &header, &mut buffer[payload.clone()]);
        buffer[..HEADER_LEN].copy_from_slice(&header);
        buffer[payload.end..].copy_from_slice(&tag);
        Ok(())
    }

    /// Two threads may come here at once: both derive the same keys, and one of them is kept.
    fn advance_to(&self, phase: u8) {
        self.phases.rcu(
            |phases| {
                if phases.number() < phase { Arc::new(phases.advanced()) } else { phases.clone() }
            },
        );
    }
}
