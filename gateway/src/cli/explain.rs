//! `ringway explain`: why one host reaches another or does not, as a gateway between them knows it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Asked, Escaped, Opening, Party, Prefix, Service};

use ringway_intent::Remedy;
use serde::Serialize;

use super::policy::{Files, Wanted};
use super::remedy;
use super::{ConfigFile, Failure, answer, answer_json};
use crate::admin::report::ZoneReport;
use crate::admin::rules::PeerVerdict;
use crate::admin::{Report, socket};
use crate::explain::{Diagnosis, Probe, State, Step};
use crate::policy::ends::{Ends, Unresolved};
use crate::policy::judge::{Asking, Judge};

/// Arguments of `ringway explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who opens: a name or an address
    pub from: String,
    /// What is opened: a name or an address
    pub to: String,
    /// The port, of TCP unless it says otherwise: 7051, 53/udp; without it, an echo
    #[arg(long, value_name = "PORT[/PROTO]")]
    pub port: Option<String>,
    /// Ask and look, but open no connection
    #[arg(long)]
    pub no_probe: bool,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The output of `explain --json`.
#[derive(Debug, Serialize)]
struct Explanation {
    /// As the user wrote it: a name or an address.
    from: String,
    to: String,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    service: String,
    /// False if a step fails.
    works: bool,
    steps: Vec<Step>,
}

/// The addresses of both ends, and the direction.
struct Found {
    opening: Opening,
    arrives: bool,
}

/// Runs `ringway explain`. The exit code is 0 if no step fails, else 1.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let files = Files::load(&args.config.path)?;
    let service = service(&files, args.port.as_deref())?;
    let parties = [party(&files, &args.from)?, party(&files, &args.to)?];
    let judge = files.judge_with_names();
    let report = ringway_config::socket_of(&args.config.path)
        .map_err(anyhow::Error::from)
        .and_then(|path| Ok((socket::ask(&path)?, path)));

    let mut explanation = Explanation {
        from: args.from.clone(),
        to: args.to.clone(),
        source: None,
        destination: None,
        service: Asking(service).to_string(),
        works: true,
        steps: Vec::new(),
    };
    match (find(&judge, &parties, service)?, report) {
        (_, Err(error)) => explanation.steps.push(Step::bad(
            "gateway",
            format!("{error:#}"),
            Remedy::ringway("run"),
        )),
        (Err(unresolved), Ok((report, _))) => {
            explanation.steps.push(unknown_end(&unresolved, &report));
        }
        (Ok(found), Ok((report, path))) => {
            explanation.source = Some(found.opening.source);
            explanation.destination = Some(found.opening.destination);
            explanation.steps = follow(&found, &report, &path, &files, !args.no_probe)?;
        }
    }

    explanation.works = explanation
        .steps
        .iter()
        .all(|step| step.state != State::Bad);
    for step in &mut explanation.steps {
        step.remedy = remedy::for_gateway(&step.fix, &args.config.path);
    }
    if args.json {
        answer_json(&explanation)?;
    } else {
        answer(text(&explanation))?;
    }
    Ok(if explanation.works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn party(files: &Files, text: &str) -> Result<Party, Failure> {
    let party = files.config.party(text);
    let party = party.map_err(|error| Failure::Usage(error.to_string()))?;

    match party {
        Party::All | Party::Site(..) => Err(Failure::Usage(format!(
            "{text:?} is more than one host; give a name or an address"
        ))),
        party => Ok(party),
    }
}

/// The service in question.
fn service(files: &Files, port: Option<&str>) -> Result<Asked, Failure> {
    let wanted = Wanted {
        port: port.map(str::to_owned),
        proto: port.is_none().then(|| "icmp".to_owned()),
        service: None,
    };

    let services = wanted.words()?.services(&files.config.policy)?;
    match services.as_slice() {
        [Service::Icmp] => Ok(Asked::Echo),
        [Service::Tcp(ports)] if ports.len() == 1 && ports[0].first == ports[0].last => {
            Ok(Asked::Tcp(ports[0].first))
        }
        [Service::Udp(ports)] if ports.len() == 1 && ports[0].first == ports[0].last => {
            Ok(Asked::Udp(ports[0].first))
        }
        _ => Err(Failure::Usage("--port takes one port".to_owned())),
    }
}

/// The first addresses of a common family.
fn find(
    judge: &Judge<'_>,
    [from, to]: &[Party; 2],
    service: Asked,
) -> Result<Result<Found, Unresolved>, Failure> {
    let Ends {
        source,
        destination,
        arrives,
    } = match judge.ends(from, to) {
        Ok(ends) => ends,
        // Two hosts of one site, or of two others: another gateway knows about them.
        Err(error @ (Unresolved::WithinSite | Unresolved::Elsewhere)) => {
            return Err(Failure::Usage(error.to_string()));
        }
        Err(error) => return Ok(Err(error)),
    };
    for (party, prefixes) in [(from, &source), (to, &destination)] {
        if !prefixes.iter().all(Prefix::is_host) {
            return Err(Failure::Usage(format!(
                "{party} is more than one host; give a name or an address"
            )));
        }
    }

    let pairs = source.iter().flat_map(|source| {
        let addresses = destination.iter().map(Prefix::address);
        addresses.map(|destination| (source.address(), destination))
    });
    let mut pairs = pairs.filter(|(source, destination)| source.is_ipv4() == destination.is_ipv4());
    let (source, destination) = pairs.next().ok_or_else(|| {
        Failure::Usage(format!("{from} and {to} have no address family in common"))
    })?;
    Ok(Ok(Found {
        opening: Opening {
            source,
            destination,
            service,
        },
        arrives,
    }))
}

/// The step that says why a name has no address here.
fn unknown_end(unresolved: &Unresolved, report: &Report) -> Step {
    let name = match unresolved {
        Unresolved::NoAddress(name) => name,
        Unresolved::Nobody(label) => {
            let remedy = format!("give the whole name, such as {label}.<org>.<domain>");
            return Step::bad("name", unresolved.to_string(), remedy);
        }
        _ => {
            return Step::bad(
                "prefix",
                unresolved.to_string(),
                Remedy::ringway("member list"),
            );
        }
    };
    let name = name.to_string();
    let mut zones = report.zones.iter();
    let zone = zones.find(|zone| name.ends_with(&format!(".{}", zone.apex)));
    let Some(zone) = zone else {
        return Step::bad(
            "name",
            format!("{name} belongs to no member"),
            Remedy::ringway("member list"),
        );
    };

    let remedy = Remedy::ringway(format!("dns query {name}"));
    Step::bad("name", format!("{name}: {}", why_no_name(zone)), remedy)
}

fn why_no_name(zone: &ZoneReport) -> String {
    let apex = &zone.apex;

    match zone {
        ZoneReport { serial: None, .. } => {
            format!("the names of {apex} were never received: no tunnel has been up")
        }
        ZoneReport { stale: true, .. } => {
            format!("the names of {apex} are too old: its gateways have been silent for too long")
        }
        ZoneReport {
            refused: Some(reason),
            ..
        } => format!("there is none; the last names of {apex} were refused: {reason}"),
        ZoneReport {
            complete: false, ..
        } => format!("there is none in {apex}, of which not every gateway's names are here"),
        _ => format!("{apex} has no such name with an address"),
    }
}

/// All steps between two hosts.
fn follow(
    found: &Found,
    report: &Report,
    socket: &Path,
    files: &Files,
    probes: bool,
) -> Result<Vec<Step>, Failure> {
    let rules = socket::ask_rules(socket, &found.opening)?;
    let diagnosis = Diagnosis {
        opening: found.opening,
        arrives: found.arrives,
        report,
        rules: &rules,
    };

    let mut steps = diagnosis.steps();
    if steps.iter().any(|step| step.state == State::Bad) {
        // With a known cause, a probe adds nothing.
        return Ok(steps);
    }
    let to = match found.opening.service {
        Asked::Tcp(port) => SocketAddr::new(found.opening.destination, port),
        _ => SocketAddr::new(found.opening.destination, 0),
    };
    let probe = if probes {
        probe(found, to, socket, files)?
    } else {
        Probe::NotTried("--no-probe".to_owned())
    };
    steps.push(probe.step(to));
    Ok(steps)
}

/// Connects from this host, if the result means anything.
fn probe(found: &Found, to: SocketAddr, socket: &Path, files: &Files) -> Result<Probe, Failure> {
    if !matches!(found.opening.service, Asked::Tcp(_)) {
        return Ok(Probe::NotTried(
            "only TCP can be tried from here".to_owned(),
        ));
    }
    // Towards a host of this site, any source address will do.
    if found.arrives {
        return Ok(Probe::connect(None, to));
    }

    let Some(here) = files.address_in_site(to.is_ipv4()) else {
        return Ok(Probe::NotTried(
            "this host has no address in the site".to_owned(),
        ));
    };
    let opening = Opening {
        source: here,
        ..found.opening
    };
    if socket::ask_rules(socket, &opening)?.theirs == PeerVerdict::Denied {
        return Ok(Probe::NotTried(format!(
            "the far end lets {} in, but not this host ({here})",
            found.opening.source
        )));
    }
    Ok(Probe::connect(Some(here), to))
}

fn text(explanation: &Explanation) -> String {
    let mut text = format!(
        "{} to {}, {}\n",
        Escaped(&end(&explanation.from, explanation.source)),
        Escaped(&end(&explanation.to, explanation.destination)),
        explanation.service
    );

    for step in &explanation.steps {
        let mark = match step.state {
            State::Good => "ok",
            State::Bad => "NO",
            State::Unknown => "?",
        };
        text.push_str(&format!(
            "  {mark:<2}  {:<11}  {}\n",
            step.name,
            Escaped(&step.text)
        ));
        if !step.remedy.is_empty() {
            text.push_str(&format!("      {:<11}  → {}\n", "", Escaped(&step.remedy)));
        }
    }
    text.push_str(&conclusion(explanation));
    text
}

/// An end as the user wrote it, with its address.
fn end(asked: &str, address: Option<IpAddr>) -> String {
    match address {
        Some(address) if address.to_string() != asked => format!("{asked} ({address})"),
        _ => asked.to_owned(),
    }
}

fn conclusion(explanation: &Explanation) -> String {
    let bad = explanation.steps.iter();
    let bad: Vec<&str> = bad
        .filter(|step| step.state == State::Bad)
        .map(|step| step.name)
        .collect();

    match (bad.as_slice(), explanation.source) {
        ([], Some(source)) => format!(
            "Nothing on the way is against it. If it fails all the same, look at the two hosts:\n\
             the route of {source} to the other end must lead to its gateway (on that host:\n\
             ip route get {}).\n",
            explanation
                .destination
                .map(|address| address.to_string())
                .unwrap_or_default()
        ),
        ([], None) => String::new(),
        (names, _) => format!("It does not work: {}.\n", names.join(", ")),
    }
}
