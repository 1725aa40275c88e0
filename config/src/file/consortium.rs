//! [`Consortium`]: this organization's record and the members', as read from their files, and what
//! must hold between them: one domain, one record for each organization, and in our record this
//! gateway at its site.

use std::collections::BTreeMap;
use std::path::Path;

use super::directory::{self, SUFFIX, stem};
use super::item::Placed;
use super::local_gateway::LocalGateway;
use super::nearest::did_you_mean;
use super::record::Record;
use super::report::Report;
use super::source;
use crate::{Member, OrgId, Place, PlacedPrefix, Prefix, Site, SiteId, ZoneName, limits};

/// Every record that could be read.
#[derive(Debug)]
pub(crate) struct Consortium {
    /// This organization's record; `None` if it could not be read.
    own: Option<Record>,
    members: Vec<Record>,
    /// Organizations by file name, including those whose records could not be read.
    files: Vec<String>,
    /// False if the members directory could not be read: who is a member is not known then.
    is_listed: bool,
}

/// The checked records.
#[derive(Debug)]
pub(crate) struct Members {
    /// This organization's record; `None` only if faults were reported.
    pub(crate) own: Option<Member>,
    /// The others by organization; `None` only if faults were reported.
    pub(crate) others: Option<Vec<Member>>,
}

impl Consortium {
    /// Reads our record and the members directory, which may hold our record too. Each argument is
    /// `None` if `gateway.toml` lacks it.
    pub(crate) fn read(
        record: Option<&Path>,
        members_dir: Option<&Path>,
        report: &Report,
    ) -> Consortium {
        let own = record.and_then(|path| read_record(path, report));
        let listing = members_dir.and_then(|dir| directory::list(dir, report));
        let is_listed = listing.is_some();
        let mut paths = listing.map(|listing| listing.records).unwrap_or_default();
        // Our record may lie among the others; it is not a second record of our organization.
        paths.retain(|path| Some(path.as_path()) != record);

        Consortium {
            own,
            members: paths
                .iter()
                .filter_map(|path| read_record(path, report))
                .collect(),
            files: paths
                .iter()
                .filter_map(|path| stem(path))
                .map(str::to_owned)
                .collect(),
            is_listed,
        }
    }

    /// Checks what no single record shows: whether the records fit each other, their file names
    /// and this gateway.
    pub(crate) fn check(&self, local: &LocalGateway, report: &Report) {
        self.check_local(local, report);
        self.check_file_names(report);
        self.check_organizations(report);
        self.check_domains(report);
        self.check_size(report);
    }

    /// This gateway is in our record, at the site that `gateway.toml` names.
    fn check_local(&self, local: &LocalGateway, report: &Report) {
        let Some(own) = &self.own else { return };
        if let (Some(org), Some(Placed { value, place })) = (&local.org, &own.org)
            && org.value != *value
        {
            let message = format!(
                "org {} has no record of org {value}; write org = \"{value}\" as in {place}",
                org.value
            );
            report.fault(&org.place, message);
        }

        let Some(site) = &local.site else { return };
        if !own.has_site(&site.value) {
            let known = own.sites.iter().map(|site| site.name.as_str());
            report.fault(&site.place, own.lacks("site", site.value.as_str(), known));
        }

        let Some(gateway) = &local.name else { return };
        let recorded = own
            .gateways
            .iter()
            .find(|known| known.name == gateway.value);
        match recorded {
            Some(recorded) if recorded.site != site.value => {
                let message = format!(
                    "gateway {} serves site {site} in {}; write site = \"{site}\"",
                    recorded.name,
                    own.place,
                    site = recorded.site,
                );
                report.fault(&site.place, message);
            }
            // A record with faults may have the gateway in a block that was left out.
            None if own.whole => {
                let known = own.gateways.iter().map(|gateway| gateway.name.as_str());
                let message = own.lacks("gateway", gateway.value.as_str(), known);
                report.fault(&gateway.place, message);
            }
            _ => {}
        }
    }

    /// The prefixes of our organization that the gateways of this one's site serve: those of the
    /// site, and of the sites via it. `None` if our record or the file does not say them.
    pub(crate) fn served_by(&self, local: &LocalGateway) -> Option<Vec<Prefix>> {
        let here = &local.site.as_ref()?.value;
        let sites = self.own_sites()?.iter().filter(|site| match &site.via {
            Some(via) => via.org.is_none() && via.site == *here,
            None => site.name == *here,
        });

        let placed = sites.flat_map(|site| &site.prefixes);
        Some(placed.map(|placed| placed.prefix).collect())
    }

    fn check_file_names(&self, report: &Report) {
        for member in &self.members {
            if let Some(Placed { value: org, place }) = &member.org
                && stem(&member.place.file) != Some(org.as_str())
            {
                let message = format!(
                    "the file with org {org} is not called after it; rename it to {org}{SUFFIX}"
                );
                report.fault(place, message);
            }
        }
    }

    /// There is one record for each organization.
    fn check_organizations(&self, report: &Report) {
        let mut seen: BTreeMap<&OrgId, &Place> = BTreeMap::new();
        for record in self.records() {
            let Some(org) = &record.org else { continue };
            // Our record comes first, so that the fault is placed at the other one.
            if let Some(first) = seen.insert(&org.value, &record.place) {
                let message = format!(
                    "org {} has its record already in {first}; remove one of them",
                    org.value
                );
                report.fault(&org.place, message);
            }
        }
    }

    fn check_domains(&self, report: &Report) {
        let Some(ours) = self.own.as_ref().and_then(|own| own.domain.as_ref()) else {
            return;
        };

        for member in &self.members {
            let Some(theirs) = &member.domain else {
                continue;
            };
            if theirs.value != ours.value {
                let message = format!(
                    "domain {} is not ours; all members write domain = \"{}\" as in {}",
                    theirs.value, ours.value, ours.place
                );
                report.fault(&theirs.place, message);
            }
        }
    }

    /// Reports the first record with which the prefixes are too many.
    fn check_size(&self, report: &Report) {
        let most = limits::ALL_PREFIXES;
        let mut count = 0;
        for record in self.records() {
            for site in &record.sites {
                count += site.prefixes.len();
            }
            if count > most {
                let message =
                    format!("with this record there are more than {most} prefixes; summarize some");
                report.fault(&record.place, message);
                return;
            }
        }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.own.iter().chain(&self.members)
    }

    /// The consortium's domain.
    pub(crate) fn domain(&self) -> Option<&ZoneName> {
        Some(&self.own.as_ref()?.domain.as_ref()?.value)
    }

    /// The prefixes of one of our sites; `None` if our record has faults or no such site.
    pub(crate) fn site_prefixes(&self, site: &SiteId) -> Option<&[PlacedPrefix]> {
        let own = self.own.as_ref().filter(|own| own.whole)?;
        let site = own.sites.iter().find(|known| known.name == *site)?;
        Some(&site.prefixes)
    }

    /// The prefixes of the sites that are, or may be, served via one of ours of that name.
    pub(crate) fn prefixes_via(&self, org: &OrgId, site: &SiteId) -> Vec<&PlacedPrefix> {
        let mut prefixes = Vec::new();
        for record in self.records() {
            let is_ours = record.org.as_ref().is_some_and(|own| own.value == *org);
            for known in &record.sites {
                let is_via = known.via.as_ref().is_some_and(|via| {
                    let is_that_org = match &via.org {
                        Some(other) => other == org,
                        None => is_ours,
                    };
                    is_that_org && via.site == *site
                });
                if is_via {
                    prefixes.extend(&known.prefixes);
                }
            }
        }
        prefixes
    }

    /// True if some site that is served via another one has an address of `prefix`.
    pub(crate) fn is_via(&self, prefix: &Prefix) -> bool {
        let sites = self.records().flat_map(|record| &record.sites);
        let mut placed = sites
            .filter(|site| site.via.is_some())
            .flat_map(|site| &site.prefixes);

        placed.any(|placed| placed.prefix.overlaps(prefix))
    }

    /// Our sites; `None` if our record has faults.
    pub(crate) fn own_sites(&self) -> Option<&[Site]> {
        let own = self.own.as_ref().filter(|own| own.whole)?;
        Some(&own.sites)
    }

    /// True if our record consents to serve this site; `None` if it has faults.
    pub(crate) fn consents_to(&self, org: &OrgId, site: &SiteId) -> Option<bool> {
        let own = self.own.as_ref().filter(|own| own.whole)?;
        let mut transit = own.transit.iter();
        Some(transit.any(|transit| transit.org == *org && transit.site == *site))
    }

    /// True if our record lets our gateways serve sites of other organizations.
    pub(crate) fn has_transit(&self) -> bool {
        self.own.as_ref().is_some_and(|own| !own.transit.is_empty())
    }

    /// False if nothing can be said about who is a member.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The names of all organizations. A record that cannot be read counts by its file's name.
    pub(crate) fn organizations(&self) -> impl Iterator<Item = &str> {
        let read = self
            .records()
            .filter_map(|record| Some(record.org.as_ref()?.value.as_str()));
        read.chain(self.files.iter().map(String::as_str))
    }

    /// The sites of `org`; `None` if its record could not be read whole.
    pub(crate) fn sites(&self, org: &OrgId) -> Option<&[Site]> {
        let mut records = self.records().filter(|record| record.whole);
        let record = records.find(|record| {
            record
                .org
                .as_ref()
                .is_some_and(|placed| placed.value == *org)
        })?;
        Some(&record.sites)
    }

    /// True if some site has an address of `prefix`, or may have: a record has faults.
    pub(crate) fn may_use(&self, prefix: &Prefix) -> bool {
        if self.own.is_none() || !self.is_listed || self.members.len() < self.files.len() {
            return true;
        }

        self.records().any(|record| {
            let mut placed = record.sites.iter().flat_map(|site| &site.prefixes);
            !record.whole || placed.any(|placed| placed.prefix.overlaps(prefix))
        })
    }

    /// The checked records.
    pub(crate) fn into_members(self) -> Members {
        // `None` if any record has faults: a consortium is not used in part.
        let mut others: Option<Vec<Member>> =
            self.members.into_iter().map(Record::into_member).collect();
        if let Some(others) = &mut others {
            others.sort_by(|a, b| a.org.cmp(&b.org));
        }

        Members {
            own: self.own.and_then(Record::into_member),
            others,
        }
    }
}

fn read_record(path: &Path, report: &Report) -> Option<Record> {
    let text = source::read(path, report)?;
    Record::read(&text, path, report)
}

impl Record {
    /// False only if the record has no faults and no such site.
    fn has_site(&self, name: &SiteId) -> bool {
        !self.whole || self.sites.iter().any(|site| site.name == *name)
    }

    /// The fault that this record has no site or gateway (the `kind`) called `name`.
    fn lacks<'a>(&self, kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
        let remedy = did_you_mean(name, known, || {
            format!("add a [[{kind}]] with name = \"{name}\" there")
        });
        format!("{kind} {name} is not in {}; {remedy}", self.place)
    }
}
