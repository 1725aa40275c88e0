//! The steps between two hosts, as they are at this gateway, and the connection that is tried.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use ringway_config::{Asked, Opening, Prefix};
use ringway_host::obstacles::is_privileged;
use ringway_host::watch::{Connection, Obstructions, obstructions};

use super::Question;
use super::beside::gateways_serving;
use super::ends::{Between, Found};
use crate::admin::report::RouteReport;
use crate::admin::rules::{PeerNode, RulesReport};
use crate::admin::{Report, socket};
use crate::cli::policy::Files;
use crate::cli::{Failure, block_on};
use crate::explain::{Diagnosis, NotTried, Probe, State, Step, has_answered, is_quiet, route_to};

/// All steps between two hosts.
pub(super) fn follow(
    found: &Found,
    report: &Report,
    question: &Question<'_>,
) -> Result<Vec<Step>, Failure> {
    let files = question.files;
    let socket = &files.config.socket;
    let rules = socket::ask_rules(socket, &found.opening)?;
    let Opening {
        source,
        destination,
        ..
    } = found.opening;
    let arrives = found.between == Between::Arriving;
    let (near, far) = if arrives {
        (destination, source)
    } else {
        (source, destination)
    };
    let route = route_to(report, far);
    let place = route.and_then(|route| files.prefix_place(route));
    let node = node_of(files, near);
    let far_gateways = gateways_serving(files, question.judge, far);
    let by_file = RulesReport::of(question.judge.verdict(&found.opening));
    let in_the_way = look(files, found.opening, arrives, route);
    let diagnosis = Diagnosis {
        opening: found.opening,
        arrives,
        report,
        rules: &rules,
        near_prefix: near_prefix(files, near),
        far_gateways: &far_gateways,
        prefix_place: place.as_deref(),
        policy_place: &policy_place(&files.config.path),
        by_file: files.config.attach.is_none().then_some(&by_file),
        obstructions: in_the_way.as_ref(),
        node: node.as_deref(),
    };

    let is_quiet = if arrives {
        is_quiet(report, node.as_deref())
    } else {
        rules.their_node == Some(PeerNode::Silent)
    };

    let mut steps = diagnosis.steps();
    if steps.iter().any(|step| step.state == State::Bad) {
        // With a known cause, a probe adds nothing.
        return Ok(steps);
    }
    let to = socket_address(&found.opening);
    let probe = if question.probes {
        probe(found, to, socket, files, route)?
    } else {
        Probe::NotTried(NotTried::NotWanted)
    };
    let beyond = rules.peer.as_deref().filter(|_| !arrives);
    let beyond = beyond.map(|peer| diagnosis.ask_there(peer));
    if is_quiet {
        if matches!(probe, Probe::Connected(_)) {
            has_answered(&mut steps);
        }
        steps.push(probe.step_to_quiet(to));
        return Ok(steps);
    }
    steps.push(probe.step(to, beyond.as_deref()));
    if arrives && matches!(probe, Probe::Connected(_) | Probe::Refused) {
        steps.extend(diagnosis.silence(silent_to_all(near, &rules, socket)));
    }
    Ok(steps)
}

/// Unanswered connections of all members to a host that has answered none. Asked only where a
/// gateway of an older version does not count those of one member.
fn silent_to_all(host: IpAddr, rules: &RulesReport, socket: &Path) -> Option<u64> {
    if rules.unanswered > 0 {
        return None;
    }

    socket::ask_answers(socket).ok()?.silent(host)
}

/// Where a connection of TCP goes; port 0 with any other service.
pub(super) fn socket_address(opening: &Opening) -> SocketAddr {
    let port = match opening.service {
        Asked::Tcp(port) => port,
        _ => 0,
    };

    SocketAddr::new(opening.destination, port)
}

/// The attached node that has `near`, as the report of the gateway calls it.
pub(super) fn node_of(files: &Files, near: IpAddr) -> Option<String> {
    let config = &files.config;
    let mut nodes = config.nodes.list.iter();

    let node = nodes.find(|node| node.prefixes.iter().any(|it| it.prefix.contains(near)))?;
    Some(node.id(&config.id.org).to_string())
}

/// True if this host has `address` itself.
pub(super) fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The prefix that this gateway claims, and that holds `near`.
fn near_prefix(files: &Files, near: IpAddr) -> Option<Prefix> {
    let claimed = files.config.served_prefixes().into_iter();

    claimed
        .filter(|prefix| prefix.contains(near))
        .max_by_key(Prefix::len)
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
) -> Option<Obstructions> {
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
        return Ok(Probe::NotTried(NotTried::NotTcp));
    }
    // Towards a host of this site, any source address will do.
    if found.between == Between::Arriving {
        return Ok(Probe::connect(None, to));
    }

    let meant = found.opening.source;
    let in_site = files.address_in_site(to.is_ipv4());
    let here = NotTried::or_from(meant, is_ours(meant), in_site, |here| {
        let opening = Opening {
            source: here,
            ..found.opening
        };
        let rules = socket::ask_rules(socket, &opening)?;
        anyhow::Ok(rules.theirs)
    })?;
    let here = match here {
        Ok(here) => here,
        Err(not_tried) => return Ok(Probe::NotTried(not_tried)),
    };
    // What stops this host alone says nothing of the way.
    let opening = Opening {
        source: here,
        ..found.opening
    };
    let stops = look(files, opening, false, route).unwrap_or_default();
    if let Some(stopped) = stops.certain.first() {
        let what = stopped.what.clone();
        return Ok(Probe::NotTried(NotTried::StoppedHere(what)));
    }
    Ok(Probe::connect(Some(here), to))
}
