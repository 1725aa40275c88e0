//! [`remedy`]: the command that lets packets pass, for the program that manages the chain which
//! drops them. It works as it is written: operators and scripts execute it literally.

use std::collections::BTreeSet;

use super::chain::{BaseChain, Family, Hook};
use super::evaluate::Ruleset;
use super::requirement::{DNS, Kind, Requirement};

/// The program that manages a chain, as far as the names of chains show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frontend {
    Firewalld,
    Ufw,
    Docker,
    Iptables,
    Nftables,
}

/// Makes `chain` of `ruleset` accept the packets of `requirement`. `tun` is the TUN device.
pub(super) fn remedy(
    tun: &str,
    chain: &BaseChain,
    ruleset: &Ruleset,
    requirement: &Requirement,
) -> String {
    let frontend = frontend(chain, ruleset);

    match (requirement.hook, &requirement.kind) {
        _ if chain.translates => {
            insert_rules(frontend, chain, &[untranslated(chain, requirement, tun)])
        }
        (_, kind @ Kind::ThisHost) => insert_rules(frontend, chain, &conditions(chain, kind, tun)),
        (Hook::Input, kind) => open_input(frontend, chain, kind),
        (Hook::Forward, _) => open_forward(frontend, chain, tun),
        (Hook::Output, Kind::Dialling { ports }) if frontend == Frontend::Ufw => {
            format!("ufw allow out proto udp to any port {}", list(ports))
        }
        (Hook::Output, _) if frontend == Frontend::Ufw => {
            format!("ufw allow out proto udp from any port {DNS}")
        }
        (_, kind) => insert_rules(frontend, chain, &conditions(chain, kind, tun)),
    }
}

/// Prints the rules of `chain`.
pub(super) fn listing(chain: &BaseChain) -> String {
    if chain.is_legacy {
        return format!("{} -S", program(chain));
    }

    let family = chain.family.as_str();
    format!("nft list table {family} {}", chain.table)
}

fn list(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(",")
}

/// A condition that the packets meet, in the syntax of nftables and of iptables.
struct Condition {
    nftables: String,
    iptables: String,
}

/// The packets that keep their addresses.
fn untranslated(chain: &BaseChain, requirement: &Requirement, tun: &str) -> Condition {
    let destination = requirement.samples.first().and_then(|it| it.destination);

    match destination {
        Some(address) if chain.hook != Hook::Postrouting => {
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            Condition {
                nftables: format!("{family} daddr {address}"),
                iptables: format!("-d {address}"),
            }
        }
        _ => Condition {
            nftables: format!("oifname {tun}"),
            iptables: format!("-o {tun}"),
        },
    }
}

/// For both directions, if the chain sees both.
fn conditions(chain: &BaseChain, kind: &Kind, tun: &str) -> Vec<Condition> {
    let is_inbound = matches!(chain.hook, Hook::Prerouting | Hook::Ingress | Hook::Input);
    let (name, option) = if is_inbound {
        ("iifname", "-i")
    } else {
        ("oifname", "-o")
    };
    let (side, port_option) = if is_inbound {
        ("dport", "--dport")
    } else {
        ("sport", "--sport")
    };

    match kind {
        Kind::Forwarded { site } => [tun, site]
            .iter()
            .filter(|interface| chain.sees(interface))
            .map(|interface| Condition {
                nftables: format!("{name} {interface}"),
                iptables: format!("{option} {interface}"),
            })
            .collect(),
        Kind::ThisHost => vec![Condition {
            nftables: format!("{name} {tun}"),
            iptables: format!("{option} {tun}"),
        }],
        Kind::Dns { site } => ["udp", "tcp"]
            .map(|protocol| Condition {
                nftables: format!("{name} {site} {protocol} {side} {DNS}"),
                iptables: format!("{option} {site} -p {protocol} {port_option} {DNS}"),
            })
            .into(),
        Kind::Tunnel { port } => vec![Condition {
            nftables: format!("udp dport {port}"),
            iptables: format!("-p udp --dport {port}"),
        }],
        Kind::Dialling { ports } => vec![Condition {
            nftables: format!("udp dport {{ {} }}", list(ports)),
            iptables: format!("-p udp -m multiport --dports {}", list(ports)),
        }],
    }
}

/// Inserts accepting rules directly. For cases in which no program has a command of its own.
fn insert_rules(frontend: Frontend, chain: &BaseChain, conditions: &[Condition]) -> String {
    let name = &chain.name;
    let uses_iptables = !matches!(frontend, Frontend::Nftables | Frontend::Firewalld);

    let commands = conditions.iter().map(|condition| {
        if uses_iptables {
            let program = program(chain);
            format!("{program} -I {name} {} -j ACCEPT", condition.iptables)
        } else {
            insert(chain, &condition.nftables)
        }
    });
    commands.collect::<Vec<_>>().join(" && ")
}

fn frontend(chain: &BaseChain, ruleset: &Ruleset) -> Frontend {
    let is_iptables = chain.family != Family::Netdev
        && matches!(
            &*chain.table,
            "filter" | "nat" | "raw" | "mangle" | "security"
        )
        && matches!(
            &*chain.name,
            "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING"
        );
    let has = |part: &str| ruleset.chains.keys().any(|name| name.starts_with(part));

    if chain.table == "firewalld" {
        Frontend::Firewalld
    } else if !is_iptables {
        Frontend::Nftables
    } else if has("ufw-user-") || has("ufw6-user-") {
        Frontend::Ufw
    } else if has("DOCKER-USER") {
        Frontend::Docker
    } else {
        Frontend::Iptables
    }
}

/// To the tunnel port through any interface, or to our DNS server through one of the site's.
fn open_input(frontend: Frontend, chain: &BaseChain, kind: &Kind) -> String {
    let (port, site) = match kind {
        Kind::Tunnel { port } => (*port, None),
        Kind::Dns { site } | Kind::Forwarded { site } => (DNS, Some(site)),
        // Not required at this hook.
        Kind::Dialling { .. } | Kind::ThisHost => (DNS, None),
    };

    match (frontend, site) {
        (Frontend::Firewalld, None) => {
            format!("firewall-cmd --permanent --add-port={port}/udp && firewall-cmd --reload")
        }
        (Frontend::Firewalld, Some(name)) => format!(
            "firewall-cmd --permanent --zone=$(firewall-cmd --get-zone-of-interface={name} \
             2>/dev/null || firewall-cmd --get-default-zone) --add-service=dns && \
             firewall-cmd --reload"
        ),
        (Frontend::Ufw, None) => format!("ufw allow {port}/udp"),
        (Frontend::Ufw, Some(name)) => {
            format!("ufw allow in on {name} to any port {port}")
        }
        (Frontend::Docker | Frontend::Iptables, None) => {
            let program = program(chain);
            format!("{program} -I INPUT -p udp --dport {port} -j ACCEPT")
        }
        (Frontend::Docker | Frontend::Iptables, Some(name)) => {
            let program = program(chain);
            format!(
                "{program} -I INPUT -i {name} -p udp --dport {port} -j ACCEPT && \
                 {program} -I INPUT -i {name} -p tcp --dport {port} -j ACCEPT"
            )
        }
        (Frontend::Nftables, None) => insert(chain, &format!("udp dport {port}")),
        (Frontend::Nftables, Some(name)) => format!(
            "{} && {}",
            insert(chain, &format!("iifname {name} udp dport {port}")),
            insert(chain, &format!("iifname {name} tcp dport {port}"))
        ),
    }
}

/// Between the site and the device, both pairs.
fn open_forward(frontend: Frontend, chain: &BaseChain, tun: &str) -> String {
    match frontend {
        // A zone that accepts applies to packets from its interfaces; packets to them need a
        // policy.
        Frontend::Firewalld => format!(
            "firewall-cmd --permanent --zone=trusted --add-interface={tun} && \
             firewall-cmd --permanent --new-policy={tun} && \
             firewall-cmd --permanent --policy={tun} --add-ingress-zone=ANY && \
             firewall-cmd --permanent --policy={tun} --add-egress-zone=trusted && \
             firewall-cmd --permanent --policy={tun} --set-target=ACCEPT && \
             firewall-cmd --reload"
        ),
        Frontend::Ufw => format!("ufw route allow in on {tun} && ufw route allow out on {tun}"),
        Frontend::Docker | Frontend::Iptables => {
            let program = program(chain);
            let to = if frontend == Frontend::Docker {
                "DOCKER-USER"
            } else {
                "FORWARD"
            };
            format!("{program} -I {to} -i {tun} -j ACCEPT && {program} -I {to} -o {tun} -j ACCEPT")
        }
        Frontend::Nftables => format!(
            "{} && {}",
            insert(chain, &format!("iifname {tun}")),
            insert(chain, &format!("oifname {tun}"))
        ),
    }
}

/// The iptables program, and the table unless it is the default one.
fn program(chain: &BaseChain) -> String {
    let program = chain.family.iptables();
    let legacy = if chain.is_legacy { "-legacy" } else { "" };

    match &*chain.table {
        "filter" => format!("{program}{legacy}"),
        table => format!("{program}{legacy} -t {table}"),
    }
}

fn insert(chain: &BaseChain, condition: &str) -> String {
    let family = chain.family.as_str();

    format!(
        "nft insert rule {family} {} {} {condition} accept",
        chain.table, chain.name
    )
}
