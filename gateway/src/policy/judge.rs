//! [`Judge`]: evaluates the rules for every connection between two parties with some services.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ringway_config::{
    Asked, Config, DnsName, Fault, Opening, OrgId, Party, Place, Prefix, Ruling, Service, SiteId,
    Target,
};
use ringway_dns::Zone;
use ringway_filter::{Explanation, RemoteSite, Rules, RulesSpec};
use ringway_intent::Links;
use ringway_shell::{SiteNumber, membership, rules};

use super::cells::Cells;
use super::ends::{Ends, Scope, Unresolved};
use super::names::addresses;

/// Maximum number of connections evaluated at once. Reasonable policies distinguish fewer.
const MOST: usize = 1_000_000;

/// The rules that a gateway's files define.
pub struct Judge<'a> {
    config: &'a Config,
    rules: Rules,
    cells: Cells,
    /// Names in our zone, and in other zones with stored copies.
    names: BTreeMap<DnsName, Vec<IpAddr>>,
}

/// The verdicts about all these connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// An allowed connection.
    pub allowed: Option<Case>,
    /// A denied connection.
    pub denied: Option<Case>,
}

/// A connection with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The connection.
    pub opening: Opening,
    /// The reason for the verdict.
    pub explanation: Explanation,
}

/// The rules distinguish too many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this means more than {MOST} connections that the rules tell apart; name fewer")]
pub struct TooMany;

/// The inputs of the rules of `config`, for a host with these addresses.
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

    /// Adds the names of another organization's zone, so that parties can be given by name.
    pub fn learn(&mut self, zone: &Zone) {
        for (name, addresses) in addresses(zone) {
            self.names.entry(name).or_insert(addresses);
        }
    }

    /// Adds the addresses of one name.
    pub fn learn_name(&mut self, name: DnsName, addresses: Vec<IpAddr>) {
        self.names.insert(name, addresses);
    }

    /// The inputs of the rules.
    pub fn spec(&self) -> &RulesSpec {
        self.rules.spec()
    }

    /// The addresses of two parties.
    pub fn ends(&self, from: &Party, to: &Party) -> Result<Ends, Unresolved> {
        self.scope().ends(from, to)
    }

    /// The addresses of one party, wherever it is.
    pub fn addresses(&self, party: &Party) -> Result<Vec<Prefix>, Unresolved> {
        self.scope().addresses(party)
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            config: self.config,
            spec: self.spec(),
            names: &self.names,
        }
    }

    /// Evaluates every service between every two addresses of one family.
    pub fn judge(&self, ends: &Ends, services: &[Service]) -> Result<Judgement, TooMany> {
        let sources = self.cells.addresses(&ends.source);
        let destinations = self.cells.addresses(&ends.destination);
        let services = self.cells.services(services);
        let count = sources.len().saturating_mul(destinations.len());
        // Before any evaluation: two wide ends with many ports make millions of connections.
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

    /// The verdict about one connection.
    pub fn verdict(&self, opening: &Opening) -> Explanation {
        self.rules.explain(opening)
    }

    /// The site of `address`, if it is not ours, as `<org>/<site>`.
    pub fn site_of(&self, address: IpAddr) -> Option<String> {
        let site = self.remote_site(address)?;
        Some(format!("{}/{}", site.org, site.site))
    }

    /// The site of `address`, if it is not ours.
    pub fn remote_site(&self, address: IpAddr) -> Option<&RemoteSite> {
        let sites = self.spec().sites.iter().flat_map(|site| {
            let prefixes = site.prefixes.iter();
            prefixes.map(move |prefix| (site, prefix))
        });
        let holding = sites.filter(|(_, prefix)| prefix.contains(address));
        // The most specific prefix decides, as it does for packets.
        holding
            .max_by_key(|(_, prefix)| prefix.len())
            .map(|(site, _)| site)
    }

    /// Faults for rules that name a host without an address in this site: they match nothing.
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
        // One example is enough.
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

/// A single service, in an operator's notation.
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
