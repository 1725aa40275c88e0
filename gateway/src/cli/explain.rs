//! `ringway explain`: why one host reaches another or does not, as a gateway between them knows it.

mod beside;
mod ends;
mod resolved;
mod way;

use std::net::IpAddr;
use std::process::ExitCode;

use ringway_config::Escaped;
use ringway_intent::Remedy;
use serde::Serialize;

use self::beside::{elsewhere, within};
use self::ends::{Between, find, names, party, service, unknown_end};
use self::way::follow;
use super::policy::Files;
use super::remedy;
use super::{ConfigFile, Failure, answer, answer_json};
use crate::admin::socket;
use crate::explain::{State, Step, Verdict};
use crate::policy::judge::Asking;

/// Arguments of `ringway explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host that opens the connection: a name or an address
    pub from: String,
    /// The host to which it is opened: a name or an address
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
    /// Not known without addresses.
    #[serde(skip)]
    between: Option<Between>,
    /// False if a step fails, or a WireGuard client at an end is down; null if this gateway is not
    /// on the way.
    works: Option<bool>,
    steps: Vec<Step>,
}

/// Runs `ringway explain`. The exit code is 0 if no step fails, else 1; also 1 if this gateway is
/// not on the way.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let files = Files::load(&args.config.path)?;
    let service = service(&files, args.port.as_deref())?;
    let parties = [party(&files, &args.from)?, party(&files, &args.to)?];
    let mut judge = files.judge_with_names();
    let is_node = files.config.attach.is_some();
    if is_node {
        resolved::learn(&mut judge, &parties);
    }
    let report = ringway_config::socket_of(&args.config.path)
        .map_err(anyhow::Error::from)
        .and_then(|path| Ok((socket::ask(&path)?, path)));

    let mut explanation = Explanation {
        from: args.from.clone(),
        to: args.to.clone(),
        source: None,
        destination: None,
        service: Asking(service).to_string(),
        between: None,
        works: None,
        steps: Vec::new(),
    };
    match (find(&judge, &parties, service)?, report) {
        (_, Err(error)) => {
            let step = Step::new(Verdict::GatewaySilent, format!("{error:#}"));
            explanation.steps.push(step.with(Remedy::ringway("run")));
        }
        (Err(unresolved), Ok((report, _))) => {
            let step = if is_node {
                resolved::unknown_end(&unresolved, &report)
            } else {
                unknown_end(&unresolved, &report)
            };
            explanation.steps.push(step);
        }
        (Ok(found), Ok((report, path))) => {
            explanation.source = Some(found.opening.source);
            explanation.destination = Some(found.opening.destination);
            explanation.between = Some(found.between);
            explanation.steps = if is_node {
                resolved::names(&parties, found.opening)
            } else {
                names(&parties, &found, &report)
            };
            let rest = match found.between {
                Between::WithinSite => within(&found, &report, &files, !args.no_probe)?,
                Between::OtherSites => vec![elsewhere(&found, &files, &judge)],
                _ => follow(&found, &report, &path, &files, !args.no_probe)?,
            };
            explanation.steps.extend(rest);
        }
    }

    if explanation.between != Some(Between::OtherSites) {
        let mut steps = explanation.steps.iter();
        // Such a client is reached again once it sends something. Until then it is the cause.
        explanation.works =
            Some(steps.all(|step| step.state != State::Bad && step.verdict != Verdict::NodeQuiet));
    }
    for step in &mut explanation.steps {
        step.remedy = remedy::for_gateway(&step.fix, &args.config.path);
    }
    if args.json {
        answer_json(&explanation)?;
    } else {
        answer(text(&explanation))?;
    }
    Ok(if explanation.works == Some(true) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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

    let (Some(source), Some(destination)) = (explanation.source, explanation.destination) else {
        return not_working(&bad);
    };
    if !bad.is_empty() {
        return not_working(&bad);
    }
    let mut steps = explanation.steps.iter();
    if let Some(node) = steps.find(|step| step.verdict == Verdict::NodeQuiet) {
        return format!(
            "It does not work now: {}. Nothing else on the way is certainly against it.\n",
            node.name
        );
    }
    let mut steps = explanation.steps.iter();
    if let Some(doubt) = steps.find(|step| step.verdict == Verdict::HostMayStop) {
        return format!(
            "Nothing on the way is certainly against it; look at what is marked with ? ({}).\n",
            doubt.name
        );
    }
    // The host at this end, whose routes nobody else sees.
    let (host, other) = match explanation.between {
        Some(Between::Arriving) => (destination, source),
        Some(Between::OtherSites) => return "This gateway cannot tell.\n".to_owned(),
        Some(Between::WithinSite) => {
            return format!(
                "This gateway sees nothing against it. If it fails all the same, look at {source}\n\
                 (on that host: ip route get {destination}), and at the firewalls of both hosts.\n"
            );
        }
        Some(Between::Leaving) | None => (source, destination),
    };
    format!(
        "Nothing on the way is against it. If it fails all the same, look at {host}: its route to\n\
         the other end must lead to its gateway (on that host: ip route get {other}), and its own\n\
         firewall must let it through.\n"
    )
}

fn not_working(bad: &[&str]) -> String {
    if bad.is_empty() {
        String::new()
    } else {
        format!("It does not work: {}.\n", bad.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_down_is_the_cause_if_nothing_else_is() {
        let explanation = |verdicts: &[Verdict]| {
            let steps = verdicts.iter().map(|verdict| Step::new(*verdict, ""));
            let address: IpAddr = "10.1.5.9".parse().unwrap();
            conclusion(&Explanation {
                from: String::new(),
                to: String::new(),
                source: Some(address),
                destination: Some(address),
                service: String::new(),
                between: Some(Between::Arriving),
                works: None,
                steps: steps.collect(),
            })
        };

        assert_eq!(
            explanation(&[Verdict::NodeQuiet, Verdict::TunnelUp]),
            "It does not work now: node. Nothing else on the way is certainly against it.\n"
        );
        assert_eq!(
            explanation(&[Verdict::NodeQuiet, Verdict::TunnelDown]),
            "It does not work: tunnel.\n"
        );
        let up = explanation(&[Verdict::NodeUp, Verdict::TunnelUp]);
        assert!(up.starts_with("Nothing on the way is against it."), "{up}");
    }
}
