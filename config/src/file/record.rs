//! [`Record`]: the contents of one member record, as far as they can be read. What must hold
//! between records is checked in [`super::consortium`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use super::end;
use super::item::{Item, Placed};
use super::nearest::did_you_mean;
use super::pem;
use super::report::Report;
use super::source::Source;
use super::table::{Table, Versions};
use super::{transit, via};
use crate::bogon::bogon;
use crate::keys::{self, Key};
use crate::{
    Digest, Endpoint, Gateway, Member, OrgId, Place, PlacedPrefix, Prefix, Revoked, Root, Site,
    SiteId, Transit, ZoneName, limits,
};

/// Characters of a zone's name that leave room for a label below it (RFC 1035, section 2.3.4: a
/// name has at most 253 characters, a label 63 and a dot).
const LONGEST_ZONE: usize = 253 - 64;

const VERSIONS: &Versions = &[(2, &keys::member::SCHEMA), (1, &keys::member::SCHEMA_1)];

/// Serials: as many as TOML has.
const SERIALS: RangeInclusive<u64> = 1..=i64::MAX as u64;

/// A record that was read. What had faults is left out.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) org: Option<Placed<OrgId>>,
    pub(crate) domain: Option<Placed<ZoneName>>,
    /// 0 in version 1.
    pub(crate) serial: Option<u64>,
    pub(crate) roots: Vec<Root>,
    pub(crate) sites: Vec<Site>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) transit: Vec<Transit>,
    pub(crate) revoked: Revoked,
    pub(crate) digest: Digest,
    pub(crate) place: Place,
    /// It had no faults, so that a site or gateway that is missing here is missing in the file.
    pub(crate) whole: bool,
}

impl Record {
    /// Reads the text of a record. `None` if it is not TOML, or of an unknown version.
    pub(crate) fn read(text: &str, file: &Path, report: &Report) -> Option<Record> {
        let before = report.len();
        let source = Source::new(text, file, report);
        let document = source.parse()?;
        let version = &keys::member::VERSION;
        let (table, version) = Table::document(&source, &document, VERSIONS, version)?;

        let org = table
            .required(&keys::member::ORG)
            .and_then(|item| read_org(&item));
        let ours = org.as_ref().map(|org| &org.value);
        let sites = read_sites(&table, ours);
        let mut record = Record {
            transit: transit::read(&table, ours, version),
            domain: table
                .required(&keys::member::DOMAIN)
                .and_then(|item| item.placed()),
            serial: read_serial(&table, version),
            roots: table
                .required(&keys::member::CA)
                .map(|item| read_roots(&item))
                .unwrap_or_default(),
            gateways: read_gateways(&table, &sites),
            sites,
            org,
            revoked: table
                .table(&keys::member::REVOKED, &keys::revoked::SCHEMA)
                .map(|table| read_revoked(&table))
                .unwrap_or_default(),
            digest: Digest::of(text.as_bytes()),
            place: source.whole(),
            whole: false,
        };
        record.check_zone(&table);
        // What has faults is left out, and would be missed.
        if report.len() == before {
            via::check(&record.sites, &record.gateways, &table);
        }
        if version > 1 {
            end::check(&table, &source);
        }
        // Files that were read before may have had faults; they do not count.
        record.whole = report.len() == before;

        Some(record)
    }

    fn check_zone(&self, table: &Table<'_>) {
        let (Some(org), Some(domain)) = (&self.org, &self.domain) else {
            return;
        };

        if domain.value.zone_of(&org.value).as_str().len() > LONGEST_ZONE {
            let message =
                "the zone <org>.<domain> is too long; choose a domain of fewer characters";
            table.fault_at(&domain.place, message);
        }
    }

    /// The checked record; `None` only if faults were reported.
    pub(crate) fn into_member(self) -> Option<Member> {
        Some(Member {
            org: self.org?.value,
            domain: self.domain?.value,
            serial: self.serial?,
            roots: self.roots,
            sites: self.sites,
            gateways: self.gateways,
            transit: self.transit,
            revoked: self.revoked,
            digest: self.digest,
            place: self.place,
        })
    }
}

fn read_serial(table: &Table<'_>, version: u32) -> Option<u64> {
    if version == 1 {
        return Some(0);
    }

    table.required(&keys::member::SERIAL)?.number(SERIALS)
}

fn read_org(item: &Item<'_>) -> Option<Placed<OrgId>> {
    let org: Placed<OrgId> = item.placed()?;
    // `from = "all"` in a policy means every member.
    if org.value.as_str() == "all" {
        return item.refuse("no organization can be called all, which means every one in a policy");
    }

    Some(org)
}

/// The certificates of a string, or of several. A fault is placed at its PEM block.
fn read_roots(item: &Item<'_>) -> Vec<Root> {
    let mut roots = Vec::new();
    // The limit is on certificates, of which a string may hold several.
    let texts = item.one_or_more(usize::MAX);
    for text in &texts {
        let Some(pem) = text.text() else { continue };
        let mut begins = text.raw().match_indices(pem::BEGIN);
        for block in pem::certificates(pem) {
            // A BEGIN line that is written with escapes is not found in the raw text.
            let place = match begins.next() {
                Some((offset, _)) => text.place_within(offset),
                None => text.place(),
            };
            match block {
                Ok(pem) => roots.push(Root { pem, place }),
                Err(error) => text.fault_at(&place, error),
            }
        }
    }

    let count = roots.len();
    let most = limits::ROOTS;
    if texts.is_empty() {
        item.fault("no CA certificate");
    } else if count > most {
        item.fault(format!("{count} certificates; at most {most} are allowed"));
    }

    roots
}

fn read_sites(record: &Table<'_>, ours: Option<&OrgId>) -> Vec<Site> {
    let mut names = Names::new("site");
    let mut sites = Vec::new();
    for table in record.tables(
        &keys::member::SITE,
        limits::SITES,
        &keys::member_site::SCHEMA,
    ) {
        let name = names.read(&table, &keys::member_site::NAME);
        let prefixes = read_prefixes(&table.list(&keys::member_site::PREFIXES, limits::PREFIXES));
        let via = table
            .optional(&keys::member_site::VIA)
            .and_then(|item| via::read(&item, ours));
        if let Some(name) = name {
            sites.push(Site {
                name,
                prefixes,
                via,
            });
        }
    }

    sites
}

/// Prefixes that a site may have, each once.
fn read_prefixes(items: &[Item<'_>]) -> Vec<PlacedPrefix> {
    let mut seen = BTreeSet::new();
    let mut prefixes = Vec::new();
    for item in items {
        let Some(prefix) = item.parse::<Prefix>() else {
            continue;
        };
        if let Some(what) = bogon(&prefix) {
            item.fault(format!("{prefix} {what}, which no site may use"));
        } else if !seen.insert(prefix) {
            item.fault(format!("{prefix} is listed twice; remove one of them"));
        } else {
            prefixes.push(PlacedPrefix {
                prefix,
                place: item.place(),
            });
        }
    }

    prefixes
}

fn read_gateways(record: &Table<'_>, sites: &[Site]) -> Vec<Gateway> {
    let schema = &keys::member_gateway::SCHEMA;
    let mut names = Names::new("gateway");
    let mut at_site = BTreeMap::<SiteId, usize>::new();
    let mut gateways = Vec::new();
    for table in record.tables(&keys::member::GATEWAY, limits::GATEWAYS, schema) {
        let name = names.read(&table, &keys::member_gateway::NAME);
        let site = table
            .required(&keys::member_gateway::SITE)
            .and_then(|item| read_site_of_gateway(&item, sites));
        let endpoints = read_endpoints(&table);
        let (Some(name), Some(site)) = (name, site) else {
            continue;
        };

        // Reported once for each site, at the first gateway that is too many.
        let count = at_site.entry(site.clone()).or_default();
        *count += 1;
        let most = limits::GATEWAYS_OF_A_SITE;
        if *count == most + 1 {
            table.fault(format!(
                "site {site} has more than {most} gateways; remove some"
            ));
        }

        gateways.push(Gateway {
            name,
            site,
            endpoints,
        });
    }

    gateways
}

fn read_site_of_gateway(item: &Item<'_>, sites: &[Site]) -> Option<SiteId> {
    let name: SiteId = item.parse()?;
    if let Some(site) = sites.iter().find(|site| site.name == name) {
        return match &site.via {
            Some(via) => item.refuse(format!(
                "site {name} is served via {via} ({}), and so has no gateways of its own; remove \
                 via there, or name another site here",
                via.place
            )),
            None => Some(name),
        };
    }

    let known = sites.iter().map(|site| site.name.as_str());
    let remedy = did_you_mean(name.as_str(), known, || {
        format!("add a [[site]] with name = \"{name}\"")
    });
    item.refuse(format!("there is no site {name} in this record; {remedy}"))
}

fn read_endpoints(gateway: &Table<'_>) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for item in gateway.list(&keys::member_gateway::ENDPOINTS, limits::ENDPOINTS) {
        let Some(endpoint) = item.parse::<Endpoint>() else {
            continue;
        };
        if endpoints.contains(&endpoint) {
            item.fault(format!("{endpoint} is listed twice; remove one of them"));
        } else {
            endpoints.push(endpoint);
        }
    }

    endpoints
}

fn read_revoked(table: &Table<'_>) -> Revoked {
    let gateways = table.list(&keys::revoked::GATEWAYS, limits::REVOKED);
    let keys = table.list(&keys::revoked::KEYS, limits::REVOKED);

    Revoked {
        gateways: gateways.iter().filter_map(|item| item.parse()).collect(),
        keys: keys.iter().filter_map(|item| item.parse()).collect(),
    }
}

/// The names that one kind of table has in this record, and where each was written.
struct Names {
    /// Such as `site`.
    kind: &'static str,
    first: BTreeMap<String, Place>,
}

impl Names {
    fn new(kind: &'static str) -> Names {
        Names {
            kind,
            first: BTreeMap::new(),
        }
    }

    /// Reads the name at `key`, which no earlier table of this kind may have.
    fn read<T: FromStr<Err: Display>>(&mut self, table: &Table<'_>, key: &Key) -> Option<T> {
        let kind = self.kind;
        let item = table.required(key)?;
        let name = item.parse()?;
        let text = item.text()?;
        if let Some(first) = self.first.get(text) {
            return item.refuse(format!(
                "{kind} {text} is already at {first}; give each {kind} another name"
            ));
        }

        self.first.insert(text.to_owned(), item.place());
        Some(name)
    }
}
