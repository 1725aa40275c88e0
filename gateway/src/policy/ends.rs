//! [`Ends`]: the addresses at both ends of a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringway_config::{Config, DnsName, NodeName, OrgId, Party, Prefix, SiteId, Target};
use ringway_filter::RulesSpec;

/// The addresses at both ends: one end is in this site, the other in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The client's addresses.
    pub source: Vec<Prefix>,
    /// The server's addresses.
    pub destination: Vec<Prefix>,
    /// Direction: towards this site, or away from it.
    pub arrives: bool,
}

/// Why two parties cannot be the ends of a connection that is judged here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// It is neither an organization nor a name.
    #[error("{0} is no member, and no name of our zone")]
    Nobody(OrgId),
    /// The organization's record has no such site, or none of its prefixes is available.
    #[error("{0}/{1} is no site of a member, or has no prefix that is available")]
    NoSite(OrgId, SiteId),
    /// This gateway's file does not list the node.
    #[error("there is no [[node]] {1} here, and only the gateways that list it know {0}/node:{1}")]
    NoNode(OrgId, NodeName),
    /// No site holds an address of the prefix.
    #[error("{} is in no member's site", Target::Prefix(*.0))]
    NoPrefix(Prefix),
    /// The name has no address.
    #[error("{0} has no address that is known here")]
    NoAddress(DnsName),
    /// The consortium has no other site.
    #[error("there is no other site")]
    Alone,
    /// Both ends are in this site.
    #[error("both ends are in this site, whose hosts are not judged")]
    WithinSite,
    /// Neither end is in this site.
    #[error("neither end is in this site; ask a gateway of one of them")]
    Elsewhere,
}

/// The location of one end's addresses.
enum Side {
    Here(Vec<Prefix>),
    There(Vec<Prefix>),
}

/// What parties can refer to.
pub(super) struct Scope<'a> {
    pub(super) config: &'a Config,
    pub(super) spec: &'a RulesSpec,
    /// Names of every known zone.
    pub(super) names: &'a BTreeMap<DnsName, Vec<IpAddr>>,
}

impl Scope<'_> {
    pub(super) fn ends(&self, from: &Party, to: &Party) -> Result<Ends, Unresolved> {
        // Our organization means this site, unless the other end is in it.
        let mut source = self.side(from, true)?;
        let mut destination = self.side(to, true)?;
        if let (Side::Here(_), Side::Here(_)) = (&source, &destination) {
            if self.is_ours(from) {
                source = self.side(from, false)?;
            } else if self.is_ours(to) {
                destination = self.side(to, false)?;
            }
        }

        match (source, destination) {
            (Side::There(source), Side::Here(destination)) => Ok(Ends {
                source,
                destination,
                arrives: true,
            }),
            (Side::Here(source), Side::There(destination)) => Ok(Ends {
                source,
                destination,
                arrives: false,
            }),
            (Side::Here(_), Side::Here(_)) => Err(Unresolved::WithinSite),
            (Side::There(_), Side::There(_)) => Err(Unresolved::Elsewhere),
        }
    }

    pub(super) fn addresses(&self, party: &Party) -> Result<Vec<Prefix>, Unresolved> {
        let (Side::Here(addresses) | Side::There(addresses)) = self.side(party, true)?;
        Ok(addresses)
    }

    fn is_ours(&self, party: &Party) -> bool {
        matches!(party, Party::Org(org) if *org == self.config.id.org)
    }

    /// With `ours_is_here`, our organization means only this site, not its other ones.
    fn side(&self, party: &Party, ours_is_here: bool) -> Result<Side, Unresolved> {
        match party {
            Party::All => {
                let there = self.remote(|_, _, _| true);
                some(there, Unresolved::Alone).map(Side::There)
            }
            Party::Org(org) if *org == self.config.id.org && ours_is_here => {
                Ok(Side::Here(self.spec.own.clone()))
            }
            Party::Org(org) if self.config.record(org).is_some() => {
                let there = self.remote(|known, _, has_gateways| known == org && has_gateways);
                some(there, Unresolved::Nobody(org.clone())).map(Side::There)
            }
            // A single label may be an organization or the name of a host in our zone.
            Party::Org(label) => {
                let name = format!("{label}.{}", self.config.own.domain.zone_of(&self.own()));
                let name = name.parse().ok();
                name.and_then(|name| self.named(&name).ok())
                    .ok_or_else(|| Unresolved::Nobody(label.clone()))
            }
            Party::Site(org, site) if *org == self.config.id.org && *site == self.config.site => {
                Ok(Side::Here(self.spec.own.clone()))
            }
            Party::Site(org, site) => {
                let there = self.remote(|known, name, _| known == org && name == site);
                some(there, Unresolved::NoSite(org.clone(), site.clone())).map(Side::There)
            }
            Party::Node(org, node) => self.node(org, node),
            Party::Prefix(prefix) => self.located(prefix),
            Party::Name(name) => self.named(name),
        }
    }

    fn own(&self) -> OrgId {
        self.config.id.org.clone()
    }

    /// The prefixes of the other sites that are `wanted`.
    fn remote(&self, wanted: impl Fn(&OrgId, &SiteId, bool) -> bool) -> Vec<Prefix> {
        self.spec
            .sites
            .iter()
            .filter(|site| wanted(&site.org, &site.site, site.has_gateways))
            .flat_map(|site| site.prefixes.iter().copied())
            .collect()
    }

    /// The part of `prefix` in this site, or else in the other sites.
    fn located(&self, prefix: &Prefix) -> Result<Side, Unresolved> {
        if self.spec.own.iter().any(|own| own.covers(prefix)) {
            return Ok(Side::Here(vec![*prefix]));
        }

        let mut there: Vec<Prefix> = self
            .remote(|_, _, _| true)
            .into_iter()
            .filter(|known| known.overlaps(prefix))
            .map(|known| if known.covers(prefix) { *prefix } else { known })
            .collect();
        there.sort();
        there.dedup();
        some(there, Unresolved::NoPrefix(*prefix)).map(Side::There)
    }

    /// The prefixes of an attached node of this gateway.
    fn node(&self, org: &OrgId, node: &NodeName) -> Result<Side, Unresolved> {
        let mut listed = self.config.nodes.list.iter();
        let known = listed.find(|known| *org == self.config.id.org && known.name == *node);
        let known = known.ok_or_else(|| Unresolved::NoNode(org.clone(), node.clone()))?;

        let prefixes = known.prefixes.iter().map(|placed| placed.prefix);
        Ok(Side::Here(prefixes.collect()))
    }

    /// The addresses of a name in this site, or else in other sites.
    fn named(&self, name: &DnsName) -> Result<Side, Unresolved> {
        let addresses = self.names.get(name).into_iter().flatten();
        let mut here = Vec::new();
        let mut there = Vec::new();
        for address in addresses {
            match self.located(&Prefix::host(*address)) {
                Ok(Side::Here(prefixes)) => here.extend(prefixes),
                Ok(Side::There(prefixes)) => there.extend(prefixes),
                Err(_) => {}
            }
        }

        if here.is_empty() {
            some(there, Unresolved::NoAddress(name.clone())).map(Side::There)
        } else {
            Ok(Side::Here(here))
        }
    }
}

fn some(prefixes: Vec<Prefix>, none: Unresolved) -> Result<Vec<Prefix>, Unresolved> {
    if prefixes.is_empty() {
        Err(none)
    } else {
        Ok(prefixes)
    }
}
