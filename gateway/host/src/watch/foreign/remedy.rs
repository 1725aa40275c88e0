//! [`remedy`]: the command that lets packets through, in the words of the program whose chain drops
//! them. It works as it is written: an operator, or a script, executes it literally.

use super::evaluate::Ruleset;
use super::packet::Interface;
use super::read::{BaseChain, Hook};
use super::{DNS, Question};

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

    match question.hook {
        Hook::Input => open_input(maker, chain, question),
        Hook::Forward => open_forward(maker, chain, tun),
    }
}

fn maker(chain: &BaseChain, ruleset: &Ruleset) -> Maker {
    let is_iptables = chain.table == "filter" && matches!(&*chain.name, "FORWARD" | "INPUT");
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
fn open_input(maker: Maker, chain: &BaseChain, question: &Question) -> String {
    let sample = question.samples.first();
    let port = sample.and_then(|sample| sample.port).unwrap_or_default();
    let site = sample
        .filter(|_| port == DNS)
        .and_then(|sample| sample.enters.as_ref());

    match (maker, site) {
        (Maker::Firewalld, None) => {
            format!("firewall-cmd --permanent --add-port={port}/udp && firewall-cmd --reload")
        }
        (Maker::Firewalld, Some(Interface { name, .. })) => format!(
            "firewall-cmd --permanent --zone=$(firewall-cmd --get-zone-of-interface={name} \
             2>/dev/null || firewall-cmd --get-default-zone) --add-service=dns && \
             firewall-cmd --reload"
        ),
        (Maker::Ufw, None) => format!("ufw allow {port}/udp"),
        (Maker::Ufw, Some(Interface { name, .. })) => {
            format!("ufw allow in on {name} to any port {port}")
        }
        (Maker::Docker | Maker::Iptables, None) => {
            let program = program(chain);
            format!("{program} -I INPUT -p udp --dport {port} -j ACCEPT")
        }
        (Maker::Docker | Maker::Iptables, Some(Interface { name, .. })) => {
            let program = program(chain);
            format!(
                "{program} -I INPUT -i {name} -p udp --dport {port} -j ACCEPT && \
                 {program} -I INPUT -i {name} -p tcp --dport {port} -j ACCEPT"
            )
        }
        (Maker::Nftables, None) => insert(chain, &format!("udp dport {port}")),
        (Maker::Nftables, Some(Interface { name, .. })) => format!(
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

fn program(chain: &BaseChain) -> String {
    let program = chain.family.iptables();

    if chain.is_legacy {
        format!("{program}-legacy")
    } else {
        program.to_owned()
    }
}

fn insert(chain: &BaseChain, condition: &str) -> String {
    let family = chain.family.as_str();

    format!(
        "nft insert rule {family} {} {} {condition} accept",
        chain.table, chain.name
    )
}
