//! The gateways that an attached node dials: those of one site of its record, or the endpoints that
//! its file gives instead.

use crate::file::item::Item;
use crate::file::local_gateway::LocalGateway;
use crate::file::nearest::did_you_mean;
use crate::file::table::Table;
use crate::keys::{self, node as node_keys};
use crate::{Gateway, GatewayName, Member, SiteId, limits};

/// The site that serves the node, and its gateways that can be dialled.
pub(super) struct Serving {
    pub(super) site: SiteId,
    pub(super) gateways: Vec<Gateway>,
}

/// `None` only if faults were reported.
pub(super) fn read_serving(
    table: &Table<'_>,
    local: &LocalGateway,
    member: &Member,
) -> Option<Serving> {
    let org = local.org.as_ref()?;
    if org.value != member.org {
        let message = format!(
            "org {} has the record of org {}; write org = \"{}\"",
            org.value, member.org, member.org
        );
        table.fault_at(&org.place, message);
    }

    let item = table.required(&node_keys::SITE)?;
    let site: SiteId = item.parse()?;
    let dialled = read_gateways(table, member);
    let gateways: Vec<Gateway> = member
        .gateways
        .iter()
        .filter(|gateway| gateway.site == site && !member.revoked.gateways.contains(&gateway.name))
        .cloned()
        .map(
            |gateway| match dialled.iter().find(|own| own.name == gateway.name) {
                Some(own) => Gateway {
                    endpoints: own.endpoints.clone(),
                    ..gateway
                },
                None => gateway,
            },
        )
        .filter(|gateway| !gateway.endpoints.is_empty())
        .collect();
    if !gateways.is_empty() {
        return Some(Serving { site, gateways });
    }

    item.refuse(unserved(&site, member))
}

/// Why no gateway of this site can be dialled, and what to write.
fn unserved(site: &SiteId, member: &Member) -> String {
    let record = &member.place;
    if member.gateways.iter().any(|gateway| gateway.site == *site) {
        return format!(
            "no gateway of site {site} has an endpoint in {record}; add one there, with ringway \
             gateway set NAME --endpoint HOST:PORT, or a [[gateway]] with name and endpoints here"
        );
    }

    // The data centre that the node is in, instead of the site that serves it.
    let known = member.sites.iter().find(|known| known.name == *site);
    let via = known.and_then(|known| known.via.as_ref());
    if let Some(via) = via.filter(|via| via.org.is_none()) {
        return format!(
            "site {site} has no gateways of its own: those of site {via} serve it ({}); write \
             site = \"{via}\"",
            via.place,
            via = via.site,
        );
    }

    let known = member.gateways.iter().map(|gateway| gateway.site.as_str());
    let remedy = did_you_mean(site.as_str(), known, || "take the newest record".to_owned());
    format!("site {site} has no gateways in {record}; {remedy}")
}

/// Gateways that the node dials at other endpoints than the record has.
fn read_gateways(table: &Table<'_>, member: &Member) -> Vec<Gateway> {
    let mut gateways: Vec<Gateway> = Vec::new();
    let most = limits::GATEWAYS_OF_A_SITE;
    for block in table.tables(&node_keys::GATEWAY, most, &keys::node_gateway::SCHEMA) {
        let endpoints = block.required(&keys::node_gateway::ENDPOINTS);
        let endpoints = endpoints.map(|item| (item, item.list(limits::ENDPOINTS)));
        if let Some((item, items)) = &endpoints
            && items.is_empty()
        {
            item.fault("an empty list, so that the gateway could not be dialled");
        }
        let endpoints = endpoints.into_iter().flat_map(|(_, items)| items);
        let endpoints: Vec<_> = endpoints.filter_map(|item| item.parse()).collect();
        let name = block.required(&keys::node_gateway::NAME);
        let name = name.and_then(|item| read_name(&item, member, &gateways));

        gateways.extend(name.map(|known| Gateway { endpoints, ..known }));
    }
    gateways
}

/// The gateway of the record, unless it is among `listed`.
fn read_name(item: &Item<'_>, member: &Member, listed: &[Gateway]) -> Option<Gateway> {
    let name: GatewayName = item.parse()?;
    if listed.iter().any(|own| own.name == name) {
        return item.refuse(format!(
            "gateway {name} is listed twice; write all endpoints in one block"
        ));
    }
    if let Some(known) = member.gateway(&name) {
        return Some(known.clone());
    }

    let known = member.gateways.iter().map(|gateway| gateway.name.as_str());
    let remedy = did_you_mean(name.as_str(), known, || {
        "remove the block, or take the newest record".to_owned()
    });
    item.refuse(format!(
        "gateway {name} is not in {}; {remedy}",
        member.place
    ))
}
