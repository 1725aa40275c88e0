//! The steps between two hosts, as they are at this gateway, and the connection that is tried.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use ringway_config::{Asked, Opening, Prefix};
use ringway_host::obstacles::is_privileged;
use ringway_host::watch::{Connection, Obstructions, obstructions};

use super::Question;
use super::ends::{Between, Found};
use crate::admin::report::RouteReport;
use crate::admin::rules::{PeerVerdict, RulesReport};
use crate::admin::{Report, socket};
use crate::cli::policy::Files;
use crate::cli::{Failure, block_on};
use crate::explain::{Diagnosis, NotTried, Probe, State, Step, Verdict, route_to};

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
    let by_file = RulesReport::of(question.judge.verdict(&found.opening));
    let in_the_way = look(files, found.opening, arrives, route);
    let diagnosis = Diagnosis {
        opening: found.opening,
        arrives,
        report,
        rules: &rules,
        prefix_place: place.as_deref(),
        policy_place: &policy_place(&files.config.path),
        by_file: files.config.attach.is_none().then_some(&by_file),
        obstructions: in_the_way.as_ref(),
        node: node.as_deref(),
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
    steps.push(probe.step(to, beyond.as_deref()));
    if arrives && matches!(probe, Probe::Connected(_) | Probe::Refused) {
        steps.extend(silence(&found.opening, &rules, socket));
    }
    Ok(steps)
}

/// Where a connection of TCP goes; port 0 with any other service.
pub(super) fn socket_address(opening: &Opening) -> SocketAddr {
    let port = match opening.service {
        Asked::Tcp(port) => port,
        _ => 0,
    };

    SocketAddr::new(opening.destination, port)
}

/// What a host of this site does not do that answers this gateway: answer the member, or any.
fn silence(opening: &Opening, rules: &RulesReport, socket: &Path) -> Option<Step> {
    let (member, host) = (opening.source, opening.destination);
    let (waiting, whose) = match rules.unanswered {
        // A gateway of an older version does not know.
        0 => {
            let answers = socket::ask_answers(socket).ok()?;
            (answers.silent(host)?, "members".to_owned())
        }
        waiting => (waiting, member.to_string()),
    };

    let text = format!(
        "{waiting} connections of {whose} went to {host}, and no answer of it has come by, \
         although it answers this gateway"
    );
    let remedy = format!(
        "on {host}: ip route get {member} must lead to this gateway (in a cloud: the VPC's \
         route, and the source/destination check), and its own firewall must let members in"
    );
    Some(Step::new(Verdict::AnswersNobody, text).with(remedy))
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

    let source = found.opening.source;
    let here = if is_ours(source) {
        Some(source)
    } else {
        files.address_in_site(to.is_ipv4())
    };
    let Some(here) = here else {
        return Ok(Probe::NotTried(NotTried::NoAddressInSite));
    };
    let opening = Opening {
        source: here,
        ..found.opening
    };
    if socket::ask_rules(socket, &opening)?.theirs == PeerVerdict::Denied {
        let meant = source;
        return Ok(Probe::NotTried(NotTried::NotLetIn { meant, here }));
    }
    // What stops this host alone says nothing of the way.
    let stops = look(files, opening, false, route).unwrap_or_default();
    if let Some(stopped) = stops.certain.first() {
        let what = stopped.what.clone();
        return Ok(Probe::NotTried(NotTried::StoppedHere(what)));
    }
    Ok(Probe::connect(Some(here), to))
}
