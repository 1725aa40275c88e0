//! `via` in a `[[site]]`: the site whose gateways serve it too.

use super::item::Item;
use super::nearest::did_you_mean;
use super::table::Table;
use crate::{Gateway, OrgId, Site, SiteId, Via};

/// `via = "east"`, or `via = "beta/east"`. `ours` is the organization of the record.
pub(super) fn read(item: &Item<'_>, ours: Option<&OrgId>) -> Option<Via> {
    let text = item.text()?;
    let Some((org, site)) = text.split_once('/') else {
        return Some(Via {
            org: None,
            site: item.parse()?,
            place: item.place(),
        });
    };
    let (Ok(org), Ok(site)) = (org.parse::<OrgId>(), site.parse::<SiteId>()) else {
        return item.refuse(format!("{text:?} is neither <site> nor <org>/<site>"));
    };

    Some(Via {
        org: (Some(&org) != ours).then_some(org),
        site,
        place: item.place(),
    })
}

/// Reports what does not fit within one record. What another organization's record says is not
/// known here, and is no fault of this one.
pub(super) fn check(sites: &[Site], gateways: &[Gateway], record: &Table<'_>) {
    for site in sites {
        if let Some(via) = site.via.as_ref().filter(|via| via.org.is_none())
            && let Some(message) = fault(site, &via.site, sites, gateways)
        {
            record.fault_at(&via.place, message);
        }
    }
}

fn fault(site: &Site, via: &SiteId, sites: &[Site], gateways: &[Gateway]) -> Option<String> {
    let name = &site.name;
    if *via == *name {
        return Some(format!(
            "site {name} cannot be served via itself; name a site that has gateways, or remove via"
        ));
    }
    let Some(server) = sites.iter().find(|known| known.name == *via) else {
        let known = sites.iter().filter(|known| known.via.is_none());
        let remedy = did_you_mean(via.as_str(), known.map(|site| site.name.as_str()), || {
            "name a site that has gateways".to_owned()
        });
        return Some(format!("there is no site {via} in this record; {remedy}"));
    };

    if let Some(further) = &server.via {
        return Some(format!(
            "site {via} is itself served via {further}; write via = \"{further}\""
        ));
    }
    if !gateways.iter().any(|gateway| gateway.site == *via) {
        return Some(format!(
            "site {via} has no gateway that could serve {name}; add a [[gateway]] with site = \
             \"{via}\", or name another site"
        ));
    }
    None
}
