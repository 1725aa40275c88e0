//! Finds filters of other programs that drop the tunnels' traffic, such as the drop policy of
//! Docker and ufw for forwarded packets, or a firewall without a rule for the TUN device. The
//! daemon does not change them: each becomes a [`Finding`] with the command that lets the packets
//! pass.
//!
//! Evaluates the base chains of nftables and of iptables-legacy for sample packets. Only a certain
//! drop is a finding: a rule that is not understood makes the result uncertain. About a single
//! connection, uncertain chains and translated addresses are found as well.

mod chain;
mod evaluate;
mod expression;
mod extension;
mod legacy;
mod reader;
mod remedy;
mod requirement;
mod sample;
mod set;

use std::collections::BTreeMap;
use std::io;

use ringway_intent::{Finding, HostPair, Inspection, Remedy};

use self::chain::{BaseChain, Family, Hook};
use self::evaluate::{Outcome, Ruleset};
use self::reader::Reader;
use self::remedy::{listing, remedy};
use self::requirement::{Requirement, dns, requirements, requirements_of};
use self::sample::{Interface, Sample, State};
use super::obstructions::{Connection, Obstructions};

/// The traffic that filters must let pass.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// The TUN device; also the name of our table.
    pub(super) tun: String,
    /// Traffic between site and members, DNS, and the tunnel port.
    pub(super) inspection: Inspection,
    /// The names of the host's interfaces, by index.
    pub(super) names: BTreeMap<u32, String>,
}

impl Traffic {
    fn interface(&self, name: &str) -> Option<Interface> {
        let mut indices = self.names.iter();
        let index = indices.find(|(_, known)| *known == name);

        Some(Interface {
            name: name.to_owned(),
            index: index.map(|(index, _)| *index),
        })
    }
}

/// Every base chain of another program that certainly drops some of `traffic`. Blocks while it
/// reads the kernel's rules.
pub(super) fn find(traffic: &Traffic) -> io::Result<Vec<Finding>> {
    find_certain(traffic, requirements(traffic))
}

fn find_certain(traffic: &Traffic, requirements: Vec<Requirement>) -> io::Result<Vec<Finding>> {
    let rules = Rules::read(&traffic.tun, false)?;
    let requirements = rules.with_marks(requirements);

    let chains = rules.iter();
    let findings =
        chains.filter_map(|(chain, ruleset)| finding(traffic, chain, ruleset, &requirements));
    Ok(findings.collect())
}

/// Every base chain of another program that stops `connection` or its answers, or may do so. The
/// packets pass the TUN device and the interface `site`; without `site`, this host itself is one
/// end of the connection. Blocks while it reads the kernel's rules.
pub(super) fn find_of(
    traffic: &Traffic,
    connection: &Connection,
    site: Option<&str>,
) -> io::Result<Obstructions> {
    let rules = Rules::read(&traffic.tun, true)?;
    let requirements = rules.with_marks(requirements_of(traffic, connection, site));
    let mut found = Obstructions::default();

    for (chain, ruleset) in rules.iter() {
        match finding(traffic, chain, ruleset, &requirements) {
            Some(certain) => found.certain.push(certain),
            None => found
                .possible
                .extend(possible(chain, ruleset, &requirements)),
        }
    }
    Ok(found)
}

/// Every base chain of another program that certainly drops the queries of one host of the site to
/// our DNS server, or its answers. Blocks while it reads the kernel's rules.
pub(super) fn find_of_dns(traffic: &Traffic, client: &HostPair) -> io::Result<Vec<Finding>> {
    find_certain(traffic, dns(traffic, client))
}

/// The base chains of other programs, and their tables.
struct Rules {
    tables: Vec<Ruleset>,
    /// Each with the index of its table.
    chains: Vec<(BaseChain, usize)>,
}

impl Rules {
    /// Reads them; those that translate addresses only if `translating`.
    fn read(tun: &str, translating: bool) -> io::Result<Rules> {
        let mut reader = Reader::open()?;
        let mut rules = Rules {
            tables: Vec::new(),
            chains: Vec::new(),
        };
        let mut known: BTreeMap<(Family, String), usize> = BTreeMap::new();

        let chains = reader.base_chains(tun)?.into_iter();
        for chain in chains.filter(|chain| translating || !chain.translates) {
            let key = (chain.family, chain.table.clone());
            // Each table is read once, however many base chains it has.
            let index = match known.get(&key) {
                Some(index) => *index,
                None => {
                    rules.tables.push(reader.table(chain.family, &chain.table)?);
                    rules.tables.len() - 1
                }
            };
            known.insert(key, index);
            rules.chains.push((chain, index));
        }

        let legacy = legacy::read().unwrap_or_else(|error| {
            tracing::debug!(%error, "The filters of iptables-legacy are not read");
            Vec::new()
        });
        for (chains, ruleset) in legacy {
            let index = rules.tables.len();
            rules.tables.push(ruleset);
            rules
                .chains
                .extend(chains.into_iter().map(|chain| (chain, index)));
        }
        Ok(rules)
    }

    fn iter(&self) -> impl Iterator<Item = (&BaseChain, &Ruleset)> {
        self.chains
            .iter()
            .map(|(chain, index)| (chain, &self.tables[*index]))
    }

    /// Packets have no mark, unless a rule may give one to a packet of `requirements`.
    fn with_marks(&self, mut requirements: Vec<Requirement>) -> Vec<Requirement> {
        let may_mark = self.iter().any(|(chain, ruleset)| {
            let seen = requirements.iter().filter(|it| it.hook == chain.hook);
            let mut samples = seen.flat_map(|requirement| &requirement.samples);
            samples.any(|sample| ruleset.may_mark(&chain.name, sample))
        });

        if may_mark {
            let samples = requirements.iter_mut().flat_map(|it| &mut it.samples);
            samples.for_each(|sample| sample.mark = None);
        }
        requirements
    }
}

/// The first requirement all of whose packets have this outcome.
fn first_with<'a>(
    outcome: Outcome,
    chain: &BaseChain,
    ruleset: &Ruleset,
    requirements: impl IntoIterator<Item = &'a Requirement>,
) -> Option<&'a Requirement> {
    let has_outcome = |sample: &Sample| {
        let mut sample = sample.clone();
        if chain.is_early {
            sample.state = State::Untracked;
        }
        chain.family.includes(sample.is_v4)
            && is_seen(chain, &sample)
            && ruleset.evaluate(&chain.name, chain.drops_by_default, &sample) == outcome
    };

    // A site may close ports on purpose. If one port passes, the filter has rules for the device.
    requirements
        .into_iter()
        .filter(|requirement| requirement.hook == chain.hook)
        .find(|requirement| requirement.samples.iter().all(has_outcome))
}

/// True if the chain is called for the packet. A chain of some interfaces is not called with
/// certainty if the packet's interface is unknown.
fn is_seen(chain: &BaseChain, sample: &Sample) -> bool {
    let interface = match chain.hook {
        Hook::Ingress => &sample.input,
        Hook::Egress => &sample.output,
        _ => return true,
    };

    interface
        .as_ref()
        .is_some_and(|interface| chain.sees(&interface.name))
}

/// The first requirement that `chain` does not meet. One finding for each chain is enough: the rule
/// that accepts one kind of packet usually accepts all.
fn finding(
    traffic: &Traffic,
    chain: &BaseChain,
    ruleset: &Ruleset,
    requirements: &[Requirement],
) -> Option<Finding> {
    if chain.translates {
        return translation(traffic, chain, ruleset, requirements);
    }
    let unmet = first_with(Outcome::Dropped, chain, ruleset, requirements)?;
    let policy = if chain.drops_by_default {
        " (its policy is drop)"
    } else {
        ""
    };
    let name = name_of(chain);

    Some(Finding {
        what: format!("{}{policy} drops packets {}", described(chain), unmet.what),
        name: format!("foreign filter {name}"),
        remedy: Remedy::command(remedy(&traffic.tun, chain, ruleset, unmet)),
    })
}

/// What is translated on its way to another site has an address that the other end refuses, and
/// what comes from there goes to another host.
fn translation(
    traffic: &Traffic,
    chain: &BaseChain,
    ruleset: &Ruleset,
    requirements: &[Requirement],
) -> Option<Finding> {
    let concerned = requirements.iter().filter(|requirement| {
        let mut samples = requirement.samples.iter();
        samples.all(|sample| must_stay(sample, chain, &traffic.tun))
    });
    let unmet = first_with(Outcome::Translated, chain, ruleset, concerned)?;
    let what = format!(
        "{} changes addresses or ports of packets {}",
        described(chain),
        unmet.what
    );

    Some(Finding {
        what,
        name: format!("foreign filter {}", name_of(chain)),
        remedy: Remedy::command(remedy(&traffic.tun, chain, ruleset, unmet)),
    })
}

/// True if a translation of the packet by `chain` breaks its connection. Only first packets are
/// translated, and what does not leave by the TUN device may have any source address.
fn must_stay(sample: &Sample, chain: &BaseChain, tun: &str) -> bool {
    let output = sample.output.as_ref();
    let is_tunnelled = output.is_some_and(|it| it.name == tun);

    sample.state == State::New && (chain.hook != Hook::Postrouting || is_tunnelled)
}

/// Rules that cannot be judged, of which one may drop a packet of `requirements`.
fn possible(chain: &BaseChain, ruleset: &Ruleset, requirements: &[Requirement]) -> Option<Finding> {
    let unmet = first_with(Outcome::MaybeDropped, chain, ruleset, requirements)?;
    let what = format!(
        "{} may drop packets {}: Ringway does not understand one of its rules",
        described(chain),
        unmet.what
    );

    Some(Finding {
        what,
        name: format!("foreign filter {}", name_of(chain)),
        remedy: Remedy::command(listing(chain)),
    })
}

fn described(chain: &BaseChain) -> String {
    let tool = if chain.is_legacy { "" } else { "nftables " };

    format!("{tool}chain {}", name_of(chain))
}

/// In the notation of `nft` or of iptables.
fn name_of(chain: &BaseChain) -> String {
    if !chain.is_legacy {
        return format!("{} {} {}", chain.family.as_str(), chain.table, chain.name);
    }

    let program = chain.family.iptables();
    match &*chain.table {
        // The default table is left out.
        "filter" => format!("{program}-legacy {}", chain.name),
        table => format!("{program}-legacy {table} {}", chain.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_evaluated_only_for_packets_that_pass_its_hook() {
        let pair = HostPair {
            interface: "eth0".into(),
            host: "10.1.0.2".parse().unwrap(),
            remote: "10.2.0.1".parse().unwrap(),
            prefix: "10.2.0.0/16".parse().unwrap(),
            is_tunnelled: true,
        };
        let traffic = Traffic {
            tun: "ringway0".into(),
            inspection: Inspection {
                pairs: vec![pair],
                dns: vec!["10.1.0.1".parse().unwrap()],
                tunnel_port: Some(4600),
                ..Inspection::default()
            },
            names: BTreeMap::new(),
        };

        let requirements = requirements(&traffic);
        // Without rules, everything is dropped.
        let dropped = |hook| {
            let chain = BaseChain {
                family: Family::Inet,
                table: "filter".into(),
                name: "chain".into(),
                hook,
                devices: vec!["eth0".into()],
                drops_by_default: true,
                is_early: false,
                is_legacy: false,
                translates: false,
            };
            let mut ruleset = Ruleset::default();
            ruleset.chains.insert("chain".into(), Vec::new());
            first_with(Outcome::Dropped, &chain, &ruleset, &requirements)
                .map(|requirement| requirement.what.clone())
        };
        assert_eq!(dropped(Hook::Forward).unwrap(), "from eth0 to ringway0");
        assert_eq!(
            dropped(Hook::Input).unwrap(),
            "from eth0 to our DNS server 10.1.0.1"
        );
        // A chain that is registered for eth0 alone sees one direction at each of these hooks.
        assert_eq!(dropped(Hook::Ingress).unwrap(), "from eth0 to ringway0");
        assert_eq!(dropped(Hook::Egress).unwrap(), "from ringway0 to eth0");

        let other = Traffic {
            inspection: Inspection {
                tunnel_port: Some(4600),
                ..Inspection::default()
            },
            ..traffic
        };
        let requirements = super::requirements(&other);
        let forward = requirements
            .iter()
            .any(|requirement| requirement.hook == Hook::Forward);
        assert!(
            !forward,
            "a policy of FORWARD says nothing about the tunnel port"
        );
    }
}
