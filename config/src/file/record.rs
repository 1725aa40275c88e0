//! [`Record`]: what one member record says, as far as it can be read. What must hold between records is
//! checked in [`super::consortium`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use super::nearest::did_you_mean;
use super::pem;
use super::report::Report;
use super::source::Source;
use super::table::{Item, Key, Placed, Schema, Table};
use crate::bogon::bogon;
use crate::{
    Digest, Endpoint, Gateway, GatewayName, Member, OrgId, Place, PlacedPrefix, Prefix, Revoked,
    Root, Site, SiteId, ZoneName, limits,
};

const RECORD: Schema = Schema {
    name: "",
    keys: &[
        Key("version", "version = 1"),
        Key("org", "org = \"acme\""),
        Key("domain", "domain = \"consortium.example\""),
        Key("ca", "ca = [\"\"\"<the CA certificate in PEM>\"\"\"]"),
        Key("site", "[[site]] with name and prefixes"),
        Key("gateway", "[[gateway]] with name, site and endpoints"),
        Key("revoked", "[revoked] with gateways and keys"),
    ],
};

const SITE: Schema = Schema {
    name: "[[site]]",
    keys: &[
        Key("name", "name = \"west\""),
        Key("prefixes", "prefixes = [\"10.1.0.0/16\", \"fd00:1::/48\"]"),
    ],
};

const GATEWAY: Schema = Schema {
    name: "[[gateway]]",
    keys: &[
        Key("name", "name = \"gw\""),
        Key("site", "site = \"west\""),
        Key("endpoints", "endpoints = [\"203.0.113.5:4600\"]"),
    ],
};

const REVOKED: Schema = Schema {
    name: "[revoked]",
    keys: &[
        Key("gateways", "gateways = [\"gw2\"]"),
        Key("keys", "keys = [\"sha256:<64 hexadecimal digits>\"]"),
    ],
};

/// A record that was read; with faults in it, the rest of it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) org: Option<Placed<OrgId>>,
    pub(crate) domain: Option<Placed<ZoneName>>,
    pub(crate) roots: Vec<Root>,
    pub(crate) sites: Vec<Site>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) revoked: Revoked,
    pub(crate) digest: Digest,
    pub(crate) place: Place,
    /// Nothing in it was faulty, so that what is missing here is missing in the file.
    pub(crate) whole: bool,
}

impl Record {
    /// Reads the text of a record. `None` if it is no TOML, or of an unknown version.
    pub(crate) fn read(text: &str, file: &Path, report: &Report) -> Option<Record> {
        let before = report.len();
        let source = Source::new(text, file, report);
        let document = source.parse()?;
        let table = Table::document(&source, &document, &RECORD)?;
        let sites = read_sites(&table);
        let record = Record {
            org: table.required("org").and_then(|item| read_org(&item)),
            domain: table.required("domain").and_then(|item| item.placed()),
            roots: table
                .required("ca")
                .map(|item| read_roots(&item))
                .unwrap_or_default(),
            gateways: read_gateways(&table, &sites),
            sites,
            revoked: table
                .table("revoked", &REVOKED)
                .map(|table| read_revoked(&table))
                .unwrap_or_default(),
            digest: Digest::of(text.as_bytes()),
            place: source.whole(),
            whole: false,
        };
        record.check_zone(&table);
        Some(Record {
            whole: report.len() == before,
            ..record
        })
    }

    /// A zone's name has at most 253 characters (RFC 1035, section 2.3.4), and names stand below it.
    fn check_zone(&self, table: &Table<'_>) {
        let Some((org, domain)) = self.org.as_ref().zip(self.domain.as_ref()) else {
            return;
        };
        if domain.value.zone_of(&org.value).as_str().len() > 253 - 64 {
            table.fault_at(
                &domain.place,
                "the zone <org>.<domain> is too long; choose a domain of fewer characters",
            );
        }
    }

    /// The checked record; `None` only if faults were reported.
    pub(crate) fn into_member(self) -> Option<Member> {
        let Record {
            roots,
            sites,
            gateways,
            revoked,
            digest,
            place,
            ..
        } = self;
        let (org, domain) = (self.org?.value, self.domain?.value);
        Some(Member {
            org,
            domain,
            roots,
            sites,
            gateways,
            revoked,
            digest,
            place,
        })
    }
}

/// `all` stands for every organization in a policy.
fn read_org(item: &Item<'_>) -> Option<Placed<OrgId>> {
    let org: Placed<OrgId> = item.placed()?;
    match org.value.as_str() {
        "all" => {
            item.refuse("no organization can be called all, which means every one in a policy")
        }
        _ => Some(org),
    }
}

/// One certificate a string or several; faults stand at their block.
fn read_roots(item: &Item<'_>) -> Vec<Root> {
    let mut roots = Vec::new();
    let texts = item.one_or_more(usize::MAX);
    for text in &texts {
        let Some(pem) = text.text() else { continue };
        let mut begins = text
            .raw()
            .match_indices(pem::BEGIN)
            .map(|(offset, _)| text.place_within(offset));
        for block in pem::certificates(pem) {
            let place = begins.next().unwrap_or_else(|| text.place());
            match block {
                Ok(pem) => roots.push(Root { pem, place }),
                Err(error) => text.fault_at(&place, error),
            }
        }
    }
    if texts.is_empty() {
        item.fault("no CA certificate");
    } else if roots.len() > limits::ROOTS {
        item.fault(format!(
            "{} certificates; at most {} are allowed",
            roots.len(),
            limits::ROOTS
        ));
    }
    roots
}

fn read_sites(record: &Table<'_>) -> Vec<Site> {
    let mut names = Names::default();
    let mut sites = Vec::new();
    for table in record.tables("site", limits::SITES, &SITE) {
        let name = names.read(&table, "site");
        let prefixes = read_prefixes(&table.list("prefixes", limits::PREFIXES));
        sites.extend(name.map(|name| Site { name, prefixes }));
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
    let mut names = Names::default();
    let mut at_site = BTreeMap::<SiteId, usize>::new();
    let mut gateways = Vec::new();
    for table in record.tables("gateway", limits::GATEWAYS, &GATEWAY) {
        let name = names.read(&table, "gateway");
        let site = table
            .required("site")
            .and_then(|item| read_site_of_gateway(&item, sites));
        let endpoints = read_endpoints(&table);
        let (Some(name), Some(site)) = (name, site) else {
            continue;
        };
        let count = at_site.entry(site.clone()).or_default();
        *count += 1;
        if *count == limits::GATEWAYS_OF_A_SITE + 1 {
            let most = limits::GATEWAYS_OF_A_SITE;
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
    if sites.iter().any(|site| site.name == name) {
        return Some(name);
    }
    let known = sites.iter().map(|site| site.name.as_str());
    let remedy = did_you_mean(name.as_str(), known, || {
        format!("add a [[site]] with name = \"{name}\"")
    });
    item.refuse(format!("there is no site {name} in this record; {remedy}"))
}

fn read_endpoints(gateway: &Table<'_>) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for item in gateway.list("endpoints", limits::ENDPOINTS) {
        match item.parse::<Endpoint>() {
            Some(endpoint) if endpoints.contains(&endpoint) => {
                item.fault(format!("{endpoint} is listed twice; remove one of them"))
            }
            endpoint => endpoints.extend(endpoint),
        }
    }
    endpoints
}

fn read_revoked(table: &Table<'_>) -> Revoked {
    let gateways = table.list("gateways", limits::REVOKED);
    let keys = table.list("keys", limits::REVOKED);
    Revoked {
        gateways: gateways
            .iter()
            .filter_map(|item| item.parse::<GatewayName>())
            .collect(),
        keys: keys.iter().filter_map(|item| item.parse()).collect(),
    }
}

/// Names that must be different from each other, and where each was written.
#[derive(Default)]
struct Names(BTreeMap<String, Place>);

impl Names {
    /// Reads `name` from a table that describes a `what`.
    fn read<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        table: &Table<'_>,
        what: &str,
    ) -> Option<T> {
        let item = table.required("name")?;
        let name = item.parse()?;
        let text = item.text()?.to_owned();
        match self.0.get(&text) {
            Some(first) => item.refuse(format!(
                "{what} {text} is already at {first}; give each {what} a name of its own"
            )),
            None => {
                self.0.insert(text, item.place());
                Some(name)
            }
        }
    }
}
