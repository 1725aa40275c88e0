//! The start of a session: the connection, the two `Hello`s, and the check that they come from the
//! peer's current daemon.

use std::time::Instant;

use super::{Tunnel, timeout};
use crate::action::Action;
use crate::alarm::Alarm;
use crate::boots::Boot;
use crate::close_reason::CloseReason;
use crate::context::Context;
use crate::id::{BootId, ConnId};
use crate::mesh::{Connected, Role};
use crate::message::{Hello, Lane, Message, VERSIONS};
use crate::session::{Live, Session, Stage};

/// Most sessions of one peer that wait for its `Hello`.
const MAX_WITHOUT_HELLO: usize = 4;

/// Most sessions of one peer, draining ones included.
const MAX_SESSIONS: usize = 8;

impl Tunnel {
    /// A connection is established and verified: its keys can be derived, our `Hello` is sent.
    pub(crate) fn connected(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        new: Connected,
        now: Instant,
    ) {
        let attempt = new.dial.and_then(|dial| self.dial_connected(context, dial));

        if new.expires <= now {
            return self.refuse(context, conn, CloseReason::CertificateExpired, now);
        }
        if !self.has_room(context) {
            return self.refuse(context, conn, CloseReason::TooManySessions, now);
        }

        // The dialler numbers the session. An accepted one gets its number with the peer's `Hello`.
        let mut number = 0;
        let mut replaces = self.newest;
        if new.role == Role::Dialler {
            let next = self.newest.saturating_add(1);
            // The number counts from the start of the dial: what the peer dialled meanwhile
            // competes with it.
            number = attempt.map_or(next, |attempt| attempt.number);
            replaces = number.saturating_sub(1);
            self.newest = self.newest.max(number);
            self.expect_hello(now);
        }

        let lanes = context.open_session(conn, &self.peer);
        self.sessions.insert(Session {
            conn,
            role: new.role,
            index: lanes[0].index,
            expires: new.expires,
            rtt: new.rtt,
            number,
            outdated: None,
            stage: Stage::AwaitingHello {
                deadline: now + context.settings.hello_timeout,
            },
        });

        // The peer may send packets as soon as it has our `Hello`.
        context.act(Action::InstallOpening {
            conn,
            lanes: lanes.clone(),
        });
        let mut hello = our_hello(context, lanes, replaces);
        // A node has no use for the others' records, and none to compare.
        if self.is_attachment(context) {
            hello.records.clear();
        }
        context.act(Action::Send {
            conn,
            message: Message::Hello(hello),
        });
    }

    /// Closes a connection that becomes no session.
    fn refuse(&mut self, context: &mut Context, conn: ConnId, reason: CloseReason, now: Instant) {
        self.attempt_failed(context, reason.clone().into(), now);
        context.close(conn, reason);
    }

    /// The peer's `Hello` has arrived: the session is up.
    pub(super) fn hello(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        hello: Hello,
        now: Instant,
    ) {
        if let Err(reason) = self.admit_boot(context, hello.boot, now) {
            return self.close(context, conn, reason, now);
        }
        let Some(session) = self.sessions.remove(conn) else {
            return;
        };

        let number = match session.role {
            Role::Dialler => session.number,
            Role::Accepter => hello.replaces.saturating_add(1),
        };
        self.newest = self.newest.max(number).max(hello.replaces);

        // From now on the peer can open what we seal: its keys were installed before its `Hello`.
        context.act(Action::InstallSealing {
            conn,
            lanes: hello.lanes,
        });

        let rekey_at = timeout::rekey_at(&mut context.rng, &context.settings, session.role, now);
        let rekey_at = session.outdated.map_or(rekey_at, |at| at.min(rekey_at));
        let mut live = Live::new(hello.records, rekey_at, session.rtt, now);
        live.features = hello.features;
        self.sessions.insert(session.established(number, live));

        // What the claims count, before the claims.
        self.send_standing_on(context, conn);
        self.send_addresses_on(context, conn);
        self.send_site_settings_on(context, conn);
        self.send_offer_on(context, conn);
        // Announced before the session is used, so that the peer can use it as early as we can.
        self.announce(context, conn);
        self.select_session(context, now);
        self.stop_older_dial(context, number);
    }

    /// Checks that the `Hello` comes from the peer's running daemon. A restarted daemon takes the
    /// tunnel; a second one, or a late message of a dead one, does not take it from a session that
    /// is up.
    fn admit_boot(
        &mut self,
        context: &mut Context,
        boot: BootId,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let class = self.boots.classify(boot, now);
        if class == Boot::Returned && self.boots.alarm_due(now) {
            context.act(Action::Alarm(Alarm::DuplicateIdentity {
                peer: self.peer.clone(),
            }));
        }

        // While a session of the daemon that we know is up, another does not take the tunnel.
        let up = self.sessions.iter().any(Session::is_up);
        match class {
            Boot::Same => {}
            Boot::Late if up => return Err(CloseReason::OldDaemon),
            Boot::Returned if up => return Err(CloseReason::DuplicateIdentity),
            // Sessions of the dead daemon are of no use any more.
            Boot::New | Boot::Late | Boot::Returned => {
                let reason = CloseReason::PeerRestarted;
                self.close_those(context, |session| !session.awaits_hello(), reason, now);
            }
        }

        self.boots.adopt(boot, now);
        Ok(())
    }

    /// True if the peer may have one more session. If need be, the oldest draining one is retired
    /// for it.
    fn has_room(&mut self, context: &mut Context) -> bool {
        if self.sessions.conns(Session::awaits_hello).len() >= MAX_WITHOUT_HELLO {
            return false;
        }
        if self.sessions.len() < MAX_SESSIONS {
            return true;
        }

        let draining = self.sessions.conns(Session::is_draining);
        let Some(oldest) = draining.first() else {
            return false;
        };
        self.retire(context, *oldest);
        true
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
