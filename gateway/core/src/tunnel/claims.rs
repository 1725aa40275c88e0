//! The messages that the two ends exchange once a session is up: the prefixes that each serves, the
//! claims that it refuses, the member records that it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::{GatewayId, OrgId, Prefix, SiteId};

use super::Tunnel;
use super::report::differing;
use crate::action::Action;
use crate::alarm::Alarm;
use crate::claims::Admission;
use crate::context::Context;
use crate::held_record::HeldRecord;
use crate::id::ConnId;
use crate::membership::Membership;
use crate::message::{MAX_PREFIXES, Message, Refuse, SIBLING_ROUTES};
use crate::rib;
use crate::session::Session;

impl Tunnel {
    /// The membership has changed: the peer is informed, its claims are evaluated again.
    pub(crate) fn membership_changed(
        &mut self,
        context: &mut Context,
        records_changed: bool,
        now: Instant,
    ) {
        let Some(info) = context.membership.gateways.get(&self.peer) else {
            return;
        };
        context.routes_stale = true;
        self.site = info.site.clone();

        let endpoints_changed = self.update_endpoints(context);
        // A tunnel that is up stays as it is: its next dial goes to the new endpoints.
        if endpoints_changed && self.sessions.active().is_none() {
            self.stop_dialling(context);
            self.dial_soon(context, now);
        }

        if records_changed && !self.is_attachment(context) {
            // On sessions without the peer's `Hello` too: ours, already sent there, named the old
            // records.
            for conn in self.sessions.conns(|_| true) {
                let records = context.membership.records.clone();
                let message = Message::Records { records };
                context.act(Action::Send { conn, message });
            }
            self.compare_records(context, now);
        }

        // On draining sessions too: one of them may serve again.
        for conn in self.live_conns() {
            self.send_offer_on(context, conn);
            self.announce(context, conn);
            self.reevaluate(context, conn);
        }
    }

    /// This gateway claims what it has not claimed before, or does not claim something any more.
    pub(crate) fn announce_again(&mut self, context: &mut Context) {
        // On draining sessions too: one of them may serve again.
        for conn in self.live_conns() {
            self.announce(context, conn);
        }
    }

    /// The daemon stops: the peers turn to another gateway of the site, if there is one.
    pub(crate) fn withdraw_all(&mut self, context: &mut Context) {
        for conn in self.live_conns() {
            self.announce_exactly(context, conn, BTreeSet::new());
        }
    }

    /// Announces and withdraws until the peer knows what we serve and have a way to. The first
    /// announcement is sent even if it is empty: routes move to a session only after it.
    pub(super) fn announce(&mut self, context: &mut Context, conn: ConnId) {
        let prefixes = if self.is_sibling(context) && context.is_running() {
            self.prefixes_for_sibling(context, conn)
        } else if !self.is_sibling(context) && context.claims_site && context.is_running() {
            self.claimed_prefixes(context)
        } else {
            BTreeSet::new()
        };
        self.announce_exactly(context, conn, prefixes);
    }

    /// What the peer reaches through us.
    fn claimed_prefixes(&self, context: &Context) -> BTreeSet<Prefix> {
        let mut prefixes: BTreeSet<Prefix> = if self.is_to_node() {
            self.offered_prefixes(context)
        } else {
            context
                .membership
                .local_prefixes()
                .iter()
                .copied()
                .collect()
        };

        prefixes.retain(|prefix| !context.unannounced.contains(prefix));
        prefixes
    }

    fn announce_exactly(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        prefixes: BTreeSet<Prefix>,
    ) {
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        let first = live.announced.is_none();
        let before = live.announced.replace(prefixes.clone()).unwrap_or_default();

        // Withdrawn first, so that a peer at its cap has room for what is announced next.
        for prefixes in parts(before.difference(&prefixes)) {
            let serial = context.next_serial();
            let message = Message::Withdraw { serial, prefixes };
            context.act(Action::Send { conn, message });
        }

        let mut gained = parts(prefixes.difference(&before));
        if first && gained.is_empty() {
            gained.push(BTreeSet::new());
        }
        for prefixes in gained {
            let serial = context.next_serial();
            let message = Message::Announce { serial, prefixes };
            context.act(Action::Send { conn, message });
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
        let is_sibling = self.is_sibling(context);
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        let features = live.features & context.settings.features;
        live.claims.is_of_sibling = is_sibling && features & SIBLING_ROUTES != 0;
        let admit = admission(features);
        live.claims.announce(serial, prefixes, |prefix| {
            admit(&context.membership, &self.peer, &self.site, prefix)
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
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        live.claims.withdraw(serial, prefixes);
        self.claims_changed(context, conn, now);
    }

    pub(super) fn claims_changed(&mut self, context: &mut Context, conn: ConnId, now: Instant) {
        context.routes_stale = true;
        self.report_refusals(context, conn);

        // With its first announcement a session may have become ready to take the routes.
        self.select_session(context, now);
    }

    /// Informs the peer, and the operator, which of the peer's claims are refused.
    fn report_refusals(&mut self, context: &mut Context, conn: ConnId) {
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };
        let Some(refuse) = live.claims.pending_refusal() else {
            return;
        };

        // One alarm for all: a wrong record makes many claims fail at once. A node takes what it
        // accepts, which is no fault of the gateway's.
        let is_wrong = !context.membership.me.is_node();
        if let Some((prefix, reason)) = refuse.refused.first_key_value().filter(|_| is_wrong) {
            let alarm = Alarm::ClaimsRefused {
                peer: self.peer.clone(),
                prefix: *prefix,
                reason: *reason,
                count: refuse.refused.len(),
            };
            live.alarm(context, alarm);
        }

        let message = Message::Refuse(refuse);
        context.act(Action::Send { conn, message });
    }

    /// The peer reports which member records it holds.
    pub(super) fn records(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        records: BTreeMap<OrgId, HeldRecord>,
        now: Instant,
    ) {
        if let Some(live) = self.sessions.live_mut(conn) {
            live.records = records;
        }
        self.compare_records(context, now);
    }

    /// Tells the operator if the two ends' records differ in another way than before. While the
    /// tunnel is down, what was told last stands.
    pub(super) fn compare_records(&mut self, context: &mut Context, now: Instant) {
        let active = self.sessions.active();
        let Some(live) = active.and_then(Session::live) else {
            return;
        };

        if self.is_attachment(context) {
            return;
        }
        let drift = differing(&context.membership.records, &live.records);
        self.drift_due = None;
        if drift == self.drift {
            return;
        }
        // A peer may report other records with each message. Each end follows a beginning.
        if !drift.is_empty() && !self.drift_allowance.take(now) {
            self.drift_due = Some(self.drift_allowance.next());
            return;
        }

        self.drift = drift.clone();
        context.act(Action::RecordsDiffer {
            peer: self.peer.clone(),
            drift,
        });
    }

    /// The peer is no member any more.
    pub(crate) fn forget_records(&mut self, context: &mut Context) {
        if !self.drift.is_empty() {
            context.act(Action::RecordsDiffer {
                peer: self.peer.clone(),
                drift: Vec::new(),
            });
        }
    }

    /// The peer refuses claims of ours.
    pub(super) fn refused_by_peer(
        &mut self,
        context: &mut Context,
        conn: ConnId,
        mut refuse: Refuse,
    ) {
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        // Only what we did announce is kept, so that the peer cannot make us hold anything else.
        let announced = live.announced.clone().unwrap_or_default();
        refuse
            .refused
            .retain(|prefix, _| announced.contains(prefix));

        let is_wrong = !self.peer.is_node();
        if let Some((prefix, reason)) = refuse.refused.first_key_value().filter(|_| is_wrong) {
            let alarm = Alarm::RefusedByPeer {
                peer: self.peer.clone(),
                prefix: *prefix,
                reason: *reason,
                count: refuse.refused.len(),
            };
            live.alarm(context, alarm);
        }
        live.refused_by_peer = refuse;
    }

    fn reevaluate(&mut self, context: &mut Context, conn: ConnId) {
        let Some(live) = self.sessions.live_mut(conn) else {
            return;
        };

        let admit = admission(live.features & context.settings.features);
        live.claims
            .reevaluate(|prefix| admit(&context.membership, &self.peer, &self.site, prefix));
        self.report_refusals(context, conn);
    }

    pub(super) fn live_conns(&self) -> Vec<ConnId> {
        self.sessions
            .conns(|session: &Session| session.live().is_some())
    }
}

/// The import policy for a session with these features.
fn admission(features: u64) -> fn(&Membership, &GatewayId, &SiteId, &Prefix) -> Admission {
    if features & SIBLING_ROUTES != 0 {
        rib::admit_passing_on
    } else {
        rib::admit
    }
}

/// Sets of which each fits one message.
fn parts<'a>(prefixes: impl Iterator<Item = &'a Prefix>) -> Vec<BTreeSet<Prefix>> {
    let prefixes: Vec<Prefix> = prefixes.copied().collect();
    let chunks = prefixes.chunks(MAX_PREFIXES);
    chunks
        .map(|chunk| chunk.iter().copied().collect())
        .collect()
}
