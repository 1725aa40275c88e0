//! The steps between two hosts, as they are at this gateway, and the connection that is tried.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use ringway_config::{Asked, Opening, Prefix};
use ringway_host::obstacles::is_privileged;
use ringway_host::watch::{Connection, obstructions};
use ringway_intent::Finding;

use super::ends::Found;
use crate::admin::report::RouteReport;
use crate::admin::rules::PeerVerdict;
use crate::admin::{Report, socket};
use crate::cli::policy::Files;
use crate::cli::{Failure, block_on};
use crate::explain::{Diagnosis, Probe, State, Step, route_to};

/// All steps between two hosts.
pub(super) fn follow(
    found: &Found,
    report: &Report,
    socket: &Path,
    files: &Files,
    probes: bool,
) -> Result<Vec<Step>, Failure> {
    let rules = socket::ask_rules(socket, &found.opening)?;
    let Opening {
        source,
        destination,
        ..
    } = found.opening;
    let (near, far) = if found.arrives {
        (destination, source)
    } else {
        (source, destination)
    };
    let route = route_to(report, far);
    let place = route.and_then(|route| files.prefix_place(route));
    let node = node_of(files, near);
    let in_the_way = look(files, found.opening, found.arrives, route);
    let diagnosis = Diagnosis {
        opening: found.opening,
        arrives: found.arrives,
        report,
        rules: &rules,
        prefix_place: place.as_deref(),
        policy_place: &policy_place(&files.config.path),
        obstructions: in_the_way.as_deref(),
        node: node.as_deref(),
    };

    let mut steps = diagnosis.steps();
    if steps.iter().any(|step| step.state == State::Bad) {
        // With a known cause, a probe adds nothing.
        return Ok(steps);
    }
    let port = match found.opening.service {
        Asked::Tcp(port) => port,
        _ => 0,
    };
    let to = SocketAddr::new(found.opening.destination, port);
    let probe = if probes {
        probe(found, to, socket, files, route)?
    } else {
        Probe::NotTried("--no-probe".to_owned())
    };
    let beyond = rules.peer.as_deref().filter(|_| !found.arrives);
    let beyond = beyond.map(|peer| diagnosis.ask_there(peer));
    steps.push(probe.step(to, beyond.as_deref()));
    if found.arrives && matches!(probe, Probe::Connected(_) | Probe::Refused) {
        steps.extend(silence(destination, source, socket));
    }
    Ok(steps)
}

/// What a host of this site does not do that answers this gateway: answer other members.
fn silence(host: IpAddr, member: IpAddr, socket: &Path) -> Option<Step> {
    // A gateway of an older version does not know.
    let waiting = socket::ask_answers(socket).ok()?.silent(host)?;

    Some(Step::bad(
        "answers",
        format!(
            "{waiting} connections of members went to {host}, and no answer of it has come by, \
             although it answers this gateway"
        ),
        format!(
            "on {host}: ip route get {member} must lead to this gateway (in a cloud: the VPC's \
             route, and the source/destination check), and its own firewall must let members in"
        ),
    ))
}

/// The attached node that has `near`, as the report of the gateway calls it.
fn node_of(files: &Files, near: IpAddr) -> Option<String> {
    let config = &files.config;
    let mut nodes = config.nodes.list.iter();

    let node = nodes.find(|node| node.prefixes.iter().any(|it| it.prefix.contains(near)))?;
    Some(node.id(&config.id.org).to_string())
}

/// True if this host has `address` itself.
fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The line at which the rules begin, if the file has any.
fn policy_place(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();

    match lines.position(|line| line.trim_start().starts_with("[policy]")) {
        Some(before) => format!("{}:{}:1", path.display(), before + 1),
        None => path.display().to_string(),
    }
}

/// What of this host stops `opening`; `None` if that could not be looked at.
fn look(
    files: &Files,
    opening: Opening,
    arrives: bool,
    route: Option<&RouteReport>,
) -> Option<Vec<Finding>> {
    // What is served from here does not pass the device.
    let route = route.filter(|route| !route.served_here && is_privileged())?;
    let prefix: Prefix = route.prefix.parse().ok()?;
    let connection = Connection {
        opening,
        is_inbound: arrives,
        prefix,
        is_tunnelled: route.gateway.is_some() && route.installed,
    };

    let config = &files.config;
    block_on(obstructions(&config.tun, config.routes, connection))
        .ok()?
        .ok()
}

/// Connects from this host, if the result means anything.
fn probe(
    found: &Found,
    to: SocketAddr,
    socket: &Path,
    files: &Files,
    route: Option<&RouteReport>,
) -> Result<Probe, Failure> {
    if !matches!(found.opening.service, Asked::Tcp(_)) {
        return Ok(Probe::NotTried(
            "only TCP can be tried from here".to_owned(),
        ));
    }
    // Towards a host of this site, any source address will do.
    if found.arrives {
        return Ok(Probe::connect(None, to));
    }

    let source = found.opening.source;
    let here = if is_ours(source) {
        Some(source)
    } else {
        files.address_in_site(to.is_ipv4())
    };
    let Some(here) = here else {
        return Ok(Probe::NotTried(
            "this host has no address in the site".to_owned(),
        ));
    };
    let opening = Opening {
        source: here,
        ..found.opening
    };
    if socket::ask_rules(socket, &opening)?.theirs == PeerVerdict::Denied {
        return Ok(Probe::NotTried(not_let_in(source, here)));
    }
    // What stops this host alone says nothing of the way.
    if let Some(stopped) = look(files, opening, false, route)
        .unwrap_or_default()
        .first()
    {
        return Ok(Probe::NotTried(stopped.what.clone()));
    }
    Ok(Probe::connect(Some(here), to))
}

fn not_let_in(source: IpAddr, here: IpAddr) -> String {
    format!("the far end lets {source} in, but not this host ({here})")
}
