//! How sessions start: the connection, the two `Hello`s, and whether it is the peer's running daemon that
//! speaks.

use std::time::Instant;

use super::{Tunnel, timing};
use crate::action::Action;
use crate::alarm::Alarm;
use crate::boots::Boot;
use crate::close_reason::CloseReason;
use crate::context::Context;
use crate::id::{BootId, ConnId};
use crate::mesh::{Connected, Role};
use crate::message::VERSIONS;
use crate::message::{Hello, Lane, Message};
use crate::session::{Live, Session, Stage};

/// Most sessions of one peer that wait for its `Hello`.
const MAX_HALF_OPEN: usize = 4;

/// Most sessions of one peer, draining ones included.
const MAX_SESSIONS: usize = 8;

impl Tunnel {
    /// A verified connection: its keys can be made, our `Hello` goes out.
    pub(crate) fn connected(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        new: Connected,
        now: Instant,
    ) {
        let attempt = new.dial.and_then(|dial| self.dialler.finish(dial));
        if new.expires <= now {
            return self.refuse(context, conn, CloseReason::CertificateExpired, now);
        }
        if !self.has_room(context) {
            return self.refuse(context, conn, CloseReason::TooManySessions, now);
        }
        let (number, replaces) = match new.role {
            Role::Accepter => (0, self.newest),
            Role::Dialler => {
                let next = self.newest.saturating_add(1);
                let number = attempt.map_or(next, |attempt| attempt.number);
                self.newest = self.newest.max(number);
                self.expect_hello(context, now);
                (number, number.saturating_sub(1))
            }
        };
        let lanes = context.open_session(conn, &self.peer);
        let index = lanes[0].index;
        context.act(Action::InstallOpening {
            conn,
            lanes: lanes.clone(),
        });
        let hello = our_hello(context, lanes, replaces);
        context.act(Action::Send {
            conn,
            message: Message::Hello(hello),
        });
        let stage = Stage::Greeting {
            deadline: now + context.settings.hello_timeout,
        };
        let session = Session {
            conn,
            role: new.role,
            index,
            expires: new.expires,
            number,
            stage,
        };
        self.sessions.insert(conn, session);
    }

    /// Closes a connection that becomes no session.
    fn refuse(&mut self, context: &mut Context, conn: ConnId, reason: CloseReason, now: Instant) {
        self.refused(context, reason.clone().into(), now);
        context.close(conn, reason);
    }

    /// The peer's first message: the session is up.
    pub(super) fn hello(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        hello: Hello,
        now: Instant,
    ) {
        if let Err(reason) = self.admit_boot(context, hello.boot, now) {
            return self.cut(context, conn, reason, now);
        }
        let Some(session) = self.sessions.remove(&conn) else {
            return;
        };
        let number = match session.role {
            Role::Dialler => session.number,
            Role::Accepter => hello.replaces.saturating_add(1),
        };
        self.newest = self.newest.max(number).max(hello.replaces);
        context.act(Action::InstallSealing {
            conn,
            lanes: hello.lanes,
        });
        let rekey_at = timing::rekey_at(&mut context.rng, &context.settings, session.role, now);
        let live = Live::new(hello.records, rekey_at, now);
        self.sessions.insert(conn, session.greeted(number, live));
        context.changed = true;
        self.tell(context, conn);
        self.settle(context, now);
        self.give_up_rival_dial(context, number);
    }

    /// Is it the peer's running daemon that speaks? A restarted one takes the tunnel over; a second one,
    /// or a dead one's last words, may not take it from a session that is up.
    fn admit_boot(
        &mut self,
        context: &mut Context,
        boot: BootId,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let verdict = self.boots.judge(boot, now);
        if verdict == Boot::Returned && self.boots.alarm(now) {
            context.act(Action::Alarm(Alarm::DuplicateIdentity {
                peer: self.peer.clone(),
            }));
        }
        let served = self.sessions.values().any(Session::is_up);
        match verdict {
            Boot::Late if served => return Err(CloseReason::OldDaemon),
            Boot::Returned if served => return Err(CloseReason::DuplicateIdentity),
            Boot::New | Boot::Late | Boot::Returned => self.retire_older(context, now),
            Boot::Same => {}
        }
        self.boots.adopt(boot, now);
        Ok(())
    }

    /// The peer's daemon was restarted: what the dead one left is of no use.
    fn retire_older(&mut self, context: &mut Context, now: Instant) {
        let older = |session: &Session| !session.is_greeting();
        self.cut_those(context, older, CloseReason::PeerRestarted, now);
    }

    fn has_room(&mut self, context: &mut Context) -> bool {
        if self
            .sessions
            .values()
            .filter(|session| session.is_greeting())
            .count()
            >= MAX_HALF_OPEN
        {
            return false;
        }
        if self.sessions.len() < MAX_SESSIONS {
            return true;
        }
        let oldest = self
            .sessions
            .values()
            .find(|session| session.is_draining())
            .map(|session| session.conn);
        oldest.inspect(|conn| self.retire(context, *conn)).is_some()
    }
}

fn our_hello(context: &Context, lanes: Vec<Lane>, replaces: u64) -> Hello {
    Hello {
        versions: (*VERSIONS.start(), *VERSIONS.end()),
        features: context.settings.features,
        boot: context.boot,
        replaces,
        lanes,
        records: context.membership.records.clone(),
    }
}
