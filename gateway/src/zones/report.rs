//! [`FragmentStatus`]: the state of a zone's fragments, for `status`.

use ringway_config::{GatewayId, GatewayName, OrgId, ZoneName};
use ringway_dns::Moment;

use super::Replicator;
use super::organization::Organization;

/// Records that a verdict lists by name. The owner's `status` has all of them.
const LISTED: usize = 3;

/// The state of one fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentStatus {
    /// Its owner.
    pub gateway: GatewayId,
    /// `own`, `held`, `expired` or `missing`.
    pub state: &'static str,
    /// Number of records.
    pub records: Option<usize>,
    /// Why the last offer or transfer from its owner was refused.
    pub refused: Option<String>,
    /// Records that are left out of the zone, with the reason.
    pub left_out: Vec<String>,
}

impl Organization {
    /// The records of `gateway` that are left out, as one line for its owner.
    pub(super) fn left_out_text(&self, gateway: &GatewayName) -> Option<String> {
        let all = self.left_out_of(gateway);
        if all.is_empty() {
            return None;
        }

        let listed = all[..all.len().min(LISTED)].join("; ");
        Some(if all.len() > LISTED {
            format!("not answered: {listed}; and {} more", all.len() - LISTED)
        } else {
            format!("not answered: {listed}")
        })
    }

    fn left_out_of(&self, gateway: &GatewayName) -> Vec<String> {
        self.left_out
            .iter()
            .filter(|left_out| left_out.gateway == *gateway)
            .map(ToString::to_string)
            .collect()
    }
}

impl Replicator {
    /// The fragments of the zone `apex`, by gateway.
    pub fn fragments(&self, apex: &ZoneName) -> Vec<FragmentStatus> {
        let org = self.orgs.values().find(|org| org.terms.apex == *apex);
        let Some(org) = org else {
            return Vec::new();
        };

        org.terms
            .gateways
            .iter()
            .map(|gateway| self.fragment(org, gateway))
            .collect()
    }

    fn fragment(&self, org: &Organization, gateway: &GatewayName) -> FragmentStatus {
        let id = org.id_of(gateway);
        let held = org.held.get(gateway);
        let state = match held {
            _ if id == self.me => "own",
            None => "missing",
            Some(held) if held.is_expired => "expired",
            Some(_) => "held",
        };

        FragmentStatus {
            state,
            records: held.map(|held| held.zone.records()),
            refused: self.refusals.get(&id).cloned(),
            left_out: org.left_out_of(gateway),
            gateway: id,
        }
    }

    /// The gateways that refuse our fragment or leave out a part of it, with what they say.
    pub fn answers(&self) -> Vec<(GatewayId, String)> {
        let current = self.own.offer.digest;

        self.answers
            .iter()
            // A remark is about one version. A refusal stands until the next verdict.
            .filter(|(_, verdict)| verdict.digest == current || !verdict.taken)
            .filter_map(|(peer, verdict)| {
                let text = match (&verdict.text, verdict.taken) {
                    (Some(text), _) => ringway_config::Escaped(text).to_string(),
                    (None, true) => return None,
                    (None, false) => "refused without a reason".into(),
                };
                Some((peer.clone(), text))
            })
            .collect()
    }

    /// Of these, the gateways that accept our fragment and leave out some names.
    pub fn remarks(&self) -> Vec<(GatewayId, String)> {
        let mut remarks = self.answers();
        remarks.retain(|(peer, _)| self.answers.get(peer).is_some_and(|verdict| verdict.taken));
        remarks
    }

    /// Why the last fragment from a gateway of `org` was refused.
    pub fn refusal(&self, org: &OrgId) -> Option<String> {
        self.refusals
            .iter()
            .find(|(gateway, _)| gateway.org == *org)
            .map(|(gateway, reason)| format!("{gateway}: {reason}"))
    }

    /// The organization with the zone `apex`.
    pub fn org_of(&self, apex: &ZoneName) -> Option<&OrgId> {
        let org = self.orgs.values().find(|org| org.terms.apex == *apex)?;
        Some(&org.org)
    }

    /// How long all gateways of `org` have been silent; zero while one has a session with us.
    pub fn silence(&mut self, org: &OrgId, now: Moment) -> std::time::Duration {
        let Some(org) = self.orgs.get(org) else {
            return std::time::Duration::ZERO;
        };
        let ids: Vec<GatewayId> = org
            .terms
            .gateways
            .iter()
            .map(|name| org.id_of(name))
            .collect();

        let silences = ids.iter().map(|id| self.silence_of(id, now));
        silences.min().unwrap_or_default()
    }
}
