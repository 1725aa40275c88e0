//! [`unannounced`]: the prefixes that this gateway serves but does not announce now, because the
//! host has no route to them. `[[announce]]` says for which sites routes are a condition.
//!
//! Each prefix is judged by itself, as claims are: if one of a site's prefixes has no route,
//! members still reach the others, and a sibling that has a route to it serves it.

use std::fmt::Write as _;

use ringway_config::{Announce, AnnounceWatch, OrgId, Prefix};

use crate::remedy::Remedy;
use crate::situation::Situation;
use crate::thing::Finding;

/// Prefix of the names of the findings.
pub const UNANNOUNCED: &str = "announce";

/// Number of prefixes that a finding lists.
const MOST: usize = 4;

/// A site of which some or all prefixes are not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unannounced {
    /// The site, as gateway.toml names it: `idc`, or `beta/plant`.
    pub site: String,
    /// Its prefixes without a route.
    pub missing: Vec<Prefix>,
    /// The site has other prefixes, which are announced.
    pub is_partial: bool,
}

/// The sites whose condition is not met, in the order of the file.
pub fn unannounced(situation: &Situation<'_>) -> Vec<Unannounced> {
    let watched = situation.config.announce.iter();

    watched
        .filter_map(|announce| missing(announce, situation))
        .collect()
}

/// The prefixes of a site that are served here. None if the two organizations' records disagree.
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
    /// The finding for the operator.
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
