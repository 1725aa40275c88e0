//! [`remedy`]: the command that lets packets through, in the words of the program whose chain drops
//! them. It works as it is written: an operator, or a script, executes it literally.

use std::collections::BTreeSet;

use super::evaluate::Ruleset;
use super::question::{DNS, Kind, Question};
use super::read::{BaseChain, Family, Hook};

/// The program that has made a chain, as far as its names tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Firewalld,
    Ufw,
    Docker,
    Iptables,
    Nftables,
}

/// Opens `chain` of `ruleset` for the packets of `question`. `tun` is our device.
pub(super) fn remedy(
    tun: &str,
    chain: &BaseChain,
    ruleset: &Ruleset,
    question: &Question,
) -> String {
    let maker = maker(chain, ruleset);

    match (question.hook, &question.kind) {
        (_, kind @ Kind::OfThisHost) => open_elsewhere(maker, chain, &conditions(chain, kind, tun)),
        (Hook::Input, kind) => open_input(maker, chain, kind),
        (Hook::Forward, _) => open_forward(maker, chain, tun),
        (Hook::Output, Kind::Dialling { ports }) if maker == Maker::Ufw => {
            format!("ufw allow out proto udp to any port {}", list(ports))
        }
        (Hook::Output, _) if maker == Maker::Ufw => {
            format!("ufw allow out proto udp from any port {DNS}")
        }
        (_, kind) => open_elsewhere(maker, chain, &conditions(chain, kind, tun)),
    }
}

fn list(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(",")
}

/// What the packets have in common, in the words of nftables and of iptables.
struct Condition {
    nftables: String,
    iptables: String,
}

/// Of both directions, where a chain sees both.
fn conditions(chain: &BaseChain, kind: &Kind, tun: &str) -> Vec<Condition> {
    let arrives = matches!(chain.hook, Hook::Prerouting | Hook::Ingress | Hook::Input);
    let (name, option) = if arrives {
        ("iifname", "-i")
    } else {
        ("oifname", "-o")
    };
    let (side, port_option) = if arrives {
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
        Kind::OfThisHost => vec![Condition {
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

/// Where no program has words of its own for it.
fn open_elsewhere(maker: Maker, chain: &BaseChain, conditions: &[Condition]) -> String {
    let name = &chain.name;
    let by_iptables = !matches!(maker, Maker::Nftables | Maker::Firewalld);

    let commands = conditions.iter().map(|condition| {
        if by_iptables {
            let program = program(chain);
            format!("{program} -I {name} {} -j ACCEPT", condition.iptables)
        } else {
            insert(chain, &condition.nftables)
        }
    });
    commands.collect::<Vec<_>>().join(" && ")
}

fn maker(chain: &BaseChain, ruleset: &Ruleset) -> Maker {
    let is_iptables = chain.family != Family::Netdev
        && matches!(&*chain.table, "filter" | "raw" | "mangle" | "security")
        && matches!(
            &*chain.name,
            "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING"
        );
    let has = |part: &str| ruleset.chains.keys().any(|name| name.starts_with(part));

    if chain.table == "firewalld" {
        Maker::Firewalld
    } else if !is_iptables {
        Maker::Nftables
    } else if has("ufw-user-") || has("ufw6-user-") {
        Maker::Ufw
    } else if has("DOCKER-USER") {
        Maker::Docker
    } else {
        Maker::Iptables
    }
}

/// To the tunnel port by any interface, or to our DNS server by one of the site's.
fn open_input(maker: Maker, chain: &BaseChain, kind: &Kind) -> String {
    let (port, site) = match kind {
        Kind::Tunnel { port } => (*port, None),
        Kind::Dns { site } | Kind::Forwarded { site } => (DNS, Some(site)),
        // Never asked about at this hook.
        Kind::Dialling { .. } | Kind::OfThisHost => (DNS, None),
    };

    match (maker, site) {
        (Maker::Firewalld, None) => {
            format!("firewall-cmd --permanent --add-port={port}/udp && firewall-cmd --reload")
        }
        (Maker::Firewalld, Some(name)) => format!(
            "firewall-cmd --permanent --zone=$(firewall-cmd --get-zone-of-interface={name} \
             2>/dev/null || firewall-cmd --get-default-zone) --add-service=dns && \
             firewall-cmd --reload"
        ),
        (Maker::Ufw, None) => format!("ufw allow {port}/udp"),
        (Maker::Ufw, Some(name)) => {
            format!("ufw allow in on {name} to any port {port}")
        }
        (Maker::Docker | Maker::Iptables, None) => {
            let program = program(chain);
            format!("{program} -I INPUT -p udp --dport {port} -j ACCEPT")
        }
        (Maker::Docker | Maker::Iptables, Some(name)) => {
            let program = program(chain);
            format!(
                "{program} -I INPUT -i {name} -p udp --dport {port} -j ACCEPT && \
                 {program} -I INPUT -i {name} -p tcp --dport {port} -j ACCEPT"
            )
        }
        (Maker::Nftables, None) => insert(chain, &format!("udp dport {port}")),
        (Maker::Nftables, Some(name)) => format!(
            "{} && {}",
            insert(chain, &format!("iifname {name} udp dport {port}")),
            insert(chain, &format!("iifname {name} tcp dport {port}"))
        ),
    }
}

/// Between the site and the device, both ways.
fn open_forward(maker: Maker, chain: &BaseChain, tun: &str) -> String {
    match maker {
        // A zone that accepts opens what comes from it; a policy, what goes to it.
        Maker::Firewalld => format!(
            "firewall-cmd --permanent --zone=trusted --add-interface={tun} && \
             firewall-cmd --permanent --new-policy={tun} && \
             firewall-cmd --permanent --policy={tun} --add-ingress-zone=ANY && \
             firewall-cmd --permanent --policy={tun} --add-egress-zone=trusted && \
             firewall-cmd --permanent --policy={tun} --set-target=ACCEPT && \
             firewall-cmd --reload"
        ),
        Maker::Ufw => format!("ufw route allow in on {tun} && ufw route allow out on {tun}"),
        Maker::Docker | Maker::Iptables => {
            let program = program(chain);
            let to = if maker == Maker::Docker {
                "DOCKER-USER"
            } else {
                "FORWARD"
            };
            format!("{program} -I {to} -i {tun} -j ACCEPT && {program} -I {to} -o {tun} -j ACCEPT")
        }
        Maker::Nftables => format!(
            "{} && {}",
            insert(chain, &format!("iifname {tun}")),
            insert(chain, &format!("oifname {tun}"))
        ),
    }
}

/// The program of iptables, and the table unless it is the usual one.
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
