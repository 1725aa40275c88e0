//! Verdicts about names: our refusals, here and towards the owner, and other gateways' verdicts
//! about our fragment.

use std::fmt;
use std::time::{Duration, Instant};

use ringway_config::{Digest, GatewayId, GatewayName, OrgId};
use ringway_core::ConnId;
use ringway_dns::transfer::{Offer, TransferError};
use ringway_intent::Remedy;

use super::organization::MAX_TOTAL;
use super::peer::Verdict;
use super::{Replicator, Reply};

/// A peer's refusals are logged at most once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The digest in a refusal that is not about a version: it is shown whatever its owner offers.
const NO_VERSION: Digest = Digest([0; 32]);

impl Replicator {
    pub(super) fn refuse_beyond_total(
        &mut self,
        org: &OrgId,
        dropped: &[GatewayName],
        now: Instant,
    ) -> Vec<Reply> {
        let reason = format!(
            "the names of its organization's gateways take more than {MAX_TOTAL} octets, and it is \
             one of the last in their order"
        );
        let mut replies = Vec::new();
        for name in dropped {
            let id = GatewayId {
                name: name.clone(),
                org: org.clone(),
            };
            self.refused(&id, &reason, now);
            for (conn, peer) in &mut self.peers {
                if peer.sender.id != id {
                    continue;
                }
                let verdict = Verdict {
                    digest: NO_VERSION,
                    taken: false,
                    text: Some(reason.clone()),
                };
                let message = peer.verdict_message(verdict);
                replies.extend(message.map(|message| Reply::Message(*conn, message)));
            }
        }
        replies
    }

    /// The verdict for the peer on `conn` that its fragment is answered, with what is left out.
    pub(super) fn accepted_message(&mut self, conn: ConnId) -> Option<Reply> {
        let peer = self.peers.get_mut(&conn)?;
        let id = &peer.sender.id;
        let org = self.orgs.get(&id.org)?;
        let held = org.held.get(&id.name)?;
        // A refusal of a later version stands.
        if self.refusals.contains_key(id) {
            return None;
        }

        let verdict = Verdict {
            digest: held.digest,
            taken: true,
            text: org.left_out_text(&id.name),
        };
        let message = peer.verdict_message(verdict)?;
        Some(Reply::Message(conn, message))
    }

    pub(super) fn accepted(&mut self, id: &GatewayId) {
        if self.refusals.remove(id).is_some() {
            self.attention.clear(&refused_from(id));
        }
    }

    /// Refuses an offer, and notifies its owner.
    pub(super) fn refuse(
        &mut self,
        conn: ConnId,
        offer: &Offer,
        reason: &TransferError,
        now: Instant,
    ) -> Vec<Reply> {
        let Some(peer) = self.peers.get_mut(&conn) else {
            return Vec::new();
        };
        let id = peer.sender.id.clone();
        let message = peer.verdict_message(Verdict {
            digest: offer.digest,
            taken: false,
            text: Some(reason.to_string()),
        });

        self.refused(&id, reason, now);
        message
            .map(|message| Reply::Message(conn, message))
            .into_iter()
            .collect()
    }

    /// Records a refusal and logs it, at most once a minute for each peer, because a peer can cause
    /// any number of them.
    pub(super) fn refused(&mut self, peer: &GatewayId, reason: &dyn fmt::Display, now: Instant) {
        let zone = self.domain.zone_of(&peer.org);
        self.refusals.insert(peer.clone(), reason.to_string());

        let lately = self
            .reported
            .get(peer)
            .is_some_and(|at| now.duration_since(*at) < LOG_INTERVAL);
        if !lately {
            self.reported.insert(peer.clone(), now);
            tracing::warn!(%peer, %zone, %reason, "Names refused");
            self.attention.raise(
                &refused_from(peer),
                &format!("the names of {peer} were refused: {reason}"),
                "its operator must correct them",
            );
        }
    }

    /// Handles a peer's verdict about our fragment.
    pub(super) fn handle_verdict(&mut self, peer: GatewayId, verdict: Verdict) {
        if verdict.taken {
            self.attention.clear(&refused_by(&peer));
        } else {
            let text = verdict.text.as_deref().unwrap_or("without a reason");
            self.attention.raise(
                &refused_by(&peer),
                &format!(
                    "{peer} refuses our names: {}",
                    ringway_config::Escaped(text)
                ),
                Remedy::ringway("check   # what is wrong with our names; correct them")
                    .then_reload(),
            );
        }
        self.answers.insert(peer, verdict);
    }
}

/// The name of the finding that `peer` refuses our names.
pub(super) fn refused_by(peer: &GatewayId) -> String {
    format!("names refused-by {peer}")
}

/// The name of the finding that we refuse the names of `peer`.
pub(super) fn refused_from(peer: &GatewayId) -> String {
    format!("names refused {peer}")
}
