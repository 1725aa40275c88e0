//! `[[announce]]`: sites that are announced only while the host has a way to them.

use super::consortium::Consortium;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::nearest::did_you_mean;
use super::table::Table;
use crate::keys::{announce as keys, gateway};
use crate::{Announce, AnnounceWatch, OrgId, Site, SiteId, TransitSite, limits};

/// Reads every block. One with faults is left out.
pub(crate) fn read(
    table: &Table<'_>,
    local: &LocalGateway,
    consortium: &Consortium,
) -> Vec<Announce> {
    let mut known: Vec<Announce> = Vec::new();
    for block in table.tables(&gateway::ANNOUNCE, limits::ANNOUNCE, &keys::SCHEMA) {
        // Both keys are read before the first `?`, so that the faults of both are reported.
        let site = block.required(&keys::SITE);
        let watch = block
            .required(&keys::WATCH)
            .and_then(|item| item.word(&[("kernel", AnnounceWatch::Kernel)]));
        let announce = site.and_then(|item| {
            let (org, site) = read_site(&item, local, consortium)?;
            let is_twice = known
                .iter()
                .any(|known| known.org == org && known.site == site);
            if is_twice {
                return item.refuse(format!("{site} is listed twice; remove one of the blocks"));
            }

            Some(Announce {
                org,
                site,
                watch: watch?,
                place: item.place(),
            })
        });
        known.extend(announce);
    }

    known
}

/// `idc`, or `beta/plant`; the organization only if it is another one.
fn read_site(
    item: &Item<'_>,
    local: &LocalGateway,
    consortium: &Consortium,
) -> Option<(Option<OrgId>, SiteId)> {
    let text = item.text()?;
    let ours = local.org.as_ref().map(|org| &org.value);
    let (org, site) = match text.split_once('/') {
        None => (None, item.parse()?),
        Some(_) => {
            let TransitSite { org, site } = item.parse()?;
            ((Some(&org) != ours).then_some(org), site)
        }
    };

    let here = local.site.as_ref().map(|site| &site.value);
    let fault = match &org {
        Some(org) => foreign_fault(org, &site, item, consortium),
        None => own_fault(&site, here?, consortium),
    };
    match fault {
        Some(fault) => item.refuse(fault),
        None => Some((org, site)),
    }
}

/// Why one of our own sites is not announced by the gateways of `here`.
fn own_fault(site: &SiteId, here: &SiteId, consortium: &Consortium) -> Option<String> {
    // Our record has faults, which were reported.
    let sites = consortium.own_sites()?;
    let Some(found) = sites.iter().find(|known| known.name == *site) else {
        let served = sites.iter().filter(|known| is_served(known, here));
        let remedy = did_you_mean(site.as_str(), served.map(|site| site.name.as_str()), || {
            format!("add it with ringway site add {site}=… --via {here}, or remove the block")
        });
        return Some(format!("there is no site {site} in our record; {remedy}"));
    };
    if is_served(found, here) {
        return None;
    }

    let server = match &found.via {
        Some(via) => format!("the gateways of {via}"),
        None => "its own gateways".to_owned(),
    };
    Some(format!(
        "site {site} is served by {server}, and this one serves {here}; write the block in their \
         gateway.toml"
    ))
}

fn is_served(site: &Site, here: &SiteId) -> bool {
    match &site.via {
        Some(via) => via.org.is_none() && via.site == *here,
        None => site.name == *here,
    }
}

/// Why a site of another organization is not announced here. What that one's record says may change
/// at any time, and is no fault of this file.
fn foreign_fault(
    org: &OrgId,
    site: &SiteId,
    item: &Item<'_>,
    consortium: &Consortium,
) -> Option<String> {
    if !consortium.consents_to(org, site)? {
        return Some(format!(
            "{org}/{site} is a site of another organization, which our record does not consent to \
             serve; consent with ringway site transit add {org}/{site}, or remove the block"
        ));
    }
    if let Some(sites) = consortium.sites(org)
        && !sites.iter().any(|known| known.name == *site)
    {
        item.note(format!(
            "the record of {org} has no site {site}: the block has no effect yet; ask {org} for \
             its newest record"
        ));
    }

    None
}
