//! The zone of an organization, merged from the fragments of its gateways off the loop.

use ringway_config::OrgId;
use ringway_core::ConnId;
use ringway_dns::{Moment, Publication};

use super::merge::Merged;
use super::organization::Ended;
use super::{Replicator, Reply};

impl Replicator {
    /// Starts a merge after the fragments of `org` have changed.
    pub(super) fn changed(&mut self, org: &OrgId) -> Option<Reply> {
        let legacy = self.needs_legacy && *org == self.me.org;
        let merge = self.orgs.get_mut(org)?.changed(&self.serials, legacy)?;
        Some(Reply::Merge(Box::new(merge)))
    }

    /// Handles a finished merge: publishes the zone.
    pub fn handle_merged(&mut self, merged: Merged, now: Moment) -> Vec<Reply> {
        let legacy = self.needs_legacy && merged.org == self.me.org;
        let Some(org) = self.orgs.get_mut(&merged.org) else {
            return Vec::new();
        };

        match org.merged(merged.generation, &self.serials, legacy) {
            Ended::Current => self.publish(merged, now),
            Ended::Outdated(next) => next
                .map(|merge| Reply::Merge(Box::new(merge)))
                .into_iter()
                .collect(),
        }
    }

    /// Puts a merged zone in force: our DNS server answers from it.
    pub(super) fn publish(&mut self, merged: Merged, now: Moment) -> Vec<Reply> {
        let is_complete = self.is_complete(&merged.org, now);
        let Some(org) = self.orgs.get_mut(&merged.org) else {
            return Vec::new();
        };
        let Some(zone) = merged.zone else {
            self.zones.withdraw(&org.terms.apex);
            return Vec::new();
        };

        org.is_complete = is_complete;
        org.left_out = merged.left_out;
        org.left_out_count = merged.left_out_count;
        let publication = Publication {
            zone,
            expired: merged.expired,
            complete: is_complete,
            stale: merged.is_stale,
            received: org.received(),
        };
        // Fails only if the organization was removed meanwhile.
        if let Err(error) = self.zones.publish_union(&publication) {
            tracing::debug!(zone = %org.terms.apex, %error, "Zone not published");
        }

        let mut replies = Vec::new();
        if let Some(legacy) = merged.legacy {
            let before = self.legacy.replace(legacy).map(|legacy| legacy.offer);
            let changed = before != self.legacy.as_ref().map(|legacy| legacy.offer);
            replies.extend(changed.then_some(Reply::OfferToAll));
        }
        let conns: Vec<ConnId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.sender.id.org == merged.org)
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            replies.extend(self.accepted_message(conn));
        }
        replies
    }
}
