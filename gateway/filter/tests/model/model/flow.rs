//! [`Flow`]: a flow that our host opened, and for how long it is remembered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

const TCP_IDLE: Duration = Duration::from_secs(2 * 3600 + 4 * 60);
const HALF_CLOSED_IDLE: Duration = Duration::from_secs(600);
const CLOSED_IDLE: Duration = Duration::from_secs(60);
const UDP_IDLE: Duration = Duration::from_secs(180);
const ECHO_IDLE: Duration = Duration::from_secs(60);

/// The two ends of a flow, seen from our site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tuple {
    pub(super) kind: Kind,
    pub(super) ours: IpAddr,
    pub(super) our_port: u16,
    pub(super) theirs: IpAddr,
    pub(super) their_port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tcp,
    Udp,
    Echo,
}

/// A flow that our host opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// When our host last sent a packet.
    pub(super) seen: Instant,
    pub(super) our_fin: bool,
    pub(super) their_fin: bool,
    pub(super) reset: bool,
}

impl Flow {
    pub(super) fn new(seen: Instant) -> Flow {
        Flow {
            seen,
            our_fin: false,
            their_fin: false,
            reset: false,
        }
    }

    pub(super) fn is_alive(&self, kind: Kind, now: Instant) -> bool {
        let idle = match kind {
            Kind::Udp => UDP_IDLE,
            Kind::Echo => ECHO_IDLE,
            Kind::Tcp if self.reset || (self.our_fin && self.their_fin) => CLOSED_IDLE,
            Kind::Tcp if self.our_fin || self.their_fin => HALF_CLOSED_IDLE,
            Kind::Tcp => TCP_IDLE,
        };
        now < self.seen + idle
    }
}

pub(super) fn tuple(
    kind: Kind,
    ours: IpAddr,
    our_port: u16,
    theirs: IpAddr,
    their_port: u16,
) -> Tuple {
    Tuple {
        kind,
        ours,
        our_port,
        theirs,
        their_port,
    }
}
