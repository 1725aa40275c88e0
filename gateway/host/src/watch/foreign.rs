//! Finds filters of other programs that drop the tunnel's traffic: Docker's and ufw's policy for
//! forwarded packets, or a firewall that does not know the TUN device. We do not change them; each
//! becomes a [`Finding`] with the command that opens it.
//!
//! Evaluates the base chains of nftables, and those of the table `filter` of iptables-legacy, for
//! sample packets. Only a certain drop is a finding: a rule that is not understood makes the result
//! uncertain.

mod evaluate;
mod expression;
mod legacy;
mod packet;
mod question;
mod read;
mod remedy;
mod set;

use std::collections::BTreeMap;
use std::io;

use ringway_intent::{Finding, Inquiry, Remedy};

use self::evaluate::{Judgement, Ruleset};
use self::packet::{Interface, Sample, State};
use self::question::{Question, questions, questions_of};
use self::read::{BaseChain, Family, Hook, Reader};
use self::remedy::remedy;
use super::crossing::Crossing;

/// The traffic that filters must let pass.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// The TUN device; also the name of our table.
    pub(super) tun: String,
    /// Traffic between site and members, DNS, and the tunnel port.
    pub(super) inquiry: Inquiry,
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

/// Every base chain of another program that certainly drops some of `traffic`. Blocks until the
/// kernel has listed its rules.
pub(super) fn find(traffic: &Traffic) -> io::Result<Vec<Finding>> {
    find_dropped(traffic, &questions(traffic))
}

/// Every base chain of another program that certainly drops `crossing` or its answers, between the
/// device and the interface `site`; without one, this host itself is the near end. Blocks likewise.
pub(super) fn find_of(
    traffic: &Traffic,
    crossing: &Crossing,
    site: Option<&str>,
) -> io::Result<Vec<Finding>> {
    find_dropped(traffic, &questions_of(traffic, crossing, site))
}

fn find_dropped(traffic: &Traffic, questions: &[Question]) -> io::Result<Vec<Finding>> {
    let mut reader = Reader::open()?;
    let mut findings = Vec::new();
    let mut tables: BTreeMap<(Family, String), Ruleset> = BTreeMap::new();

    for chain in reader.base_chains(&traffic.tun)? {
        let key = (chain.family, chain.table.clone());
        // Each table is read once, however many base chains it has.
        if !tables.contains_key(&key) {
            let read = reader.table(chain.family, &chain.table)?;
            tables.insert(key.clone(), read);
        }

        // One finding for each chain: the rule that accepts one kind of packet usually accepts all.
        let dropped = first_dropped(&chain, &tables[&key], questions);
        findings.extend(dropped.map(|question| finding(traffic, &chain, &tables[&key], question)));
    }

    let legacy = legacy::read().unwrap_or_else(|error| {
        tracing::debug!(%error, "The filters of iptables-legacy are not read");
        Vec::new()
    });
    for (chains, ruleset) in legacy {
        for chain in chains {
            let dropped = first_dropped(&chain, &ruleset, questions);
            findings.extend(dropped.map(|question| finding(traffic, &chain, &ruleset, question)));
        }
    }
    Ok(findings)
}

fn first_dropped<'q>(
    chain: &BaseChain,
    ruleset: &Ruleset,
    questions: &'q [Question],
) -> Option<&'q Question> {
    let is_dropped = |sample: &Sample| {
        let mut sample = sample.clone();
        if chain.is_early {
            sample.state = State::Untracked;
        }
        chain.family.has(sample.is_v4)
            && is_seen(chain, &sample)
            && ruleset.judge(&chain.name, chain.drops_rest, &sample) == Judgement::Dropped
    };

    // A site may close ports on purpose. If one port passes, the filter knows the device.
    questions
        .iter()
        .filter(|question| question.hook == chain.hook)
        .find(|question| question.samples.iter().all(is_dropped))
}

/// A packet of any interface is not certainly seen by a chain of some.
fn is_seen(chain: &BaseChain, sample: &Sample) -> bool {
    let passes = match chain.hook {
        Hook::Ingress => &sample.enters,
        Hook::Egress => &sample.leaves,
        _ => return true,
    };

    passes
        .as_ref()
        .is_some_and(|interface| chain.sees(&interface.name))
}

fn finding(
    traffic: &Traffic,
    chain: &BaseChain,
    ruleset: &Ruleset,
    question: &Question,
) -> Finding {
    let by = if chain.drops_rest {
        " (its policy is drop)"
    } else {
        ""
    };
    let name = if chain.is_legacy {
        format!(
            "{}-legacy {}{}",
            chain.family.iptables(),
            table_of(chain),
            chain.name
        )
    } else {
        format!("{} {} {}", chain.family.as_str(), chain.table, chain.name)
    };
    let tool = if chain.is_legacy { "" } else { "nftables " };

    Finding {
        what: format!("{tool}chain {name}{by} drops packets {}", question.what),
        name: format!("foreign filter {name}"),
        remedy: Remedy::command(remedy(&traffic.tun, chain, ruleset, question)),
    }
}

/// The table of iptables, with a final blank; nothing for the usual one.
fn table_of(chain: &BaseChain) -> String {
    match &*chain.table {
        "filter" => String::new(),
        table => format!("{table} "),
    }
}

#[cfg(test)]
mod tests {
    use ringway_intent::Way;

    use super::*;

    #[test]
    fn a_chain_is_asked_only_about_packets_that_pass_its_hook() {
        let way = Way {
            interface: "eth0".into(),
            host: "10.1.0.2".parse().unwrap(),
            remote: "10.2.0.1".parse().unwrap(),
            prefix: "10.2.0.0/16".parse().unwrap(),
            is_tunnelled: true,
        };
        let traffic = Traffic {
            tun: "ringway0".into(),
            inquiry: Inquiry {
                ways: vec![way],
                dns: vec!["10.1.0.1".parse().unwrap()],
                tunnel_port: Some(4600),
                ..Inquiry::default()
            },
            names: BTreeMap::new(),
        };

        let questions = questions(&traffic);
        // Without rules, everything is dropped.
        let dropped = |hook| {
            let chain = BaseChain {
                family: Family::Inet,
                table: "filter".into(),
                name: "chain".into(),
                hook,
                devices: vec!["eth0".into()],
                drops_rest: true,
                is_early: false,
                is_legacy: false,
            };
            let mut ruleset = Ruleset::default();
            ruleset.chains.insert("chain".into(), Vec::new());
            first_dropped(&chain, &ruleset, &questions).map(|question| question.what.clone())
        };
        assert_eq!(dropped(Hook::Forward).unwrap(), "from eth0 to ringway0");
        assert_eq!(
            dropped(Hook::Input).unwrap(),
            "from eth0 to our DNS server 10.1.0.1"
        );
        // Of these, one that is called for eth0 alone sees one direction.
        assert_eq!(dropped(Hook::Ingress).unwrap(), "from eth0 to ringway0");
        assert_eq!(dropped(Hook::Egress).unwrap(), "from ringway0 to eth0");

        let other = Traffic {
            inquiry: Inquiry {
                tunnel_port: Some(4600),
                ..Inquiry::default()
            },
            ..traffic
        };
        let questions = super::questions(&other);
        let forward = questions
            .iter()
            .any(|question| question.hook == Hook::Forward);
        assert!(
            !forward,
            "a policy of FORWARD says nothing about the tunnel port"
        );
    }
}
