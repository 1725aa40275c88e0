//! Describes a tunnel for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::OrgId;

use super::Tunnel;
use crate::context::Context;
use crate::held_record::HeldRecord;
use crate::id::ConnId;
use crate::record_drift::RecordDrift;
use crate::session::Session;
use crate::status::{Loss, PeerSession, TunnelState, TunnelStatus};
use crate::tunnel_error::TunnelError;

impl Tunnel {
    pub(crate) fn status(&self, context: &Context, now: Instant) -> TunnelStatus {
        let active = self.sessions.active();
        let mut status = TunnelStatus {
            peer: self.peer.clone(),
            site: self.site.clone(),
            state: self.state(),
            since: now.saturating_duration_since(self.since),
            rtt: None,
            round_trips: self.round_trips,
            loss: Loss::default(),
            path_mtu: self.path_mtu.size(),
            last_error: self.last_error.clone().or_else(|| self.waiting()),
            outages: self.outages.status(now),
            records_differ: Vec::new(),
            refused: BTreeMap::new(),
            refused_by_peer: BTreeMap::new(),
            conn: active.map(|session| session.conn),
        };

        if let Some(live) = active.and_then(Session::live) {
            status.rtt = live.liveness.rtt();
            status.loss = live.liveness.loss();
            if !self.is_attachment(context) {
                status.records_differ = differing(&context.membership.records, &live.records);
            }
            status.refused = live.claims.refused();
            status.refused_by_peer = live.refused_by_peer.refused.clone();
        }
        status
    }

    pub(crate) fn peer_session(&self, context: &Context, conn: ConnId) -> Option<PeerSession> {
        let session = self.sessions.get(conn)?;
        let live = session.live()?;

        Some(PeerSession {
            features: live.features & context.settings.features,
            rank: self.sessions.rank(session),
        })
    }

    /// Nothing went wrong, but this end can do nothing either.
    fn waiting(&self) -> Option<TunnelError> {
        let waits = self.sessions.active().is_none() && !self.dialler.has_endpoints();
        // Nobody ever dials a node.
        let waits = waits && !self.is_to_node();
        waits.then_some(TunnelError::NoEndpoint)
    }

    fn state(&self) -> TunnelState {
        // After a failure the tunnel counts as down, although attempts go on.
        let trying = self.dialler.deadline().is_some() || !self.sessions.is_empty();

        if self.sessions.active().is_some() {
            TunnelState::Up
        } else if trying && self.dialler.failures() == 0 {
            TunnelState::Connecting
        } else {
            TunnelState::Down
        }
    }
}

/// Organizations that one end does not know, or knows by another record.
pub(super) fn differing(
    ours: &BTreeMap<OrgId, HeldRecord>,
    theirs: &BTreeMap<OrgId, HeldRecord>,
) -> Vec<RecordDrift> {
    let orgs: BTreeSet<&OrgId> = ours.keys().chain(theirs.keys()).collect();
    let both = orgs.into_iter().map(|org| RecordDrift {
        org: org.clone(),
        ours: ours.get(org).copied(),
        theirs: theirs.get(org).copied(),
    });

    // By content: an older peer does not tell its serials.
    both.filter(|drift| drift.ours.map(|held| held.digest) != drift.theirs.map(|held| held.digest))
        .collect()
}
