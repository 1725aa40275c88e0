//! Finds filters of others that drop what goes through the tunnel: Docker's and ufw's policy for
//! forwarded packets, a firewall that does not know the TUN device. They are not ours to change, so
//! each becomes a [`Finding`] with the command that opens it.
//!
//! The base chains at the forward and input hooks are read, and followed for sample packets as the
//! kernel would. Only a drop that is certain is a finding: a rule that is not understood makes the
//! answer uncertain.

mod evaluate;
mod expression;
mod packet;
mod read;

use std::collections::BTreeMap;
use std::io;

use ringway_intent::{Finding, Inquiry, Way};

use self::evaluate::{Judgement, Ruleset};
use self::packet::{Interface, Sample, State};
use self::read::{BaseChain, Family, Hook, Reader};

/// UDP.
const UDP: u8 = 17;
/// DNS.
const DNS: u16 = 53;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// The TUN device; also the name of our table.
    pub(super) tun: String,
    /// Between site and members, DNS, and the tunnel port.
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

/// A packet that must pass, and how to say so.
struct Question {
    hook: Hook,
    what: String,
    sample: Sample,
}

/// Every base chain of others that certainly drops some of `traffic`. Blocks for as long as the
/// kernel lists its rules.
pub(super) fn find(traffic: &Traffic) -> io::Result<Vec<Finding>> {
    let mut reader = Reader::open()?;
    let mut findings = Vec::new();
    let mut tables: BTreeMap<(Family, String), Ruleset> = BTreeMap::new();

    let questions = questions(traffic);
    for chain in reader.base_chains(&traffic.tun)? {
        let key = (chain.family, chain.table.clone());
        // Once for each table, however many base chains it has.
        if !tables.contains_key(&key) {
            let read = reader.table(chain.family, &chain.table)?;
            tables.insert(key.clone(), read);
        }

        // One finding for each chain: what lets one packet through mostly lets all of them.
        let dropped = first_dropped(&chain, &tables[&key], &questions);
        findings.extend(dropped.map(|question| finding(traffic, &chain, &tables[&key], question)));
    }
    Ok(findings)
}

fn first_dropped<'q>(
    chain: &BaseChain,
    ruleset: &Ruleset,
    questions: &'q [Question],
) -> Option<&'q Question> {
    questions
        .iter()
        .filter(|question| question.hook == chain.hook && chain.family.has(question.sample.is_v4))
        .find(|question| {
            ruleset.judge(&chain.name, chain.drops_rest, &question.sample) == Judgement::Dropped
        })
}

fn questions(traffic: &Traffic) -> Vec<Question> {
    let inquiry = &traffic.inquiry;
    // One prefix of each family stands for all.
    let mut ways = inquiry.ways.clone();
    ways.sort_by_key(|way| (way.interface.clone(), way.host.is_ipv4()));
    ways.dedup_by_key(|way| (way.interface.clone(), way.host.is_ipv4()));

    let forwarded = ways.iter().flat_map(|way| forwarded(traffic, way));
    let mut questions: Vec<Question> = forwarded.collect();
    for way in &ways {
        let dns = inquiry.dns.iter();
        let asked = dns.filter(|address| address.is_ipv4() == way.host.is_ipv4());
        questions.extend(asked.map(|address| Question {
            hook: Hook::Input,
            what: format!("from {} to our DNS server {address}", way.interface),
            sample: Sample {
                enters: traffic.interface(&way.interface),
                leaves: None,
                is_v4: address.is_ipv4(),
                source: Some(way.host),
                destination: Some(*address),
                service: Some((UDP, DNS)),
                state: State::New,
            },
        }));
    }

    // A peer may dial any address of this host, by any interface.
    questions.extend(inquiry.tunnel_port.map(|port| Question {
        hook: Hook::Input,
        what: format!("to the tunnel port, UDP {port}"),
        sample: Sample {
            enters: None,
            leaves: None,
            is_v4: true,
            source: None,
            destination: None,
            service: Some((UDP, port)),
            state: State::New,
        },
    }));
    questions
}

/// From the site to the member, and the answer.
fn forwarded(traffic: &Traffic, way: &Way) -> [Question; 2] {
    let tun = traffic.interface(&traffic.tun);
    let site = traffic.interface(&way.interface);
    let is_v4 = way.host.is_ipv4();

    [
        Question {
            hook: Hook::Forward,
            what: format!("from {} to {}", way.interface, traffic.tun),
            sample: Sample {
                enters: site.clone(),
                leaves: tun.clone(),
                is_v4,
                source: Some(way.host),
                destination: Some(way.remote),
                service: None,
                state: State::New,
            },
        },
        Question {
            hook: Hook::Forward,
            what: format!("from {} to {}", traffic.tun, way.interface),
            sample: Sample {
                enters: tun,
                leaves: site,
                is_v4,
                source: Some(way.remote),
                destination: Some(way.host),
                service: None,
                state: State::Established,
            },
        },
    ]
}

fn finding(
    traffic: &Traffic,
    chain: &BaseChain,
    ruleset: &Ruleset,
    question: &Question,
) -> Finding {
    let family = chain.family.as_str();
    let BaseChain { table, name, .. } = chain;
    let by = if chain.drops_rest {
        " (its policy is drop)"
    } else {
        ""
    };

    Finding {
        name: format!("foreign filter {family} {table} {name}"),
        what: format!(
            "nftables chain {family} {table} {name}{by} drops packets {}",
            question.what
        ),
        remedy: remedy(traffic, chain, ruleset, question),
    }
}

/// The command that lets the packets through, in the words of the program whose chain it is.
fn remedy(traffic: &Traffic, chain: &BaseChain, ruleset: &Ruleset, question: &Question) -> String {
    let tun = &traffic.tun;
    let is_iptables = chain.table == "filter" && matches!(&*chain.name, "FORWARD" | "INPUT");
    let program = match chain.family {
        Family::V6 => "ip6tables",
        Family::V4 | Family::Inet => "iptables",
    };
    let has = |chain: &str| ruleset.chains.contains_key(chain);

    if chain.table == "firewalld" {
        return if question.hook == Hook::Input && question.sample.enters.is_none() {
            let port = question.sample.service.map_or(0, |(_, port)| port);
            format!("firewall-cmd --permanent --add-port={port}/udp && firewall-cmd --reload")
        } else {
            format!(
                "firewall-cmd --permanent --zone=trusted --add-interface={tun} && \
                 firewall-cmd --reload"
            )
        };
    }
    if question.hook == Hook::Input {
        let (match_, port) = match (&question.sample.enters, question.sample.service) {
            (Some(Interface { name, .. }), Some((_, port))) => (format!("-i {name} "), port),
            (_, service) => (String::new(), service.map_or(0, |(_, port)| port)),
        };
        return if is_iptables {
            format!("{program} -I INPUT {match_}-p udp --dport {port} -j ACCEPT")
        } else {
            nft_insert(chain, &format!("udp dport {port}"))
        };
    }
    if is_iptables && has("ufw-user-forward") {
        return format!("ufw route allow in on {tun} && ufw route allow out on {tun}");
    }
    if is_iptables {
        let to = if has("DOCKER-USER") {
            "DOCKER-USER"
        } else {
            "FORWARD"
        };
        return format!(
            "{program} -I {to} -i {tun} -j ACCEPT && {program} -I {to} -o {tun} -j ACCEPT"
        );
    }
    format!(
        "{} && {}",
        nft_insert(chain, &format!("iifname {tun}")),
        nft_insert(chain, &format!("oifname {tun}"))
    )
}

fn nft_insert(chain: &BaseChain, condition: &str) -> String {
    let family = chain.family.as_str();

    format!(
        "nft insert rule {family} {} {} {condition} accept",
        chain.table, chain.name
    )
}
