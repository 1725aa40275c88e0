//! [`SiteReport`]: the gateways of this gateway's site, as `ringway status --json` prints it.
//! Whether this one is the active one, and since when, is in [`RoleReport`](super::RoleReport).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringway_config::Digest;
use ringway_core::{Contact, SiblingStatus, SiteRole, SiteStatus};
use serde::{Deserialize, Serialize};

/// The gateways of a site, as one of them sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteReport {
    /// True while this gateway asks a sibling to become active in its place.
    pub hands_over: bool,
    /// The interfaces to the site's network, if none of them has a carrier.
    #[serde(default)]
    pub no_carrier: Option<String>,
    /// Number of tunnels to other sites that carry packets.
    pub tunnels: u16,
    /// How often it became active since its start, by reason.
    pub takeovers: BTreeMap<String, u64>,
    /// The addresses of `[ha]`, which move with the active role.
    #[serde(default)]
    pub virtual_addresses: BTreeSet<IpAddr>,
    /// A digest of our rules, which is that of the other gateways if they have the same.
    #[serde(default)]
    pub rules: Option<String>,
    /// A digest of our `[[node]]` blocks.
    #[serde(default)]
    pub nodes: Option<String>,
    /// The other gateways of the site.
    pub siblings: Vec<SiblingReport>,
}

/// A sibling. Role, epoch, preference, tunnels and carrier are those that it last reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiblingReport {
    /// `<gateway>.<org>`.
    pub gateway: String,
    /// `unknown`, `earlier version`, `heard`, `doubtful`, `apart`, `silent`, `left` or `refused`.
    pub contact: String,
    /// `active` or `standby`.
    pub role: Option<String>,
    /// Epoch of its claims.
    pub epoch: Option<u64>,
    /// Preference from its member record.
    #[serde(default)]
    pub preference: Option<u32>,
    /// Number of its tunnels to other sites.
    pub tunnels: Option<u16>,
    /// None of its interfaces to the site's network has a carrier.
    #[serde(default)]
    pub no_carrier: bool,
    /// The addresses of its `[ha]`; `None` if it has reported none yet, or has an earlier version.
    #[serde(default)]
    pub virtual_addresses: Option<BTreeSet<IpAddr>>,
    /// A digest of its rules.
    #[serde(default)]
    pub rules: Option<String>,
    /// A digest of its `[[node]]` blocks.
    #[serde(default)]
    pub nodes: Option<String>,
    /// Seconds since its virtual addresses, rules or nodes or ours changed.
    #[serde(default)]
    pub compared_s: u64,
}

impl SiteReport {
    /// Makes the report from the mesh's status.
    pub fn of(status: &SiteStatus) -> SiteReport {
        let takeovers = status.takeovers.iter();

        SiteReport {
            hands_over: status.hands_over,
            no_carrier: status.no_carrier.clone(),
            tunnels: status.tunnels,
            takeovers: takeovers
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            virtual_addresses: status.settings.virtual_addresses.clone(),
            rules: text(status.settings.rules),
            nodes: text(status.settings.nodes),
            siblings: status
                .siblings
                .iter()
                .map(|(id, sibling)| sibling_report(id.to_string(), sibling))
                .collect(),
        }
    }

    /// The siblings in one line, for text output; `None` without any.
    pub fn line(&self) -> Option<String> {
        if self.siblings.is_empty() {
            return None;
        }

        let siblings = self.siblings.iter().map(|sibling| {
            let role = sibling.role.as_deref().unwrap_or("no word of it yet");
            let state = match sibling.contact.as_str() {
                "heard" => role,
                contact => contact,
            };
            let carrier = if sibling.no_carrier {
                " without a carrier"
            } else {
                ""
            };
            format!("{} {state}{carrier}", sibling.gateway)
        });
        let mut line = siblings.collect::<Vec<String>>().join(", ");
        if self.hands_over {
            line.push_str("; this gateway wants another one to take over");
        }
        Some(line)
    }
}

fn sibling_report(gateway: String, sibling: &SiblingStatus) -> SiblingReport {
    let contact = match sibling.contact {
        Contact::Unknown { .. } => "unknown",
        Contact::Unsupported => "earlier version",
        Contact::Heard => "heard",
        Contact::Doubtful { .. } => "doubtful",
        Contact::Apart { .. } => "apart",
        Contact::Silent => "silent",
        Contact::Left => "left",
        Contact::Refused(_) => "refused",
    };
    let role = sibling.state.map(|state| {
        if state.is_active {
            SiteRole::Active
        } else {
            SiteRole::Standby
        }
    });

    let compared = sibling.settings.as_ref();
    let settings = compared.map(|compared| &compared.settings);

    SiblingReport {
        gateway,
        contact: contact.to_owned(),
        role: role.map(|role| role.word().to_owned()),
        epoch: sibling.state.map(|state| state.rank.epoch),
        preference: sibling.state.map(|state| state.rank.preference),
        tunnels: sibling.state.map(|state| state.tunnels),
        no_carrier: sibling.state.is_some_and(|state| state.no_carrier),
        virtual_addresses: settings.map(|settings| settings.virtual_addresses.clone()),
        rules: settings.and_then(|settings| text(settings.rules)),
        nodes: settings.and_then(|settings| text(settings.nodes)),
        compared_s: compared.map_or(0, |compared| compared.compared_for.as_secs()),
    }
}

fn text(digest: Option<Digest>) -> Option<String> {
    digest.map(|digest| digest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_each_sibling_is_if_it_answers() {
        let sibling = |gateway: &str, contact: &str| SiblingReport {
            gateway: gateway.into(),
            contact: contact.into(),
            role: Some("standby".into()),
            ..SiblingReport::default()
        };
        let mut report = SiteReport {
            siblings: vec![sibling("gw2.acme", "heard"), sibling("gw3.acme", "silent")],
            ..SiteReport::default()
        };
        assert_eq!(report.line().unwrap(), "gw2.acme standby, gw3.acme silent");

        report.siblings[0].no_carrier = true;
        let line = report.line().unwrap();
        assert!(
            line.starts_with("gw2.acme standby without a carrier, "),
            "{line}"
        );

        report.siblings.clear();
        assert_eq!(report.line(), None);
    }
}
