//! [`Changes`]: the queue of changes to what is in force. One change at a time; of each kind only
//! the latest waits, and none is lost.
//!
//! ```text
//!           submit                     finish, nothing waits
//!   Idle ────────────► Busy(stage) ────────────────────────────► Idle
//!                       │   ▲  submit: waits
//!                       └───┘  finish: the next of what waits
//!
//!   reload        Reading ─► BuildingZone ─► Guarding ─► Adopting
//!                                   └─ same guard ─► Adopting ─► Reguarding
//!      └── a fault, anywhere before Adopting ─► Narrowing ─► Adopting ─► Reguarding
//!   certificate   ReadingIdentity
//!   host change   Reguarding, if the guard's rules changed
//!   guard         Reguarding: it was refused before
//!
//!   any ── close ──► Closed: waiting changes are dropped, answers of ports change nothing any more
//! ```
//! Every answer names the change that asked. An answer that comes late, or twice, finds another
//! change or another stage, and is ignored.

use ringway_intent::Links;

use crate::next::{Adoption, NextConfig};

/// Names one change in the answers of the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(pub u64);

/// What asks for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// The host has these addresses now.
    Host(Links),
    /// The files of our certificate changed.
    Certificate,
    /// The guard was refused: once more.
    Guard,
    /// SIGHUP.
    Reload,
}

/// How far a change has come: what is awaited.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The files.
    Reading,
    /// Our zone.
    BuildingZone(Box<NextConfig>),
    /// What both the files and what is in force allow: the reload was refused.
    Narrowing,
    /// The new guard's rules; only then the rest follows.
    Guarding(Box<Adoption>),
    /// Trust and names are being put in force.
    Adopting(Box<Adoption>),
    /// The rules of the guard follow what is in force already.
    Reguarding,
    /// The certificate's files.
    ReadingIdentity,
}

/// The change that is being made, and what waits for its end.
#[derive(Debug, Default)]
pub(crate) enum Changes {
    /// Nothing is being changed.
    #[default]
    Idle,
    /// One change is being made.
    Busy {
        id: ChangeId,
        /// `None` while the shell looks at an answer.
        stage: Option<Stage>,
        waiting: Waiting,
    },
    /// The daemon shuts down.
    Closed,
}

/// What waits for the end of a change: the latest of each kind.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    host: Option<Links>,
    certificate: bool,
    guard: bool,
    reload: bool,
}

impl Waiting {
    fn add(&mut self, request: Request) {
        match request {
            Request::Host(links) => self.host = Some(links),
            Request::Certificate => self.certificate = true,
            Request::Guard => self.guard = true,
            Request::Reload => self.reload = true,
        }
    }

    /// The next request. A reload comes last, although it reads the host's addresses and the
    /// certificate as well: it may be refused, and the others count all the same.
    fn next(&mut self) -> Option<Request> {
        if let Some(links) = self.host.take() {
            return Some(Request::Host(links));
        }
        if std::mem::take(&mut self.certificate) {
            return Some(Request::Certificate);
        }
        if std::mem::take(&mut self.guard) {
            return Some(Request::Guard);
        }

        std::mem::take(&mut self.reload).then_some(Request::Reload)
    }
}

impl Changes {
    /// Gives `request` back if it can be begun now, under this number; else it waits, in place of
    /// an earlier one of its kind.
    pub(crate) fn submit(&mut self, request: Request, id: ChangeId) -> Option<Request> {
        match self {
            Changes::Idle => {
                *self = Changes::Busy {
                    id,
                    stage: None,
                    waiting: Waiting::default(),
                };
                Some(request)
            }
            Changes::Busy { waiting, .. } => {
                waiting.add(request);
                None
            }
            // Nothing is begun, and nothing waits for an end that will not come.
            Changes::Closed => None,
        }
    }

    /// True if `change` is the one under way.
    pub(crate) fn is_under_way(&self, change: ChangeId) -> bool {
        matches!(self, Changes::Busy { id, .. } if *id == change)
    }

    /// The change under way now awaits this.
    pub(crate) fn await_stage(&mut self, next: Stage) {
        if let Changes::Busy { stage, .. } = self {
            *stage = Some(next);
        }
    }

    /// The stage that an answer to `change` finds, if that is the change under way and `expected`
    /// says that it awaits such an answer. The caller sets the next stage or finishes the change.
    pub(crate) fn take_stage(
        &mut self,
        change: ChangeId,
        expected: impl Fn(&Stage) -> bool,
    ) -> Option<Stage> {
        match self {
            // An answer that is late or repeated must leave the awaited stage in place.
            Changes::Busy { id, stage, .. } if *id == change => {
                stage.take_if(|stage| expected(stage))
            }
            _ => None,
        }
    }

    /// The change under way has ended. Gives the next request, which is under way now as `id`.
    pub(crate) fn finish(&mut self, id: ChangeId) -> Option<Request> {
        let Changes::Busy { waiting, .. } = self else {
            return None;
        };

        let mut waiting = std::mem::take(waiting);
        let Some(request) = waiting.next() else {
            *self = Changes::Idle;
            return None;
        };

        // Under a new number, so that late answers to the change that ended find nothing.
        *self = Changes::Busy {
            id,
            stage: None,
            waiting,
        };
        Some(request)
    }

    /// Drops the change under way and what waits for its end.
    pub(crate) fn close(&mut self) {
        *self = Changes::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ChangeId = ChangeId(1);
    const SECOND: ChangeId = ChangeId(2);

    fn is_reading(stage: &Stage) -> bool {
        matches!(stage, Stage::Reading)
    }

    #[test]
    fn one_change_at_a_time_and_the_latest_of_each_kind_waits() {
        let mut changes = Changes::default();
        let host = |interface: &str| {
            Request::Host(Links::from_addresses([ringway_intent::Address {
                interface: interface.into(),
                own: "10.0.0.1".parse().unwrap(),
                network: "10.0.0.0/24".parse().unwrap(),
                preferred: true,
            }]))
        };

        assert_eq!(
            changes.submit(Request::Reload, FIRST),
            Some(Request::Reload)
        );
        for request in [
            Request::Reload,
            host("eth0"),
            Request::Certificate,
            host("eth1"),
            Request::Reload,
        ] {
            assert_eq!(changes.submit(request, SECOND), None);
        }

        assert_eq!(changes.finish(ChangeId(3)), Some(host("eth1")));
        assert_eq!(changes.finish(ChangeId(4)), Some(Request::Certificate));
        assert_eq!(changes.finish(ChangeId(5)), Some(Request::Reload));
        assert_eq!(changes.finish(ChangeId(6)), None);
        assert!(matches!(changes, Changes::Idle));
    }

    #[test]
    fn an_answer_counts_once_and_for_its_change_only() {
        let mut changes = Changes::default();
        changes.submit(Request::Reload, FIRST);
        changes.await_stage(Stage::Reading);

        assert!(changes.take_stage(SECOND, is_reading).is_none());
        assert!(
            changes
                .take_stage(FIRST, |stage| matches!(stage, Stage::Reguarding))
                .is_none()
        );
        assert!(changes.take_stage(FIRST, is_reading).is_some());
        assert!(changes.take_stage(FIRST, is_reading).is_none());
        assert!(changes.is_under_way(FIRST) && !changes.is_under_way(SECOND));
    }

    #[test]
    fn nothing_begins_after_the_queue_is_closed() {
        let mut changes = Changes::default();
        changes.submit(Request::Reload, FIRST);
        changes.await_stage(Stage::Reguarding);
        changes.submit(Request::Certificate, SECOND);

        changes.close();
        assert_eq!(changes.submit(Request::Reload, SECOND), None);
        assert_eq!(changes.finish(SECOND), None);
        assert!(
            changes.take_stage(FIRST, |_| true).is_none(),
            "an answer that comes late"
        );
    }
}
