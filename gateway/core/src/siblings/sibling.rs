//! [`Sibling`]: what is known of one other gateway of this site, and whether it is alive.
//!
//! ```text
//!   Unknown ──► Heard ── no echo for 150 ms ──► Doubtful ── no proof in time ──► Silent
//!      │         ▲ ▲                              │   ▲                            │
//!      │         │ └──────── an echo ─────────────┤   │ no proof for 0.6 s         │
//!      │         │                                ▼   │                            │
//!      │         └──────────── an echo ────────── Apart ◄──── a proof ─────────────┤
//!      │                                            ▲                              │
//!      ├─ it proved to be alive through a peer ─────┘                              │
//!      └─ it cannot be reached, and no proof came ─────────────────────────────────┘
//! ```
//! An echo leads to Heard from everywhere, its goodbye to Left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::message::{Answer, SiblingMessage, SiblingState};
use crate::secret::Secret;

/// After the start, how long a sibling is waited for.
const START: Duration = Duration::from_secs(3);

/// After this gateway itself stood still, how long a sibling is waited for: it has given our
/// sessions up, and new ones take a moment.
const RETURN: Duration = Duration::from_millis(1500);

/// Least time between two questions through peers.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The same, about a sibling that is dead as far as is known: the site's network may be cut, and no
/// peer was there to say so.
const ASK_SELDOM: Duration = Duration::from_secs(1);

/// How long after a question its proof counts: that of one question may come late. Not from the
/// answer on: a peer could keep that back until the sibling is dead.
const PROOF: Duration = Duration::from_millis(600);

/// Questions whose answers still count.
const QUESTIONS: usize = 8;

/// What its tunnel shows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View {
    /// No attempt to reach it is over yet, or no echo has come on its session.
    Nothing,
    /// It does not know of siblings.
    Mute,
    /// Its session works.
    Answers {
        /// When the last echo came.
        heard: Instant,
        /// Since when the session is up.
        since: Instant,
        /// What it said last on this session.
        said: Option<SiblingMessage>,
        /// Echoes are overdue.
        is_overdue: bool,
    },
    /// No echo comes, or there is no session.
    Silent,
    /// It said that it stops.
    Left,
}

/// Whether it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Nothing is known yet.
    Unknown {
        /// When it counts as silent.
        until: Instant,
    },
    /// It runs a version that does not know of siblings, so that it takes no part.
    Mute,
    /// It answers.
    Heard,
    /// It does not answer; peers are asked.
    Doubtful {
        /// How long their word is waited for.
        until: Instant,
    },
    /// It does not answer here, but proved through a peer to be alive: the site's network is cut.
    Apart {
        /// When it was asked: it was alive then.
        proved: Instant,
    },
    /// It is dead, as far as can be known.
    Silent,
    /// It has stopped.
    Left,
}

#[derive(Debug)]
pub(crate) struct Sibling {
    pub(crate) contact: Contact,
    /// What it said last.
    pub(crate) state: Option<SiblingState>,
    /// What it proves to be alive by.
    secret: Option<Secret>,
    /// When its last echo came.
    pub(crate) heard: Option<Instant>,
    /// Until when its silence is no sign: this gateway stood still.
    excused: Option<Instant>,
    is_overdue: bool,
    asked: Option<Instant>,
    /// Its latest proof.
    proved: Option<Proved>,
    /// Each with the time at which it was asked.
    questions: VecDeque<([u8; 16], Instant)>,
}

/// A sibling that was alive by its own proof.
#[derive(Debug, Clone, Copy)]
struct Proved {
    /// When it was asked.
    at: Instant,
    /// What it was then.
    state: SiblingState,
}

impl Sibling {
    /// One that has proved to be alive by `secret` before this gateway's start, if it is known.
    pub(crate) fn new(secret: Option<Secret>, now: Instant) -> Sibling {
        Sibling {
            contact: Contact::Unknown { until: now + START },
            state: None,
            secret,
            heard: None,
            excused: None,
            is_overdue: false,
            asked: None,
            proved: None,
            questions: VecDeque::new(),
        }
    }

    /// This gateway itself has slept or stood still: nothing that it knew counts.
    pub(crate) fn forget(&mut self, now: Instant) {
        if self.contact != Contact::Mute {
            let until = now + RETURN;
            self.contact = Contact::Unknown { until };
            self.excused = Some(until);
            self.questions.clear();
        }
    }

    /// Takes what its tunnel shows. A word of peers about it is waited for as long as `patience`.
    pub(crate) fn observe(&mut self, view: View, patience: Duration, now: Instant) {
        self.is_overdue = false;
        match view {
            View::Nothing => {}
            View::Mute => {
                self.contact = Contact::Mute;
                self.state = None;
            }
            View::Answers {
                heard,
                since,
                said,
                is_overdue,
            } => {
                self.heard = Some(heard);
                self.is_overdue = is_overdue;
                if let Some(said) = said {
                    self.take_word(said, since);
                }
                if self.state.is_some() {
                    self.contact = Contact::Heard;
                }
            }
            View::Silent => match self.contact {
                Contact::Heard | Contact::Unknown { .. } if self.is_excused(now) => {
                    let until = self.excused.unwrap_or(now);
                    self.contact = Contact::Unknown { until };
                }
                Contact::Heard => self.doubt(patience, now),
                // After the start, until the first peers are there and have been asked.
                Contact::Unknown { .. } if self.may_be_proved(patience, now) => {}
                Contact::Unknown { .. } | Contact::Mute => self.contact = Contact::Silent,
                _ => {}
            },
            View::Left => self.contact = Contact::Left,
        }
        self.lapse(now);
    }

    fn is_excused(&self, now: Instant) -> bool {
        self.excused.is_some_and(|until| now < until)
    }

    /// True while a proof may come that it is alive although it cannot be reached.
    fn may_be_proved(&self, patience: Duration, now: Instant) -> bool {
        let first = self.questions.back();

        self.secret.is_some() && first.is_none_or(|(_, asked)| now < *asked + patience)
    }

    fn doubt(&mut self, patience: Duration, now: Instant) {
        // Peers were asked when the first echoes were overdue, and may have answered.
        let proved = self.proved.filter(|proved| now < proved.at + PROOF);
        if let Some(proved) = proved.filter(|proved| self.heard < Some(proved.at)) {
            return self.take_proof(proved);
        }

        let asked = self.asked.filter(|asked| now < *asked + ASK_AGAIN);
        let until = asked.unwrap_or(now) + patience;

        self.contact = Contact::Doubtful { until };
    }

    /// Takes what it has said on a session that is up `since` then. If it was proved through a peer
    /// meanwhile, what it said there may be newer: what was lost with the site's network comes
    /// later than the first echo.
    fn take_word(&mut self, said: SiblingMessage, since: Instant) {
        let is_restarted = self.secret != Some(said.secret);
        let is_latest = self.proved.is_none_or(|proved| proved.at < since);

        self.secret = Some(said.secret);
        if is_restarted || is_latest || self.is_news(&said.state) {
            self.state = Some(said.state);
        }
    }

    fn take_proof(&mut self, proved: Proved) {
        self.contact = Contact::Apart { proved: proved.at };
        if self.is_news(&proved.state) {
            self.state = Some(proved.state);
        }
    }

    fn is_news(&self, state: &SiblingState) -> bool {
        self.state.is_none_or(|known| known.serial <= state.serial)
    }

    fn lapse(&mut self, now: Instant) {
        let is_over = match self.contact {
            Contact::Unknown { until } | Contact::Doubtful { until } => until <= now,
            Contact::Apart { proved } => proved + PROOF <= now,
            Contact::Mute | Contact::Heard | Contact::Silent | Contact::Left => false,
        };
        if is_over {
            self.contact = Contact::Silent;
        }
    }

    /// True if it is alive, as far as is known, so that what it said counts.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.contact, Contact::Heard | Contact::Apart { .. })
    }

    /// True if it may be alive.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self.contact,
            Contact::Unknown { .. } | Contact::Doubtful { .. }
        )
    }

    /// What it proves to be alive by.
    pub(crate) fn secret(&self) -> Option<Secret> {
        self.secret
    }

    /// True if peers are to be asked about it now, by a gateway that `decides` whether it takes its
    /// place, or by the active one.
    pub(crate) fn is_to_be_asked(&self, decides: bool, now: Instant) -> bool {
        let pause = match self.contact {
            Contact::Heard if self.is_overdue && decides => ASK_AGAIN,
            Contact::Unknown { .. } | Contact::Doubtful { .. } | Contact::Apart { .. } => ASK_AGAIN,
            Contact::Silent => ASK_SELDOM,
            Contact::Heard | Contact::Mute | Contact::Left => return false,
        };

        let is_time = self.asked.is_none_or(|asked| asked + pause <= now);
        is_time && self.secret.is_some()
    }

    pub(crate) fn asked(&mut self, nonce: [u8; 16], now: Instant) {
        self.asked = Some(now);
        self.questions.truncate(QUESTIONS - 1);
        self.questions.push_front((nonce, now));
    }

    /// Takes a proof that it is alive; false if it is none.
    pub(crate) fn proved(&mut self, nonce: [u8; 16], answer: Answer, now: Instant) -> bool {
        let Answer { state, proof } = answer;
        let Some(index) = self.questions.iter().position(|(asked, _)| *asked == nonce) else {
            return false;
        };
        let is_right = self
            .secret
            .is_some_and(|secret| secret.prove(nonce, &state) == proof);
        if !is_right {
            return false;
        }

        // Each counts once, and says nothing about the time after the question.
        let Some((_, at)) = self.questions.remove(index) else {
            return false;
        };
        let is_latest = self.proved.is_none_or(|known| known.at < at);
        if at + PROOF <= now || !is_latest {
            return false;
        }

        let proved = Proved { at, state };
        self.proved = Some(proved);
        if self.is_unheard() {
            self.take_proof(proved);
        }
        true
    }

    /// True if only a proof can show that it is alive.
    fn is_unheard(&self) -> bool {
        matches!(
            self.contact,
            Contact::Unknown { .. }
                | Contact::Doubtful { .. }
                | Contact::Apart { .. }
                | Contact::Silent
        )
    }

    /// When [`Sibling::observe`] changes something although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.contact {
            Contact::Unknown { until } | Contact::Doubtful { until } => Some(until),
            Contact::Apart { proved } => Some(proved + PROOF),
            Contact::Mute | Contact::Heard | Contact::Silent | Contact::Left => None,
        }
    }
}
