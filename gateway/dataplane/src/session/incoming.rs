//! [`Incoming`]: the opening direction of a session.
//!
//! ```text
//! from the peer's address, or within the off-path budget ─► phase and window ─► AEAD ─► window marked
//!  off_path                                                  phase, replay      auth     phase advanced
//! ```
//! The receiving threads of all lanes may open; each packet is opened once. The control plane makes a session,
//! publishes it in a snapshot before its own `Hello` goes out, and adds the way to answer when the peer's `Hello` has
//! come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::phases::{self, Phases};
use super::{Outgoing, PACKETS_PER_PHASE};
use crate::budget::Budget;
use crate::counters::{Counters, DropReason};
use crate::header::{HEADER_LEN, Header, Kind};
use crate::keys::{Aead, Secret};
use crate::peer::Peer;
use crate::replay::Window;
use crate::snapshot::SiteNo;

/// In which the budgets below are counted: short, so that an address which changes again is heard of soon after.
const SPAN: Duration = Duration::from_millis(100);

/// Packets that are opened although they come from another address than the peer's: enough for the first data
/// after a change of address, too few to keep a core busy.
const OFF_PATH: u64 = 8;

/// Probes and echoes beside them: the echo that proves a new address comes among the data from there.
const OFF_PATH_PROBES: u64 = 8;

/// Reports of packets from another address: each is a challenge of some 60 bytes.
const REPORTS: u64 = 2;

/// The opening direction of a session.
pub struct Incoming {
    index: u32,
    site: SiteNo,
    phases: ArcSwap<Phases>,
    window: Window,
    answer: ArcSwapOption<Outgoing>,
    peer: Arc<Peer>,
    proved: AtomicBool,
    off_path: Budget,
    off_path_probes: Budget,
    reports: Budget,
}

impl Incoming {
    /// A session known by our `index`, whose sender is `peer`, a gateway of `site`.
    pub fn new(index: u32, aead: Aead, secret: &Secret, site: SiteNo, peer: Arc<Peer>) -> Incoming {
        Incoming {
            index,
            site,
            phases: ArcSwap::from_pointee(Phases::new(aead, secret, PACKETS_PER_PHASE)),
            window: Window::new(),
            answer: ArcSwapOption::empty(),
            peer,
            proved: AtomicBool::new(false),
            off_path: Budget::new(OFF_PATH, SPAN),
            off_path_probes: Budget::new(OFF_PATH_PROBES, SPAN),
            reports: Budget::new(REPORTS, SPAN),
        }
    }

    /// The same with phases of `len` packet numbers, as the sender has them: for tests, which cannot send 2²⁶.
    pub fn with_phases_of(self, aead: Aead, secret: &Secret, len: u64) -> Incoming {
        Incoming {
            phases: ArcSwap::from_pointee(Phases::new(aead, secret, len)),
            ..self
        }
    }

    /// Lets go of the keys of a phase that passed 10 s ago. Any thread may.
    pub fn forget_passed(&self, now: Instant) {
        phases::forget_passed(&self.phases, now);
    }

    /// Probes are answered through `outgoing` from now on, and its path is the peer's address.
    pub fn answer_through(&self, outgoing: Arc<Outgoing>) {
        self.answer.store(Some(outgoing));
    }

    /// Our index, which every packet carries.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The site of the gateway that seals.
    pub fn site(&self) -> SiteNo {
        self.site
    }

    /// Who seals.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The peer's counters.
    pub fn counters(&self) -> &Counters {
        self.peer.counters()
    }

    /// True once a packet has passed the AEAD and the control plane was told.
    pub fn is_proved(&self) -> bool {
        self.proved.load(Relaxed)
    }

    pub(crate) fn set_proved(&self) {
        self.proved.store(true, Relaxed);
    }

    /// The direction that answers.
    pub(crate) fn answer(&self) -> Option<Arc<Outgoing>> {
        self.answer.load_full()
    }

    /// True if a packet of this kind `from` there is on the path, or its path is not known yet; false if it is
    /// opened out of the budget for others. Error: [`DropReason::OffPath`].
    pub(crate) fn expect_from(
        &self,
        from: SocketAddr,
        kind: Kind,
        now: Instant,
    ) -> Result<bool, DropReason> {
        let on_path = self
            .answer
            .load()
            .as_ref()
            .is_none_or(|outgoing| outgoing.path().remote() == from);
        let budget = match kind {
            Kind::Packet(_) => &self.off_path,
            Kind::Probe => &self.off_path_probes,
        };
        if on_path || budget.take(now) {
            Ok(on_path)
        } else {
            Err(DropReason::OffPath)
        }
    }

    /// True if one more packet from another address may be reported now.
    pub(crate) fn may_report(&self, now: Instant) -> bool {
        self.reports.take(now)
    }

    /// Opens a packet, split by [`Header::split`], in place: the payload is `sealed` without its tag. True if
    /// its number is the highest so far. Any thread may open. Errors: [`DropReason::Phase`],
    /// [`DropReason::Replay`], [`DropReason::Auth`]; a packet that fails changes nothing but its own bytes.
    pub fn open(
        &self,
        header: &Header,
        additional: &[u8; HEADER_LEN],
        sealed: &mut [u8],
    ) -> Result<bool, DropReason> {
        let phases = self.phases.load();
        if phases.of(header.number) != Some(header.phase) {
            return Err(DropReason::Phase);
        }
        let key = phases.key(header.phase).ok_or(DropReason::Phase)?;
        if !self.window.admits(header.number) {
            return Err(DropReason::Replay);
        }
        if !key.open(header.number, additional, sealed) {
            return Err(DropReason::Auth);
        }
        if header.phase > phases.number() {
            phases::advance_to(&self.phases, header.phase);
        }
        self.window.mark(header.number).ok_or(DropReason::Replay)
    }
}
