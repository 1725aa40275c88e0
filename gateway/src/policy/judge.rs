//! [`Judge`]: asks the rules about every connection that two parties and some services may mean.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ringway_config::{
    Asked, Config, DnsName, Fault, Opening, OrgId, Party, Place, Ruling, Service, SiteId, Target,
};
use ringway_dns::Zone;
use ringway_filter::{Explanation, Rules, RulesSpec};
use ringway_intent::Links;
use ringway_shell::{SiteNumber, membership, rules};

use super::cells::Cells;
use super::ends::{Ends, Scope, Unresolved};
use super::names::addresses;

/// Connections that are asked about at once. The rules of any sensible policy tell fewer apart.
const MOST: usize = 1_000_000;

/// The rules that follow from a gateway's files.
pub struct Judge<'a> {
    config: &'a Config,
    rules: Rules,
    cells: Cells,
    /// Names of our zone, and of others of which copies are known.
    names: BTreeMap<DnsName, Vec<IpAddr>>,
}

/// What the rules say about all the connections that were meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// One that is allowed.
    pub allowed: Option<Case>,
    /// One that is denied.
    pub denied: Option<Case>,
}

/// One connection, and what the rules say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The connection.
    pub opening: Opening,
    /// Why it is allowed or denied.
    pub explanation: Explanation,
}

/// The rules tell too many connections apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this means more than {MOST} connections that the rules tell apart; name fewer")]
pub struct TooMany;

/// What the rules of `config` are made of, for a host with these addresses.
pub fn spec(config: &Config, rulings: &[Ruling], zone: &Zone, links: &Links) -> RulesSpec {
    let mut numbers: BTreeMap<(OrgId, SiteId), u32> = BTreeMap::new();
    let number = |org: &OrgId, site: &SiteId| {
        let next = numbers.len() as u32;
        let number = numbers.entry((org.clone(), site.clone())).or_insert(next);
        SiteNumber(*number)
    };

    let membership = membership(config, rulings);
    RulesSpec {
        names: addresses(zone),
        ..rules(config, &membership, links.addresses().collect(), number)
    }
}

impl<'a> Judge<'a> {
    /// The rules of `config` for a host with these addresses.
    pub fn new(config: &'a Config, rulings: &[Ruling], zone: &Zone, links: &Links) -> Judge<'a> {
        let spec = spec(config, rulings, zone, links);
        Judge {
            config,
            rules: Rules::compile(&spec),
            cells: Cells::of(&spec),
            names: spec.names,
        }
    }

    /// Learns the names of another organization's zone, so that parties may be called by them.
    pub fn learn(&mut self, zone: &Zone) {
        for (name, addresses) in addresses(zone) {
            self.names.entry(name).or_insert(addresses);
        }
    }

    /// What the rules are made of.
    pub fn spec(&self) -> &RulesSpec {
        self.rules.spec()
    }

    /// The addresses that two parties mean.
    pub fn ends(&self, from: &Party, to: &Party) -> Result<Ends, Unresolved> {
        let scope = Scope {
            config: self.config,
            spec: self.spec(),
            names: &self.names,
        };
        scope.ends(from, to)
    }

    /// Asks about every service between every two addresses of one family.
    pub fn judge(&self, ends: &Ends, services: &[Service]) -> Result<Judgement, TooMany> {
        let sources = self.cells.addresses(&ends.source);
        let destinations = self.cells.addresses(&ends.destination);
        let services = self.cells.services(services);
        let count = sources.len().saturating_mul(destinations.len());
        // Before anything is asked: two broad ends and many ports make millions of questions.
        if count.saturating_mul(services.len()) > MOST {
            return Err(TooMany);
        }

        let mut judgement = Judgement::default();
        for source in &sources {
            for destination in &destinations {
                if destination.is_ipv4() != source.is_ipv4() {
                    continue;
                }
                for service in &services {
                    judgement.add(self.explain(*source, *destination, *service));
                }
            }
        }
        Ok(judgement)
    }

    fn explain(&self, source: IpAddr, destination: IpAddr, service: Asked) -> Case {
        let opening = Opening {
            source,
            destination,
            service,
        };
        Case {
            opening,
            explanation: self.rules.explain(&opening),
        }
    }

    /// The site that has `address`, if it is another one than ours.
    pub fn site_of(&self, address: IpAddr) -> Option<String> {
        let sites = self.spec().sites.iter().flat_map(|site| {
            let prefixes = site.prefixes.iter();
            prefixes.map(move |prefix| (site, prefix))
        });
        let holding = sites.filter(|(_, prefix)| prefix.contains(address));
        // The most specific prefix decides, as it does for packets.
        let (site, _) = holding.max_by_key(|(_, prefix)| prefix.len())?;

        Some(format!("{}/{}", site.org, site.site))
    }

    /// The rules that name a host without an address in this site: nothing is matched by it.
    pub fn nameless(&self) -> Vec<Fault> {
        let policy = &self.config.policy;
        let allow = policy.allow.iter().flatten();
        let allow = allow.map(|rule| (&rule.to, &rule.place));
        let egress = policy.allow_egress.iter();
        let egress = egress.map(|rule| (&rule.from, &rule.place));

        let mut faults = Vec::new();
        for (targets, place) in allow.chain(egress) {
            for target in targets {
                faults.extend(self.nameless_target(target, place));
            }
        }
        faults
    }

    fn nameless_target(&self, target: &Target, place: &Place) -> Option<Fault> {
        let Target::Name(name) = target else {
            return None;
        };
        let spec = self.spec();
        let mut addresses = spec.names.get(name).into_iter().flatten();
        if addresses.any(|address| spec.own.iter().any(|own| own.contains(*address))) {
            return None;
        }

        Some(Fault {
            place: place.clone(),
            message: format!(
                "{name} has no address in this site, so that the rule matches nothing by it; add a \
                 [[dns.host]] with one, or remove the name"
            ),
        })
    }
}

impl Judgement {
    fn add(&mut self, case: Case) {
        let slot = if case.explanation.is_allowed() {
            &mut self.allowed
        } else {
            &mut self.denied
        };
        // The first is as good as any other.
        slot.get_or_insert(case);
    }
}

/// `10.2.0.1 to 10.1.0.11, tcp 7051`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Opening {
            source,
            destination,
            service,
        } = &self.opening;

        write!(f, "{source} to {destination}, {}", Asking(*service))
    }
}

/// A single service, as an operator writes it.
pub struct Asking(pub Asked);

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Asked::Tcp(port) => write!(f, "tcp {port}"),
            Asked::Udp(port) => write!(f, "udp {port}"),
            Asked::Echo => f.write_str("icmp echo"),
            Asked::Protocol(number) => write!(f, "protocol {number}"),
        }
    }
}
