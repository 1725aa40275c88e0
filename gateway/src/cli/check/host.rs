//! Checks the host for obstacles to a start, and for rules of other programs that stop the tunnels'
//! traffic.

mod raw;
mod takeover;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use ringway_config::{Config, Escaped, Prefix, Ruling, WireGuard};
use ringway_host::links;
use ringway_host::obstacles::{self, Obstacle, is_privileged};
use ringway_host::tun::{self, TunError};
use ringway_host::watch::inspect;
use ringway_intent::{
    Finding, Inspection, Links, Remedy, Scope, absent_dns, absent_listen, dialled_ports, guard,
    host_pairs, peers, tcp_ports, unannounced,
};

use super::files;
use crate::admin::{Report, socket};
use crate::cli::remedy;
use crate::dns_ports;
use crate::prepare::Prepared;
use crate::route_numbers;
use crate::run::device_name::DeviceName;

/// Reasons why a start as this user would fail although the files are valid.
pub(in crate::cli) fn obstacles(config: &Config) -> Vec<Obstacle> {
    // If our own daemon runs, it uses the device and the ports, which is no obstacle.
    let is_running = running(config).is_some();

    let mut found = Vec::new();
    if is_privileged() {
        let key = DeviceName::of_tunnels(config).to_string();
        found.extend(obstacles::obstacles(
            &config.tun,
            &key,
            config.listen,
            is_running,
        ));
        let clients = config.wireguard.as_ref().filter(|_| !is_running);
        if let Some(WireGuard { tun, listen }) = clients {
            let key = DeviceName::of_clients(config).to_string();
            found.extend(obstacles::taken(tun, &key, *listen));
        }
        if !is_running {
            found.extend(files::socket(config));
        }
        // A daemon that does not answer has the ports, and is named by its device.
        if !is_running && tun::owner(&config.tun).is_some() {
            found.retain(|obstacle| !matches!(obstacle, Obstacle::PortTaken(_)));
        }
    }
    found
}

/// The report of this gateway, if it runs.
fn running(config: &Config) -> Option<Report> {
    let report = socket::ask(&config.socket).ok()?;

    (report.gateway == config.id.to_string()).then_some(report)
}

/// The prefixes with a tunnel.
fn tunnelled(running: Option<&Report>) -> BTreeSet<Prefix> {
    let routes = running.into_iter().flat_map(|report| &report.routes);

    routes
        .filter(|route| route.gateway.is_some() && route.installed)
        .filter_map(|route| route.prefix.parse().ok())
        .collect()
}

/// False for a prefix that the running gateway learns of with the next reload: it has no route yet.
fn has_read(running: Option<&Report>, prefix: &Prefix) -> bool {
    running.is_none_or(|report| {
        let mut routes = report.routes.iter();
        routes.any(|route| route.prefix == prefix.to_string())
    })
}

/// What is not checked because this user lacks the rights.
pub(in crate::cli) fn unchecked() -> Option<&'static str> {
    let text = "whether this host lets it run was not checked: that needs CAP_NET_ADMIN (root)";

    (!is_privileged()).then_some(text)
}

/// Inspects the host. What cannot be read is no finding, because `check` may run without the
/// rights.
pub(in crate::cli) async fn findings(prepared: &Prepared) -> Vec<Finding> {
    let config = &prepared.config;
    // The networks of an interface that has one of our names would be taken for the tunnels'.
    if has_foreign_device(config) {
        return Vec::new();
    }
    let Ok(links) = links::read(&config.tun, &Scope::of(config)).await else {
        return Vec::new();
    };

    let own = config.served_prefixes();
    let running = running(config);
    // Only a running gateway knows. Without it, unreachable prefixes may be correct.
    let tunnelled = tunnelled(running.as_ref());
    let members = prepared
        .rulings
        .iter()
        .map(|ruling: &Ruling| ruling.prefix)
        .filter(|prefix| !own.iter().any(|own| own.overlaps(prefix)))
        .filter(|prefix| has_read(running.as_ref(), prefix))
        .map(|prefix| (prefix, tunnelled.contains(&prefix)))
        .collect();
    let (pairs, skipped) = host_pairs(&links, &own, &members);
    let inspection = Inspection {
        pairs,
        site: links.site_interfaces(&own),
        skipped,
        dns: config.dns.listen.iter().map(SocketAddr::ip).collect(),
        listen_port: config.listen.port(),
        tunnel_port: config.is_dialled().then_some(config.listen.port()),
        dialled_ports: dialled_ports(config),
        outside: links.outside(),
        peers: peers(config),
        ports: tcp_ports(&config.policy),
    };

    let mut findings = inspect(&config.tun, config.routes, inspection)
        .await
        .unwrap_or_default();
    findings.extend(route_numbers::conflict(config).await);
    findings.extend(not_announced(prepared, &links));
    findings.extend(read_only(prepared, &links));
    findings.extend(absent_listen(config, &links));
    findings.extend(absent_dns(config, &links));
    if running.is_none() && is_privileged() {
        // A daemon that does not answer has them, and is an obstacle of its own.
        if tun::owner(&config.tun).is_none() {
            findings.extend(taken_dns(config));
        }
        findings.extend(files::state_dir(config));
    }
    findings.extend(takeover::find(config, &links).await);
    findings.extend(raw::find(config));
    findings
}

fn has_foreign_device(config: &Config) -> bool {
    let clients = config.wireguard.as_ref().map(|wireguard| &wireguard.tun);
    let mut names = std::iter::once(&config.tun).chain(clients);

    names.any(|name| matches!(tun::taken(name), Some(TunError::Foreign { .. })))
}

/// Sites that a gateway would not announce now.
fn not_announced(prepared: &Prepared, links: &Links) -> Vec<Finding> {
    let sites = unannounced(&prepared.situation(links)).into_iter();
    sites.map(|site| site.finding()).collect()
}

/// Needed settings that cannot be written here, as in most containers.
fn read_only(prepared: &Prepared, links: &Links) -> Vec<Finding> {
    // To an unprivileged user every setting looks read-only.
    if !is_privileged() {
        return Vec::new();
    }
    let spec = guard(&prepared.situation(links));

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
        remedy: Remedy::command(format!(
            "sysctl -w {name}={wanted}   # on the host, or when the container is made"
        )),
    }
}

/// DNS ports that another program uses. The gateway starts, and serves DNS there once the port is
/// free.
fn taken_dns(config: &Config) -> Vec<Finding> {
    let listen = config.dns.listen.iter();

    listen
        .filter(|listen| obstacles::is_bound(**listen) || obstacles::is_listened_on(**listen))
        .map(|listen| dns_ports::taken(*listen))
        .collect()
}

/// One paragraph for each finding.
pub(super) fn describe(findings: &[Finding], config: &Path) -> String {
    let mut text = String::new();

    for finding in findings {
        text.push_str(&format!("\nneeds attention: {}\n", Escaped(&finding.what)));
        if finding.remedy != Remedy::None {
            let remedy = remedy::for_gateway(&finding.remedy, config);
            text.push_str(&format!("  to fix it: {}\n", Escaped(&remedy)));
        }
    }
    text
}
