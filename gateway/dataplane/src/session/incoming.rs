//! [`Incoming`]: the opening direction of a session.
//!
//! ```text
//! peer's address, or off-path budget ─► phase and window ─► AEAD ─► window marked,
//!  off_path                              phase, replay       auth    phase advanced
//! ```
//! The receiving threads of all lanes may open; each packet is opened once. The control plane makes
//! a session, publishes it in a snapshot before its `Hello` goes out, and pairs it with the
//! opposite direction when the peer's `Hello` has come.

use std::net::SocketAddr;
use std::sync::Arc;
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

/// Span of the budgets below. It is short, so that an address which changes twice is reported soon.
const SPAN: Duration = Duration::from_millis(100);

/// Packets in a span that are opened although they come from another address than the peer's:
/// enough for the first data after a change of address, too few to keep a core busy.
const OFF_PATH: u64 = 8;

/// Probes and echoes likewise. They are counted apart, because the echo that proves a new address
/// comes among data from there.
const OFF_PATH_PROBES: u64 = 8;

/// Reports in a span of packets from another address. Each causes a challenge of some 60 bytes.
const REPORTS: u64 = 2;

/// The opening direction of a session.
pub struct Incoming {
    index: u32,
    site: SiteNo,
    phases: ArcSwap<Phases>,
    window: Window,
    /// `None` until the peer's `Hello` has come.
    outgoing: ArcSwapOption<Outgoing>,
    peer: Arc<Peer>,
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
            outgoing: ArcSwapOption::empty(),
            peer,
            off_path: Budget::new(OFF_PATH, SPAN),
            off_path_probes: Budget::new(OFF_PATH_PROBES, SPAN),
            reports: Budget::new(REPORTS, SPAN),
        }
    }

    /// With phases of `len` packet numbers, as the sender has them. For tests, which cannot send
    /// 2²⁶ packets.
    #[doc(hidden)]
    pub fn with_phase_len(self, aead: Aead, secret: &Secret, len: u64) -> Incoming {
        Incoming {
            phases: ArcSwap::from_pointee(Phases::new(aead, secret, len)),
            ..self
        }
    }

    /// Drops the keys of a phase that ended 10 s ago. Any thread may call it.
    pub fn expire_keys(&self, now: Instant) {
        phases::expire_previous(&self.phases, now);
    }

    /// Answers probes through `outgoing` from now on, and takes its path for the peer's address.
    pub fn pair_with(&self, outgoing: Arc<Outgoing>) {
        self.outgoing.store(Some(outgoing));
    }

    /// Our index, which every packet carries.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The site of the gateway that seals.
    pub fn site(&self) -> SiteNo {
        self.site
    }

    /// The counters of the gateway that seals.
    pub fn counters(&self) -> &Counters {
        self.peer.counters()
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The opposite direction, once the two are paired.
    pub(crate) fn outgoing(&self) -> Option<Arc<Outgoing>> {
        self.outgoing.load_full()
    }

    /// Whether a packet of this kind may be opened that comes `from` there: true if that is the
    /// peer's address, or the peer's is not known yet; false if the packet is paid for by the
    /// budget for other addresses. Error: [`DropReason::OffPath`].
    pub(crate) fn expect_from(
        &self,
        from: SocketAddr,
        kind: Kind,
        now: Instant,
    ) -> Result<bool, DropReason> {
        let outgoing = self.outgoing.load();
        let is_on_path = outgoing
            .as_ref()
            .is_none_or(|outgoing| outgoing.path().remote() == from);

        let budget = match kind {
            Kind::Packet(_) | Kind::Handed(_) | Kind::Flows => &self.off_path,
            Kind::Probe => &self.off_path_probes,
        };

        // Nothing is decrypted yet: a flood of forged packets from elsewhere ends here, and the
        // peer's own address has no limit.
        if is_on_path || budget.take(now) {
            Ok(is_on_path)
        } else {
            Err(DropReason::OffPath)
        }
    }

    /// True if one more packet from another address may be reported now.
    pub(crate) fn may_report(&self, now: Instant) -> bool {
        self.reports.take(now)
    }

    /// Opens a packet in place: the payload is between the header and the tag afterwards. `header`
    /// is what [`Header::decode`] has read from it. True if its number is the highest so far. Any
    /// thread may open.
    ///
    /// Errors: [`DropReason::Phase`], [`DropReason::Replay`], [`DropReason::Auth`]. A packet that
    /// fails changes nothing but its own bytes.
    pub fn open(&self, header: &Header, datagram: &mut [u8]) -> Result<bool, DropReason> {
        let (additional, sealed) = datagram
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(DropReason::Short)?;

        let phases = self.phases.load();
        if phases.of(header.number) != Some(header.phase) {
            return Err(DropReason::Phase);
        }
        let key = phases.key(header.phase).ok_or(DropReason::Phase)?;

        // The cheap check first: a replayed packet costs no decryption.
        if !self.window.admits(header.number) {
            return Err(DropReason::Replay);
        }
        if !key.open(header.number, additional, sealed) {
            return Err(DropReason::Auth);
        }

        // Only an authentic packet moves phase and window.
        if header.phase > phases.number() {
            phases::advance_to(&self.phases, header.phase);
        }
        self.window.mark(header.number).ok_or(DropReason::Replay)
    }
}
