//! What of this host keeps the gateway from starting, and what others have set in the way of the
//! tunnel's traffic.

mod raw;
mod takeover;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ringway_config::{Config, Escaped, Ruling};
use ringway_host::links;
use ringway_host::obstacles::{self, Obstacle, is_privileged};
use ringway_host::watch::inquire;
use ringway_intent::{
    Finding, Inquiry, Links, Scope, Situation, guard, tcp_ports, unannounced, ways,
};

use crate::admin::socket;
use crate::cli::remedy;
use crate::prepare::Prepared;

/// Why a start as this user would fail although the files are right.
pub(in crate::cli) fn obstacles(config: &Config) -> Vec<Obstacle> {
    // Our own daemon has device and port.
    // A device or port in use is right then, and keeps nothing from running.
    let running = socket::ask(&config.socket).ok();
    let is_running = running.is_some_and(|report| report.gateway == config.id.to_string());

    if is_privileged() {
        obstacles::obstacles(&config.tun, config.listen, is_running)
    } else {
        Vec::new()
    }
}

/// What is not checked, for want of rights.
pub(in crate::cli) fn unchecked() -> Option<&'static str> {
    let text = "whether this host lets it run was not checked: that needs CAP_NET_ADMIN (root)";

    (!is_privileged()).then_some(text)
}

/// Asks the kernel. What cannot be read is no finding: `check` may run without the right to.
pub(in crate::cli) async fn findings(prepared: &Prepared) -> Vec<Finding> {
    let config = &prepared.config;
    let Ok(links) = links::read(&config.tun, &Scope::of(config)).await else {
        return Vec::new();
    };

    let own = config.served_prefixes();
    // Whether a tunnel serves a prefix is not known here: what goes nowhere may be right.
    let members = prepared
        .rulings
        .iter()
        .map(|ruling: &Ruling| ruling.prefix)
        .filter(|prefix| !own.iter().any(|own| own.overlaps(prefix)))
        .map(|prefix| (prefix, false))
        .collect();
    let (ways, unasked) = ways(&links, &own, &members);
    let inquiry = Inquiry {
        ways,
        unasked,
        dns: config.dns.listen.iter().map(SocketAddr::ip).collect(),
        tunnel_port: config.is_dialled().then_some(config.listen.port()),
        ports: tcp_ports(&config.policy),
    };

    let mut findings = inquire(&config.tun, config.routes, inquiry)
        .await
        .unwrap_or_default();
    findings.extend(not_announced(prepared, &links));
    findings.extend(read_only(prepared, &links));
    findings.extend(absent_dns(config, &links));
    findings.extend(takeover::find(config, &links).await);
    findings.extend(raw::find(config));
    findings
}

fn situation<'a>(prepared: &'a Prepared, links: &'a Links) -> Situation<'a> {
    Situation {
        config: &prepared.config,
        rulings: &prepared.rulings,
        connected: &prepared.connected,
        links,
        held: &prepared.held,
    }
}

/// Sites that a gateway would not announce now.
fn not_announced(prepared: &Prepared, links: &Links) -> Vec<Finding> {
    let sites = unannounced(&situation(prepared, links)).into_iter();
    sites.map(|site| site.finding()).collect()
}

/// Settings that are needed and cannot be written here, as in most containers.
fn read_only(prepared: &Prepared, links: &Links) -> Vec<Finding> {
    // To any other user every setting looks read-only.
    if !is_privileged() {
        return Vec::new();
    }
    let spec = guard(&situation(prepared, links));

    let settings = obstacles::read_only_settings(&spec).into_iter();
    settings
        .map(|(setting, now)| read_only_setting(&setting.name(), &now, &setting.value))
        .collect()
}

pub(in crate::cli) fn read_only_setting(name: &str, now: &str, wanted: &str) -> Finding {
    Finding {
        name: format!("missing setting {name}"),
        what: format!(
            "{name} is {now} and must be {wanted}, and cannot be written here (/proc/sys is \
             read-only)"
        ),
        remedy: format!("sysctl -w {name}={wanted}   # on the host, or when the container is made"),
    }
}

/// DNS addresses that this host does not have. The gateway starts, and serves them once it has.
fn absent_dns(config: &Config, links: &Links) -> Vec<Finding> {
    let listen = config.dns.listen.iter().map(SocketAddr::ip);
    let absent = listen.filter(|address| {
        // The active gateway has them.
        let is_virtual = config.ha.has(*address);
        !is_virtual && !address.is_loopback() && !links.have(*address)
    });

    absent.map(absent_address).collect()
}

pub(in crate::cli) fn absent_address(address: IpAddr) -> Finding {
    Finding {
        name: format!("dns {address}"),
        what: format!(
            "[dns] listen {address} is no address of this host: DNS is not served there yet"
        ),
        remedy: format!("ip address add {address} dev …   # or correct [dns] listen"),
    }
}

/// One paragraph for each.
pub(super) fn describe(findings: &[Finding], config: &Path) -> String {
    let mut text = String::new();

    for finding in findings {
        text.push_str(&format!("\nneeds attention: {}\n", Escaped(&finding.what)));
        if !finding.remedy.is_empty() {
            let remedy = remedy::for_gateway(&finding.remedy, config);
            text.push_str(&format!("  to fix it: {}\n", Escaped(&remedy)));
        }
    }
    text
}
