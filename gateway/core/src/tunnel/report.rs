//! What an operator sees of a tunnel.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ringway_config::{Digest, OrgId};

use super::Tunnel;
use crate::context::Context;
use crate::session::Session;
use crate::status::{TunnelState, TunnelStatus};
use crate::tunnel_error::TunnelError;

impl Tunnel {
    pub(crate) fn status(&self, context: &Context, now: Instant) -> TunnelStatus {
        let active = self.active.and_then(|conn| self.sessions.get(&conn));
        let live = active.and_then(Session::live);
        TunnelStatus {
            peer: self.peer.clone(),
            site: self.site.clone(),
            state: self.state(),
            since: now.saturating_duration_since(self.since),
            rtt: live.and_then(|live| live.liveness.rtt()),
            path_mtu: self.path_mtu.size(),
            last_error: self.last_error.clone().or_else(|| self.waiting()),
            records_differ: live
                .map(|live| differing(&context.membership.records, &live.records))
                .unwrap_or_default(),
            refused: live.map(|live| live.claims.refused()).unwrap_or_default(),
            refused_by_peer: live
                .map(|live| live.refused_by_peer.refused.clone())
                .unwrap_or_default(),
            conn: self.active,
        }
    }

    /// Nothing went wrong, but nothing can be done from this end.
    fn waiting(&self) -> Option<TunnelError> {
        let waits = self.active.is_none() && !self.dialler.has_endpoints();
        waits.then_some(TunnelError::NoEndpoint)
    }

    fn state(&self) -> TunnelState {
        let trying = self.dialler.deadline().is_some() || !self.sessions.is_empty();
        match self.active {
            Some(_) => TunnelState::Up,
            None if trying && self.dialler.failures() == 0 => TunnelState::Connecting,
            None => TunnelState::Down,
        }
    }
}

/// Organizations that one end does not know, or knows by another record.
fn differing(ours: &BTreeMap<OrgId, Digest>, theirs: &BTreeMap<OrgId, Digest>) -> Vec<OrgId> {
    let orgs: BTreeSet<&OrgId> = ours.keys().chain(theirs.keys()).collect();
    orgs.into_iter()
        .filter(|org| ours.get(*org) != theirs.get(*org))
        .cloned()
        .collect()
}
