//! [`Party`]: one end of a connection that a policy test is about.

use std::fmt;
use std::net::IpAddr;

use crate::file::zone::Zone;
use crate::{Config, DnsName, NodeName, OrgId, Prefix, PrefixError, SiteId};

/// One end of a connection, here or in another site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// Every other site.
    All,
    /// The sites of an organization that its own gateways serve; or, if there is no such
    /// organization, the host of our zone that has the name.
    Org(OrgId),
    /// One site.
    Site(OrgId, SiteId),
    /// An attached node.
    Node(OrgId, NodeName),
    /// Addresses; a single one has the full length.
    Prefix(Prefix),
    /// The addresses that our zone gives the name.
    Name(DnsName),
}

/// Why a text names no end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartyError {
    /// It looks like a prefix and is none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// It looks like nothing that is known.
    #[error("{0:?} is no organization, <org>/<site>, prefix, address or name")]
    Word(String),
}

impl Party {
    /// Reads an end as an operator writes it. Names are relative to our zone.
    pub(crate) fn parse(text: &str, zone: &Zone) -> Result<Party, PartyError> {
        if text == "all" {
            return Ok(Party::All);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Party::Prefix(Prefix::host(address)));
        }
        if let Some((org, node)) = text.split_once("/node:") {
            return match (org.parse(), node.parse()) {
                (Ok(org), Ok(node)) => Ok(Party::Node(org, node)),
                _ => Err(PartyError::Word(text.into())),
            };
        }
        if let Some((first, site)) = text.split_once('/') {
            return match (first.parse(), site.parse()) {
                (Ok(org), Ok(site)) => Ok(Party::Site(org, site)),
                _ => Ok(Party::Prefix(text.parse()?)),
            };
        }

        if let Ok(org) = text.parse() {
            return Ok(Party::Org(org));
        }
        match zone.absolute(text) {
            // RFC 1123, section 2.1: 10.1.0.999 is a mistyped address.
            Ok(name) if !is_mistyped_address(text) => Ok(Party::Name(name)),
            _ => Err(PartyError::Word(text.into())),
        }
    }
}

fn is_mistyped_address(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
}

impl Config {
    /// Reads one end of a connection, as [`Party`] is written in a `[[policy.test]]`; or a name
    /// that ends with an organization, as hosts write it whose search domain is the consortium's.
    pub fn party(&self, text: &str) -> Result<Party, PartyError> {
        let last = text.rsplit_once('.').and_then(|(_, org)| org.parse().ok());
        if last.is_some_and(|org| self.record(&org).is_some())
            && let Ok(name) = format!("{text}.{}", self.own.domain).parse()
        {
            return Ok(Party::Name(name));
        }

        Party::parse(text, &Zone::new(&self.own.org, &self.own.domain))
    }
}

/// As a test writes it.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::All => f.write_str("all"),
            Party::Org(org) => org.fmt(f),
            Party::Site(org, site) => write!(f, "{org}/{site}"),
            Party::Node(org, node) => write!(f, "{org}/node:{node}"),
            Party::Prefix(prefix) if prefix.is_host() => prefix.address().fmt(f),
            Party::Prefix(prefix) => prefix.fmt(f),
            Party::Name(name) => name.fmt(f),
        }
    }
}
