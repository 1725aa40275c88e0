//! [`Sibling`]: one other gateway of this site, and whether it is alive.
//!
//! ```text
//!   Unknown ──► Heard ── no echo for 150 ms ──► Doubtful ── no proof in time ──► Silent
//!      │         ▲ ▲                              │   ▲                            │
//!      │         │ └──────── an echo ─────────────┤   │ no proof for 0.6 s         │
//!      │         │                                ▼   │                            │
//!      │         └──────────── an echo ────────── Apart ◄──── a proof ─────────────┤
//!      │                                            ▲                              │
//!      ├─ a proof through a peer ───────────────────┘                              │
//!      └─ no session, and no proof ────────────────────────────────────────────────┘
//! ```
//! An echo leads to Heard from every state; a `Bye` of the sibling leads to Left. A sibling that
//! answers without a session being possible is Refused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Contact, Refusal, View};
use crate::message::{Answer, SiblingMessage, SiblingState};
use crate::secret::Secret;

/// After the start, how long to wait for a sibling.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// After this gateway itself was stopped, how long to wait for a sibling: it has closed our
/// sessions, and new ones take a moment.
const RESUME_TIMEOUT: Duration = Duration::from_millis(1500);

/// Least time between two queries about a sibling.
const QUERY_INTERVAL: Duration = Duration::from_millis(200);

/// Least time between two queries about a sibling that counts as dead. It may be alive all the
/// same: behind a cut in the site's network, at a time when no peer could be asked.
const QUERY_INTERVAL_SILENT: Duration = Duration::from_secs(1);

/// How long a proof is valid, from the query on. Counted from the answer, a peer could hold the
/// answer back until the sibling is dead.
const PROOF_LIFETIME: Duration = Duration::from_millis(600);

/// Most queries that can be outstanding.
const MAX_QUERIES: usize = 8;

#[derive(Debug)]
pub(crate) struct Sibling {
    pub(crate) contact: Contact,
    /// The state that it reported last.
    pub(crate) state: Option<SiblingState>,
    /// The key of its proofs.
    secret: Option<Secret>,
    /// When its last echo arrived.
    pub(crate) heard: Option<Instant>,
    /// Until then, silence does not mean that it is dead: this gateway itself was stopped.
    grace_until: Option<Instant>,
    is_overdue: bool,
    last_query: Option<Instant>,
    last_proof: Option<Proof>,
    /// Outstanding queries, the latest first, with their times.
    queries: VecDeque<([u8; 16], Instant)>,
}

/// A verified answer to a query.
#[derive(Debug, Clone, Copy)]
struct Proof {
    /// The time of the query.
    at: Instant,
    state: SiblingState,
}

impl Sibling {
    /// `secret`: from an earlier run of this gateway.
    pub(crate) fn new(secret: Option<Secret>, now: Instant) -> Sibling {
        Sibling {
            contact: Contact::Unknown {
                until: now + START_TIMEOUT,
            },
            state: None,
            secret,
            heard: None,
            grace_until: None,
            is_overdue: false,
            last_query: None,
            last_proof: None,
            queries: VecDeque::new(),
        }
    }

    /// This gateway itself was suspended or stopped: what it knew is out of date.
    pub(crate) fn reset_contact(&mut self, now: Instant) {
        if self.contact != Contact::Unsupported {
            let until = now + RESUME_TIMEOUT;
            self.contact = Contact::Unknown { until };
            self.grace_until = Some(until);
            self.queries.clear();
        }
    }

    /// Updates the contact from the state of the tunnel. `timeout`: how long to wait for answers of
    /// peers.
    pub(crate) fn observe(&mut self, view: View, timeout: Duration, now: Instant) {
        self.is_overdue = false;
        match view {
            View::Pending => {}
            View::Unsupported => {
                self.contact = Contact::Unsupported;
                self.state = None;
            }
            View::Answering {
                heard,
                since,
                message,
                is_overdue,
            } => {
                self.heard = Some(heard);
                self.is_overdue = is_overdue;
                if let Some(message) = message {
                    self.handle_message(message, since);
                }
                if self.state.is_some() {
                    self.contact = Contact::Heard;
                }
            }
            View::Silent => match self.contact {
                Contact::Heard | Contact::Unknown { .. } if self.is_in_grace(now) => {
                    let until = self.grace_until.unwrap_or(now);
                    self.contact = Contact::Unknown { until };
                }
                Contact::Heard => self.suspect(timeout, now),
                // After the start: until the first peers are connected and have been asked.
                Contact::Unknown { .. } if self.awaits_proof(timeout, now) => {}
                Contact::Unknown { .. }
                | Contact::Unsupported
                | Contact::Refused(Refusal::Copy) => self.contact = Contact::Silent,
                _ => {}
            },
            View::Left => self.contact = Contact::Left,
            View::Refused(refusal) => {
                self.contact = Contact::Refused(refusal);
                // The next session is refused too. Without a state, an echo on it does not count.
                self.state = None;
            }
        }
        self.expire(now);
    }

    fn is_in_grace(&self, now: Instant) -> bool {
        self.grace_until.is_some_and(|until| now < until)
    }

    /// True while a proof may still arrive, from the first query on.
    fn awaits_proof(&self, timeout: Duration, now: Instant) -> bool {
        let first = self.queries.back();

        self.secret.is_some() && first.is_none_or(|(_, sent)| now < *sent + timeout)
    }

    fn suspect(&mut self, timeout: Duration, now: Instant) {
        // Peers were asked when the first echo was overdue, and may have answered already.
        let valid = self
            .last_proof
            .filter(|proof| now < proof.at + PROOF_LIFETIME);
        if let Some(proof) = valid.filter(|proof| self.heard < Some(proof.at)) {
            return self.apply_proof(proof);
        }

        let query = self.last_query.filter(|sent| now < *sent + QUERY_INTERVAL);
        let until = query.unwrap_or(now) + timeout;

        self.contact = Contact::Doubtful { until };
    }

    /// Applies a message on the session that was established at `since`. A proof through a peer may
    /// carry a newer state: the latest messages on the session may still be in retransmission after
    /// a cut of the site's network.
    fn handle_message(&mut self, message: SiblingMessage, since: Instant) {
        let is_restarted = self.secret != Some(message.secret);
        let is_latest = self.last_proof.is_none_or(|proof| proof.at < since);

        self.secret = Some(message.secret);
        if is_restarted || is_latest || self.is_newer(&message.state) {
            self.state = Some(message.state);
        }
    }

    fn apply_proof(&mut self, proof: Proof) {
        self.contact = Contact::Apart { proved: proof.at };
        if self.is_newer(&proof.state) {
            self.state = Some(proof.state);
        }
    }

    fn is_newer(&self, state: &SiblingState) -> bool {
        self.state.is_none_or(|known| known.serial <= state.serial)
    }

    /// Ends a state whose time is over.
    fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.contact = Contact::Silent;
        }
    }

    /// True if it counts as alive, so that its state takes part in the election.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.contact, Contact::Heard | Contact::Apart { .. })
    }

    /// True while it is not decided whether it is alive.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(
            self.contact,
            Contact::Unknown { .. } | Contact::Doubtful { .. }
        )
    }

    /// The key of its proofs.
    pub(crate) fn secret(&self) -> Option<Secret> {
        self.secret
    }

    /// True if it is time to query peers about it. `may_change_role`: this gateway would take over
    /// if the sibling were dead.
    pub(crate) fn is_query_due(&self, may_change_role: bool, now: Instant) -> bool {
        let interval = match self.contact {
            Contact::Heard if self.is_overdue && may_change_role => QUERY_INTERVAL,
            Contact::Unknown { .. } | Contact::Doubtful { .. } | Contact::Apart { .. } => {
                QUERY_INTERVAL
            }
            Contact::Silent | Contact::Refused(_) => QUERY_INTERVAL_SILENT,
            Contact::Heard | Contact::Unsupported | Contact::Left => return false,
        };

        let is_due = self.last_query.is_none_or(|sent| sent + interval <= now);
        is_due && self.secret.is_some()
    }

    pub(crate) fn note_query(&mut self, nonce: [u8; 16], now: Instant) {
        self.last_query = Some(now);
        self.queries.truncate(MAX_QUERIES - 1);
        self.queries.push_front((nonce, now));
    }

    /// Handles a proof that it is alive. False if the proof is invalid or outdated.
    pub(crate) fn handle_proof(&mut self, nonce: [u8; 16], answer: Answer, now: Instant) -> bool {
        let Answer { state, proof } = answer;
        let Some(index) = self.queries.iter().position(|(sent, _)| *sent == nonce) else {
            return false;
        };
        let is_valid = self
            .secret
            .is_some_and(|secret| secret.prove(nonce, &state) == proof);
        if !is_valid {
            return false;
        }

        // A nonce is used once. The proof shows that the sibling was alive after the query was
        // sent, not when the answer arrived.
        let Some((_, at)) = self.queries.remove(index) else {
            return false;
        };
        let is_latest = self.last_proof.is_none_or(|known| known.at < at);
        if at + PROOF_LIFETIME <= now || !is_latest {
            return false;
        }

        let proof = Proof { at, state };
        self.last_proof = Some(proof);
        if self.depends_on_proof() {
            self.apply_proof(proof);
        }
        true
    }

    /// True if nothing but a proof can show that it is alive.
    fn depends_on_proof(&self) -> bool {
        matches!(
            self.contact,
            Contact::Unknown { .. }
                | Contact::Doubtful { .. }
                | Contact::Apart { .. }
                | Contact::Silent
                | Contact::Refused(_)
        )
    }

    /// When the current state expires without an event.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.contact {
            Contact::Unknown { until } | Contact::Doubtful { until } => Some(until),
            Contact::Apart { proved } => Some(proved + PROOF_LIFETIME),
            Contact::Unsupported
            | Contact::Heard
            | Contact::Silent
            | Contact::Left
            | Contact::Refused(_) => None,
        }
    }
}
