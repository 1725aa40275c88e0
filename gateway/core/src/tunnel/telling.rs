//! What the two ends tell each other once a session is up: what we serve, what we make of the peer's
//! claims, which member records we hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::{Digest, OrgId, Prefix};

use super::Tunnel;
use crate::action::Action;
use crate::alarm::Alarm;
use crate::context::Context;
use crate::id::ConnId;
use crate::message::MAX_PREFIXES;
use crate::message::{Message, Refuse};
use crate::rib;
use crate::session::Session;

impl Tunnel {
    /// The membership changed: its news go to the peer, its claims are judged again.
    pub(crate) fn membership_changed(
        &mut self,
        context: &mut Context,
        records: bool,
        now: Instant,
    ) {
        let Some(info) = context.membership.gateways.get(&self.peer) else {
            return;
        };
        context.changed = true;
        self.site = info.site.clone();
        if self.dialler.set_endpoints(&info.endpoints) && self.active.is_none() {
            self.stop_dialling(context);
            self.dial_soon(context, now);
        }
        if records {
            // Half-open sessions, too: the `Hello` sent on them named the old ones.
            for conn in self.sessions.keys().copied() {
                let records = context.membership.records.clone();
                context.act(Action::Send {
                    conn,
                    message: Message::Records { records },
                });
            }
        }
        for conn in self.live_conns() {
            self.tell(context, conn);
            self.judge_again(context, conn);
        }
    }

    /// The daemon stops: peers turn to another gateway of the site, if there is one.
    pub(crate) fn withdraw_all(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.tell_exactly(context, conn, &BTreeSet::new());
        }
    }

    /// Announces and withdraws until the peer has been told what we serve. The first time it is told even
    /// if that is nothing: routes move to a session only after the announcement.
    pub(super) fn tell(&mut self, context: &mut Context, conn: ConnId) {
        // A gateway of our own site reaches it without us.
        let own = match context.membership.shares_site(&self.peer, &self.site) || context.leaving {
            true => BTreeSet::new(),
            false => context
                .membership
                .local_prefixes()
                .iter()
                .copied()
                .collect(),
        };
        self.tell_exactly(context, conn, &own);
    }

    fn tell_exactly(&mut self, context: &mut Context, conn: ConnId, own: &BTreeSet<Prefix>) {
        let Some(live) = self
            .sessions
            .get_mut(&conn)
            .and_then(|session| session.live_mut())
        else {
            return;
        };
        let first = live.told.is_none();
        let told = live.told.replace(own.clone()).unwrap_or_default();
        for prefixes in parts(told.difference(own)) {
            let serial = context.next_serial();
            context.act(Action::Send {
                conn,
                message: Message::Withdraw { serial, prefixes },
            });
        }
        let mut gained = parts(own.difference(&told));
        if first && gained.is_empty() {
            gained.push(BTreeSet::new());
        }
        for prefixes in gained {
            let serial = context.next_serial();
            context.act(Action::Send {
                conn,
                message: Message::Announce { serial, prefixes },
            });
        }
    }

    /// The peer announces prefixes.
    pub(super) fn announced(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        serial: u64,
        prefixes: BTreeSet<Prefix>,
        now: Instant,
    ) {
        let Some(live) = self.sessions.get_mut(&conn).and_then(Session::live_mut) else {
            return;
        };
        live.claims.announce(serial, prefixes, |prefix| {
            rib::admit(&context.membership, &self.peer, &self.site, prefix)
        });
        self.claims_changed(context, conn, now);
    }

    /// The peer withdraws prefixes.
    pub(super) fn withdrawn(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        serial: u64,
        prefixes: &BTreeSet<Prefix>,
        now: Instant,
    ) {
        let Some(live) = self.sessions.get_mut(&conn).and_then(Session::live_mut) else {
            return;
        };
        live.claims.withdraw(serial, prefixes);
        self.claims_changed(context, conn, now);
    }

    pub(super) fn claims_changed(&mut self, context: &mut Context, conn: ConnId, now: Instant) {
        context.changed = true;
        self.answer(context, conn);

        // With its first announcement a session may have become ready to take over the routes.
        self.settle(context, now);
    }

    /// Tells the peer which of its claims are refused, and the operator.
    pub(super) fn answer(&mut self, context: &mut Context, conn: ConnId) {
        let Some(live) = self
            .sessions
            .get_mut(&conn)
            .and_then(|session| session.live_mut())
        else {
            return;
        };
        let Some(refuse) = live.claims.answer() else {
            return;
        };
        if let Some((prefix, reason)) = refuse.refused.first_key_value() {
            let (peer, count) = (self.peer.clone(), refuse.refused.len());
            live.alarm(
                context,
                Alarm::ClaimsRefused {
                    peer,
                    prefix: *prefix,
                    reason: *reason,
                    count,
                },
            );
        }
        context.act(Action::Send {
            conn,
            message: Message::Refuse(refuse),
        });
    }

    /// The peer holds other member records now.
    pub(super) fn records(&mut self, conn: ConnId, records: BTreeMap<OrgId, Digest>) {
        if let Some(live) = self
            .sessions
            .get_mut(&conn)
            .and_then(|session| session.live_mut())
        {
            live.records = records;
        }
    }

    /// The peer refuses claims of ours.
    pub(super) fn refused_by_peer(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        mut refuse: Refuse,
    ) {
        let Some(live) = self
            .sessions
            .get_mut(&conn)
            .and_then(|session| session.live_mut())
        else {
            return;
        };
        // Only what we did announce: else the peer could make us hold what it likes.
        refuse
            .refused
            .retain(|prefix, _| live.told.as_ref().is_some_and(|told| told.contains(prefix)));
        if let Some((prefix, reason)) = refuse.refused.first_key_value() {
            let (peer, count) = (self.peer.clone(), refuse.refused.len());
            live.alarm(
                context,
                Alarm::RefusedByPeer {
                    peer,
                    prefix: *prefix,
                    reason: *reason,
                    count,
                },
            );
        }
        live.refused_by_peer = refuse;
    }

    fn judge_again(&mut self, context: &mut Context, conn: ConnId) {
        let Some(live) = self
            .sessions
            .get_mut(&conn)
            .and_then(|session| session.live_mut())
        else {
            return;
        };
        let (membership, peer, site) = (&context.membership, &self.peer, &self.site);
        live.claims
            .judge_again(|prefix| rib::admit(membership, peer, site, prefix));
        self.answer(context, conn);
    }

    fn live_conns(&self) -> Vec<ConnId> {
        let live = self
            .sessions
            .values()
            .filter(|session| session.live().is_some());
        live.map(|session| session.conn).collect()
    }
}

/// Sets that each fit one message.
fn parts<'a>(prefixes: impl Iterator<Item = &'a Prefix>) -> Vec<BTreeSet<Prefix>> {
    let prefixes: Vec<Prefix> = prefixes.copied().collect();
    prefixes
        .chunks(MAX_PREFIXES)
        .map(|part| part.iter().copied().collect())
        .collect()
}
