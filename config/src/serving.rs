//! The gateways that serve a site: its own, or those of the site that it is `via`.
//!
//! | the record of the site's organization has | and | its prefixes are served by |
//! |---|---|---|
//! | no `via` | | its own gateways |
//! | `via = "east"` | | the gateways of east |
//! | `via = "beta/east"` | beta's record has `[[transit]]` for it | the gateways of beta's east |
//! | `via = "beta/east"` | anything else | nobody: the site is refused, not the member |
//!
//! Within one record, what does not fit is a fault. Between two records it is no fault: each
//! changes at its own time, and neither organization may keep the other's record out.

use std::fmt;

use crate::{Config, Fault, Member, OrgId, Prefix, Site, SiteId, Via};

/// Why no gateway serves a site that is served via another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unserved {
    /// The organization that is to serve it is no member.
    NoMember(OrgId),
    /// That organization has no such site.
    NoSite(OrgId, SiteId),
    /// That site is itself served via another one.
    Chain(OrgId, SiteId),
    /// That site has no gateways.
    NoGateways(OrgId, SiteId),
    /// That organization's record does not consent.
    NoConsent(OrgId),
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unserved::NoMember(org) => write!(f, "{org} is no member"),
            Unserved::NoSite(org, site) => write!(f, "the record of {org} has no site {site}"),
            Unserved::Chain(org, site) => {
                write!(f, "{org}/{site} is itself served via another site")
            }
            Unserved::NoGateways(org, site) => write!(f, "{org}/{site} has no gateways"),
            Unserved::NoConsent(org) => write!(f, "the record of {org} does not consent to it"),
        }
    }
}

impl Config {
    /// The site whose gateways serve `site` of `member`.
    pub fn server<'a>(
        &'a self,
        member: &'a Member,
        site: &'a Site,
    ) -> Result<(&'a OrgId, &'a SiteId), Unserved> {
        let Some(via) = &site.via else {
            return Ok((&member.org, &site.name));
        };
        let org = via.org.as_ref().unwrap_or(&member.org);
        let Some(host) = self.record(org) else {
            return Err(Unserved::NoMember(org.clone()));
        };
        let Some(server) = host.site(&via.site) else {
            return Err(Unserved::NoSite(org.clone(), via.site.clone()));
        };

        if server.via.is_some() {
            return Err(Unserved::Chain(org.clone(), via.site.clone()));
        }
        if !host.gateways.iter().any(|known| known.site == via.site) {
            return Err(Unserved::NoGateways(org.clone(), via.site.clone()));
        }
        if *org != member.org && !host.consents_to(&member.org, &site.name) {
            return Err(Unserved::NoConsent(org.clone()));
        }
        Ok((&host.org, &server.name))
    }

    /// As [`Config::server`], by names. A site that no record has is nobody's.
    pub fn server_of(&self, org: &OrgId, site: &SiteId) -> Option<(&OrgId, &SiteId)> {
        let member = self.record(org)?;
        let site = member.site(site)?;
        self.server(member, site).ok()
    }

    /// What the record says that a site is served via.
    pub fn via_of(&self, org: &OrgId, site: &SiteId) -> Option<&Via> {
        self.record(org)?.site(site)?.via.as_ref()
    }

    /// True if this gateway's site serves that site: it is this one, or served via this one.
    pub fn is_served_here(&self, org: &OrgId, site: &SiteId) -> bool {
        self.server_of(org, site) == Some((&self.own.org, &self.site))
    }

    /// The sites that are served via this gateway's.
    pub fn passing(&self) -> impl Iterator<Item = (&Member, &Site)> {
        let sites = self.records().flat_map(|member| {
            let sites = member.sites.iter();
            sites.map(move |site| (member, site))
        });

        sites.filter(|(member, site)| {
            site.via.is_some()
                && self.server(member, site).ok() == Some((&self.own.org, &self.site))
        })
    }

    /// Every prefix that this gateway's site serves: its own first.
    pub fn served_prefixes(&self) -> Vec<Prefix> {
        let own = self.own_prefixes().iter();
        let passing = self.passing().flat_map(|(_, site)| &site.prefixes);

        own.chain(passing).map(|placed| placed.prefix).collect()
    }

    /// What to do about sites that nobody serves, and about consents that nothing answers to.
    pub fn unserved(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for member in self.records() {
            faults.extend(
                member
                    .sites
                    .iter()
                    .filter_map(|site| self.refused(member, site)),
            );
        }
        faults
    }

    fn refused(&self, member: &Member, site: &Site) -> Option<Fault> {
        let via = site.via.as_ref()?;
        let unserved = self.server(member, site).err()?;
        let name = format!("{}/{}", member.org, site.name);

        Some(Fault {
            place: via.place.clone(),
            message: format!(
                "site {name} is refused: it is served via {via}, and {unserved}; {}",
                remedy(&unserved, &name)
            ),
        })
    }

    /// What to do about consents for sites whose record is not known to want them. Nothing is
    /// wrong: the other organization's newer record may be on its way.
    pub fn unused_transit(&self) -> Vec<Fault> {
        let mut hints = Vec::new();
        for host in self.records() {
            for transit in &host.transit {
                let wants = self
                    .record(&transit.org)
                    .and_then(|member| member.site(&transit.site))
                    .and_then(|site| site.via.as_ref())
                    .is_some_and(|via| via.org.as_ref() == Some(&host.org));
                if !wants {
                    hints.push(Fault {
                        place: transit.place.clone(),
                        message: format!(
                            "{} consents to serve {transit}, and no record here has that site via \
                             {}; ask {} for its newest record",
                            host.org, host.org, transit.org
                        ),
                    });
                }
            }
        }
        hints
    }
}

fn remedy(unserved: &Unserved, site: &str) -> String {
    match unserved {
        Unserved::NoMember(org) => format!("add the record of {org}"),
        Unserved::NoConsent(org) => {
            format!("ask {org} for a record with ringway site transit add {site}")
        }
        Unserved::NoSite(org, _) | Unserved::Chain(org, _) | Unserved::NoGateways(org, _) => {
            format!("ask {org} for its newest record, or name a site that has gateways")
        }
    }
}
