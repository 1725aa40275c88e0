//! Routes of a gateway's host to the data centres that are served via its site: what is announced
//! depends on them.

use std::collections::BTreeSet;

use ringway_config::{Announce, AnnounceWatch, OrgId, Place, Prefix, SiteId};
use ringway_core::Membership;
use ringway_intent::{HostRoute, Links};

use crate::consortium::{ORGS, Records, prefixes};
use crate::rng::Rng;

/// The data centres of an organization: their names, and their numbers among its sites.
const DATA_CENTRES: [(&str, usize); 2] = [("idc", 2), ("far", 3)];

/// A block for each data centre that any organization may have.
pub(crate) fn announce(own: &OrgId, place: &Place) -> Vec<Announce> {
    let orgs = (0..ORGS).map(|number| format!("org{number}").parse::<OrgId>().unwrap());
    let blocks = orgs.flat_map(|org| {
        DATA_CENTRES.map(|(name, _)| Announce {
            org: (org != *own).then(|| org.clone()),
            site: name.parse::<SiteId>().unwrap(),
            watch: AnnounceWatch::Kernel,
            place: place.clone(),
        })
    });
    blocks.collect()
}

/// The prefixes of all data centres.
fn all() -> BTreeSet<Prefix> {
    let orgs = 0..ORGS;
    orgs.flat_map(|org| DATA_CENTRES.map(|(_, site)| prefixes(org, site)))
        .flatten()
        .collect()
}

/// To all of them, to none, or to some.
pub(crate) fn some(rng: &mut Rng) -> BTreeSet<Prefix> {
    let chance = [0, 500, 1000][rng.below(3)];

    let mut ways = all();
    ways.retain(|_| rng.chance(chance));
    ways
}

/// All of them, if there are data centres in these records.
pub(crate) fn of(records: &Records) -> BTreeSet<Prefix> {
    let has_any = records.values().any(|record| !record.via.is_empty());

    if has_any { all() } else { BTreeSet::new() }
}

/// The host with these routes to data centres, and `others`. Each of its interfaces has a carrier.
pub(crate) fn links(
    links: Links,
    ways: &BTreeSet<Prefix>,
    others: impl IntoIterator<Item = HostRoute>,
) -> Links {
    let running = ["eth0", "dc0"].map(str::to_owned);

    links
        .with_routes(routes(ways).into_iter().chain(others))
        .with_running(running)
}

/// The host's routes that lead there.
fn routes(ways: &BTreeSet<Prefix>) -> Vec<HostRoute> {
    let route = |prefix: &Prefix| HostRoute {
        prefix: *prefix,
        interface: "dc0".into(),
        gateway: None,
        is_live: true,
    };
    ways.iter().map(route).collect()
}

/// True unless it is a data centre's, by this `membership`, and there is no route.
pub(crate) fn lead_to(ways: &BTreeSet<Prefix>, prefix: &Prefix, membership: &Membership) -> bool {
    let mut data_centres = membership.passing.values();
    let is_behind = data_centres.any(|site| site.prefixes.contains(prefix));

    ways.contains(prefix) || !is_behind
}
