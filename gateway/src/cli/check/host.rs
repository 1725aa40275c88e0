//! What others have set on this host in the way of the tunnel's traffic.

use std::net::SocketAddr;

use ringway_config::{Escaped, Ruling};
use ringway_host::links;
use ringway_host::watch::inquire;
use ringway_intent::{Finding, Inquiry, tcp_ports, ways};

use crate::prepare::Prepared;

/// Asks the kernel. What cannot be read is no finding: `check` may run without the right to.
pub(super) async fn findings(prepared: &Prepared) -> Vec<Finding> {
    let config = &prepared.config;
    let Ok(links) = links::read(&config.tun, &[]).await else {
        return Vec::new();
    };

    let own: Vec<_> = config.own_prefixes().iter().map(|own| own.prefix).collect();
    // Whether a tunnel serves a prefix is not known here: what goes nowhere may be right.
    let members = prepared
        .rulings
        .iter()
        .map(|ruling: &Ruling| ruling.prefix)
        .filter(|prefix| !own.iter().any(|own| own.overlaps(prefix)))
        .map(|prefix| (prefix, false))
        .collect();
    let is_dialled = config
        .own
        .gateway(&config.id.name)
        .is_some_and(|gateway| !gateway.endpoints.is_empty());
    let (ways, unasked) = ways(&links, &own, &members);
    let inquiry = Inquiry {
        ways,
        unasked,
        dns: config.dns.listen.iter().map(SocketAddr::ip).collect(),
        tunnel_port: is_dialled.then_some(config.listen.port()),
        ports: tcp_ports(&config.policy),
    };

    inquire(&config.tun, config.routes, inquiry)
        .await
        .unwrap_or_default()
}

/// One paragraph for each.
pub(super) fn describe(findings: &[Finding]) -> String {
    let mut text = String::new();

    for finding in findings {
        text.push_str(&format!("\nneeds attention: {}\n", Escaped(&finding.what)));
        if !finding.remedy.is_empty() {
            text.push_str(&format!("  to fix it: {}\n", Escaped(&finding.remedy)));
        }
    }
    text
}
