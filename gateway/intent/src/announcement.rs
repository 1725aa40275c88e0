//! [`unannounced`]: what this gateway serves and does not announce now, since the host has no way
//! to it. `[[announce]]` says for which sites that counts.
//!
//! Each prefix counts for itself, as claims do: while one of a site's is missing, members reach the
//! others, and a sibling that has a route to the missing one serves it.

use std::fmt::Write as _;

use ringway_config::{Announce, AnnounceWatch, OrgId, Prefix};

use crate::remedy::Remedy;
use crate::situation::Situation;
use crate::thing::Finding;

/// What the name of each [`Finding`] about an announcement begins with.
pub const UNANNOUNCED: &str = "announce";

/// Prefixes that a finding writes out.
const MOST: usize = 4;

/// A site, some or all of whose prefixes are not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unannounced {
    /// The site, as gateway.toml names it: `idc`, or `beta/plant`.
    pub site: String,
    /// Those without a route.
    pub missing: Vec<Prefix>,
    /// It has other prefixes, and these are announced.
    pub is_partial: bool,
}

/// The sites with a condition that is not met, in the order of the file.
pub fn unannounced(situation: &Situation<'_>) -> Vec<Unannounced> {
    let watched = situation.config.announce.iter();

    watched
        .filter_map(|announce| missing(announce, situation))
        .collect()
}

/// The prefixes of a site that are served here; none if its record does not fit ours now.
pub fn announceable(announce: &Announce, situation: &Situation<'_>) -> Vec<Prefix> {
    let config = situation.config;
    let org: &OrgId = announce.org.as_ref().unwrap_or(&config.own.org);
    if !config.is_served_here(org, &announce.site) {
        return Vec::new();
    }

    let rulings = situation.rulings.iter();
    rulings
        .filter(|ruling| ruling.is_available())
        .filter(|ruling| ruling.org == *org && ruling.site == announce.site)
        .map(|ruling| ruling.prefix)
        .collect()
}

fn missing(announce: &Announce, situation: &Situation<'_>) -> Option<Unannounced> {
    let served = announceable(announce, situation);
    let AnnounceWatch::Kernel = announce.watch;

    let missing: Vec<Prefix> = served
        .iter()
        .filter(|prefix| !situation.links.lead_to(prefix))
        .copied()
        .collect();
    (!missing.is_empty()).then(|| Unannounced {
        site: announce.to_string(),
        is_partial: missing.len() < served.len(),
        missing,
    })
}

impl Unannounced {
    /// The same for an operator.
    pub fn finding(&self) -> Finding {
        let Unannounced {
            site,
            missing,
            is_partial,
        } = self;
        let how = if *is_partial { " in part" } else { "" };

        let mut what = format!("{site} is not announced{how}: no route to ");
        for (place, prefix) in missing.iter().take(MOST).enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            _ = write!(what, "{separator}{prefix}");
        }
        if missing.len() > MOST {
            _ = write!(what, " and {} more", missing.len() - MOST);
        }

        Finding {
            name: format!("{UNANNOUNCED} {site}"),
            what,
            remedy: missing.first().map(remedy).unwrap_or_default(),
        }
    }
}

fn remedy(prefix: &Prefix) -> Remedy {
    Remedy::command(format!(
        "ip route show table all root {prefix}   # what leads there; then ask what should have set \
         the route: BGP, the VPN, the router"
    ))
}
