//! [`Contact`]: whether a sibling is alive, and [`View`]: what the tunnel to it says of that.

use std::time::Instant;

use crate::message::SiblingMessage;

/// The state of the tunnel to a sibling.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View {
    /// The first attempt to connect has not ended, or no probe has been echoed yet.
    Pending,
    /// The sibling's version does not support [`SIBLINGS`](crate::message::SIBLINGS).
    Unsupported,
    /// Probes are echoed.
    Answering {
        /// When the last echo arrived.
        heard: Instant,
        /// When the session was established.
        since: Instant,
        /// The last message on this session.
        message: Option<SiblingMessage>,
        /// The next echo is overdue.
        is_overdue: bool,
    },
    /// Probes are not echoed, or there is no session.
    Silent,
    /// The sibling has sent `Bye`.
    Left,
    /// The sibling answers, but no session is possible.
    Refused(Refusal),
}

/// Whether a sibling is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Not known yet.
    Unknown {
        /// When it counts as silent.
        until: Instant,
    },
    /// Its version does not support siblings: it takes no part in the election.
    Unsupported,
    /// It answers.
    Heard,
    /// It does not answer here; peers have been asked.
    Doubtful {
        /// When it counts as silent.
        until: Instant,
    },
    /// It does not answer here, but has proved through a peer that it is alive: the site's network
    /// is partitioned.
    Apart {
        /// The time of the query: the sibling was alive after it.
        proved: Instant,
    },
    /// Neither the sibling nor a proof of it has been heard: it counts as dead.
    Silent,
    /// It has stopped.
    Left,
    /// It answers, but no session is possible.
    Refused(Refusal),
}

/// Why no session with a sibling is possible although it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has a session with another daemon that uses our identity.
    Copy,
    /// One of the two does not accept the other's certificate: it has expired or was revoked, or a
    /// clock is wrong. The contact remains until the sibling is heard or proved to be alive.
    Certificate,
}
