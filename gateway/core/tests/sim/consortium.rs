//! Who is in the consortium: member records as the organizations hand them out, and what one gateway
//! makes of the records that it holds.

use std::collections::BTreeMap;
use std::rc::Rc;

use ringway_config::{Digest, Endpoint, GatewayId, Host, OrgId, Prefix, SiteId};
use ringway_core::{GatewayInfo, Membership};

use crate::dice::Dice;

/// One version of one organization's member record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) org: OrgId,
    pub(crate) version: u32,
    pub(crate) sites: BTreeMap<SiteId, Vec<Prefix>>,
    pub(crate) gateways: BTreeMap<GatewayId, GatewayInfo>,
}

/// The records that one gateway holds.
pub(crate) type Records = BTreeMap<OrgId, Rc<Record>>;

/// At least 30 gateways of a dozen organizations: some sites with two gateways, some gateways without
/// endpoints, some whose first endpoint leads nowhere.
pub(crate) fn found(dice: &mut Dice) -> Records {
    (0..12)
        .map(|org| Rc::new(record(org, dice)))
        .map(|record| (record.org.clone(), record))
        .collect()
}

fn record(number: usize, dice: &mut Dice) -> Record {
    let org: OrgId = format!("org{number}").parse().unwrap();
    let (mut sites, mut gateways) = (BTreeMap::new(), BTreeMap::new());
    for site in 0..2 {
        let name: SiteId = format!("site{site}").parse().unwrap();
        sites.insert(name.clone(), prefixes(number, site));
        // Every other first site has two gateways: 12 * 2 + 6 = 30 in all.
        let twins = if site == 0 && number.is_multiple_of(2) {
            2
        } else {
            1
        };
        for twin in 0..twins {
            let id: GatewayId = format!("gw{site}{twin}.org{number}").parse().unwrap();
            let endpoints = endpoints(&id, dice);
            gateways.insert(
                id,
                GatewayInfo {
                    site: name.clone(),
                    endpoints,
                },
            );
        }
    }
    Record {
        org,
        version: 0,
        sites,
        gateways,
    }
}

fn prefixes(org: usize, site: usize) -> Vec<Prefix> {
    [
        format!("10.{org}.{site}.0/24"),
        format!("fd00:{org:x}:{site:x}::/64"),
    ]
    .map(|p| p.parse().unwrap())
    .into()
}

/// One in four only dials.
fn endpoints(id: &GatewayId, dice: &mut Dice) -> Vec<Endpoint> {
    let endpoint = |host: String| Endpoint {
        host: Host::Name(host.parse().unwrap()),
        port: 4600,
    };
    match dice.below(8) {
        0 | 1 => vec![],
        2 => vec![endpoint("nowhere".into()), endpoint(id.to_string())],
        _ => vec![endpoint(id.to_string())],
    }
}

/// What `me` makes of its records.
pub(crate) fn membership(me: &GatewayId, site: &SiteId, records: &Records) -> Membership {
    let gateways = records.values().flat_map(|record| &record.gateways);
    let sites = records
        .values()
        .flat_map(|record| record.sites.iter().map(|site| (&record.org, site)));
    Membership {
        me: me.clone(),
        site: site.clone(),
        gateways: gateways
            .filter(|(id, _)| *id != me)
            .map(|(id, info)| (id.clone(), info.clone()))
            .collect(),
        authorized: sites
            .map(|(org, (site, prefixes))| ((org.clone(), site.clone()), prefixes.clone()))
            .collect(),
        conflicted: Vec::new(),
        records: records
            .values()
            .map(|record| (record.org.clone(), digest(record)))
            .collect(),
    }
}

fn digest(record: &Record) -> Digest {
    Digest::of(format!("{} {}", record.org, record.version).as_bytes())
}
