//! [`Consortium`]: the own record and the members' as read from their files, and what must hold between
//! them: one domain, one record an organization, and in the own record this gateway at its site.

use std::collections::BTreeMap;
use std::path::Path;

use super::directory::{self, SUFFIX, stem};
use super::gateway::Here;
use super::nearest::did_you_mean;
use super::record::Record;
use super::report::Report;
use super::source;
use super::table::Placed;
use crate::{Gateway, Member, OrgId, Place, PlacedPrefix, Site, SiteId, ZoneName, limits};

/// Every record that could be read.
#[derive(Debug)]
pub(crate) struct Consortium {
    own: Option<Record>,
    members: Vec<Record>,
    /// Organizations by file name, those included whose records could not be read.
    files: Vec<String>,
}

impl Consortium {
    /// Reads the own record and the members directory, in which the own record may lie itself; `None` for
    /// what `gateway.toml` fails to name.
    pub(crate) fn read(
        record: Option<&Path>,
        members_dir: Option<&Path>,
        report: &Report,
    ) -> Consortium {
        let read = |path: &Path| Record::read(&source::read(path, report)?, path, report);
        let own = record.and_then(read);
        let mut paths = members_dir
            .map(|dir| directory::list(dir, report))
            .unwrap_or_default();
        paths.retain(|path| Some(path.as_path()) != record);
        let members: Vec<Record> = paths.iter().filter_map(|path| read(path)).collect();
        let files = paths
            .iter()
            .filter_map(|path| stem(path))
            .map(str::to_owned)
            .collect();
        Consortium {
            own,
            members,
            files,
        }
    }

    /// Reports what does not fit together.
    pub(crate) fn check(&self, here: &Here, report: &Report) {
        self.check_own(here, report);
        self.check_organizations(report);
        self.check_domains(report);
        self.check_size(report);
    }

    /// Reports the record that makes them too many.
    fn check_size(&self, report: &Report) {
        let mut count = 0;
        for record in self.records() {
            let before = count;
            count += record
                .sites
                .iter()
                .map(|site| site.prefixes.len())
                .sum::<usize>();
            let most = limits::ALL_PREFIXES;
            if before <= most && count > most {
                let message =
                    format!("with this record there are more than {most} prefixes; summarize some");
                report.fault(&record.place, message);
            }
        }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.own.iter().chain(&self.members)
    }

    fn check_own(&self, here: &Here, report: &Report) {
        let Some(own) = &self.own else { return };
        if let (Some(org), Some(Placed { value, place })) = (&here.org, &own.org)
            && org.value != *value
        {
            let message = format!(
                "org {} has no record of org {value}; write org = \"{value}\" as in {place}",
                org.value
            );
            report.fault(&org.place, message);
        }
        let Some(site) = &here.site else { return };
        if !own.has_site(&site.value) {
            let known = own.sites.iter().map(|site| site.name.as_str());
            report.fault(&site.place, own.lacks("site", site.value.as_str(), known));
        }
        let Some(gateway) = &here.gateway else { return };
        match own
            .gateways
            .iter()
            .find(|known| known.name == gateway.value)
        {
            Some(Gateway {
                name,
                site: recorded,
                ..
            }) if *recorded != site.value => {
                let place = &own.place;
                let message = format!(
                    "gateway {name} serves site {recorded} in {place}; write site = \"{recorded}\""
                );
                report.fault(&site.place, message);
            }
            None if own.whole => {
                let known = own.gateways.iter().map(|gateway| gateway.name.as_str());
                report.fault(
                    &gateway.place,
                    own.lacks("gateway", gateway.value.as_str(), known),
                );
            }
            _ => {}
        }
    }

    /// Each member's file is called after it, and there is one record for each organization.
    fn check_organizations(&self, report: &Report) {
        let mut seen: BTreeMap<&OrgId, &Place> = BTreeMap::new();
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
        for record in self.records() {
            let Some(org) = &record.org else { continue };
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
        for theirs in self
            .members
            .iter()
            .filter_map(|member| member.domain.as_ref())
        {
            if theirs.value != ours.value {
                let message = format!(
                    "domain {} is not ours; all members write domain = \"{}\" as in {}",
                    theirs.value, ours.value, ours.place
                );
                report.fault(&theirs.place, message);
            }
        }
    }

    /// The consortium's domain.
    pub(crate) fn domain(&self) -> Option<&ZoneName> {
        Some(&self.own.as_ref()?.domain.as_ref()?.value)
    }

    /// The own organization's sites; `None` if its record has faults.
    pub(crate) fn own_sites(&self) -> Option<&[Site]> {
        self.own
            .as_ref()
            .filter(|own| own.whole)
            .map(|own| own.sites.as_slice())
    }

    /// The own site's prefixes; `None` if the record has faults or no such site.
    pub(crate) fn site_prefixes(&self, site: &SiteId) -> Option<&[PlacedPrefix]> {
        let site = self.own_sites()?.iter().find(|known| known.name == *site)?;
        Some(&site.prefixes)
    }

    /// The names of all organizations. A record that cannot be read still counts by its file's name.
    pub(crate) fn organizations(&self) -> impl Iterator<Item = &str> {
        let read = self
            .records()
            .filter_map(|record| Some(record.org.as_ref()?.value.as_str()));
        read.chain(self.files.iter().map(String::as_str))
    }

    /// The checked records, the members' by organization. `None` only if faults were reported.
    pub(crate) fn into_members(self) -> (Option<Member>, Option<Vec<Member>>) {
        let members: Option<Vec<Member>> =
            self.members.into_iter().map(Record::into_member).collect();
        let sorted = members.map(|mut members| {
            members.sort_by(|a, b| a.org.cmp(&b.org));
            members
        });
        (self.own.and_then(Record::into_member), sorted)
    }
}

impl Record {
    /// False only if the record is whole and has no such site.
    fn has_site(&self, name: &SiteId) -> bool {
        !self.whole || self.sites.iter().any(|site| site.name == *name)
    }

    /// That there is no `what` called `name` in this record.
    fn lacks<'a>(&self, what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
        let otherwise = || format!("add a [[{what}]] with name = \"{name}\" there");
        let remedy = did_you_mean(name, known, otherwise);
        format!("{what} {name} is not in {}; {remedy}", self.place)
    }
}
