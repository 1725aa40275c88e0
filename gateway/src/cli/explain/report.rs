//! [`Explanation`]: the steps of every address family, as text and as JSON.

use std::net::IpAddr;

use ringway_config::{Asked, Escaped};
use serde::Serialize;

use super::Args;
use super::ends::{Between, Found};
use super::way::is_ours;
use crate::explain::{Family, State, Step, Verdict};
use crate::policy::judge::Asking;

/// The output of `explain --json`.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// As the user wrote it: a name or an address.
    from: String,
    to: String,
    /// Of the first address family.
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    service: String,
    /// False if a step fails, or a WireGuard client at an end is down; null if this gateway is not
    /// on the way.
    pub(super) works: Option<bool>,
    /// One for each address family that both ends have, IPv6 first; none without addresses.
    families: Vec<Way>,
    pub(super) steps: Vec<Step>,
}

/// The addresses of one family.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    family: Family,
    source: IpAddr,
    destination: IpAddr,
    #[serde(skip)]
    between: Between,
    /// True if the end in this gateway's site is this host.
    #[serde(skip)]
    is_this_host: bool,
    /// As of the whole, for this family alone.
    works: Option<bool>,
}

impl Way {
    pub(super) fn of(found: &Found) -> Way {
        let near = match found.between {
            Between::Arriving => found.opening.destination,
            _ => found.opening.source,
        };

        Way {
            is_this_host: is_ours(near),
            family: Family::of(found.opening.source),
            source: found.opening.source,
            destination: found.opening.destination,
            between: found.between,
            works: None,
        }
    }
}

impl Explanation {
    /// Without steps.
    pub(super) fn new(args: &Args, service: Asked) -> Explanation {
        Explanation {
            from: args.from.clone(),
            to: args.to.clone(),
            source: None,
            destination: None,
            service: Asking(service).to_string(),
            works: Some(true),
            families: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Adds a step about every address family.
    pub(super) fn add(&mut self, step: Step) {
        if fails(&step) {
            self.works = Some(false);
        }
        self.steps.push(step);
    }

    /// Adds the steps of one family.
    pub(super) fn add_way(&mut self, mut way: Way, steps: Vec<Step>) {
        if way.between != Between::OtherSites {
            way.works = Some(!steps.iter().any(fails));
        }
        if way.works.is_none() && self.works == Some(true) {
            self.works = None;
        }
        if self.families.is_empty() {
            self.source = Some(way.source);
            self.destination = Some(way.destination);
        }

        for step in steps {
            self.add(step);
        }
        self.families.push(way);
    }

    fn steps_of(&self, family: Option<Family>) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.family == family)
    }

    /// The names of the steps of one family that fail.
    fn bad(&self, family: Option<Family>) -> Vec<&'static str> {
        let mut names = Vec::new();
        for step in self.steps_of(family) {
            if step.state == State::Bad && !names.contains(&step.name) {
                names.push(step.name);
            }
        }
        names
    }
}

/// A WireGuard client that is down is reached again once it sends something. Until then it is the
/// cause.
fn fails(step: &Step) -> bool {
    let is_quiet = matches!(step.verdict, Verdict::NodeQuiet | Verdict::FarNodeQuiet);

    step.state == State::Bad || is_quiet
}

/// True for what may be the cause, as far as it could be judged. `is_connected`: a connection was
/// made, so that the rules of the far end allow it.
fn may_stop(step: &Step, is_connected: bool) -> bool {
    match step.verdict {
        Verdict::HostMayStop
        | Verdict::DnsPartlyUnreachable
        | Verdict::OtherGatewayDown
        | Verdict::NodeUnknown
        // The hosts use another gateway.
        | Verdict::Standby => true,
        Verdict::TheirsUntold
        | Verdict::TheirsUntoldToNodes
        | Verdict::TheirsUnreachable
        | Verdict::TheirsOlder
        | Verdict::TheirsSilent => !is_connected,
        _ => false,
    }
}

pub(super) fn text(explanation: &Explanation) -> String {
    let mut text = header(explanation, explanation.source, explanation.destination);
    for step in explanation.steps_of(None) {
        text.push_str(&line(step));
    }

    for (number, way) in explanation.families.iter().enumerate() {
        if number > 0 {
            let header = header(explanation, Some(way.source), Some(way.destination));
            text.push_str(&format!("\n{header}"));
        }
        for step in explanation.steps_of(Some(way.family)) {
            text.push_str(&line(step));
        }
    }
    if explanation.families.len() > 1 {
        text.push('\n');
    }
    text.push_str(&conclusion(explanation));
    text
}

fn header(
    explanation: &Explanation,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
) -> String {
    format!(
        "{} to {}, {}\n",
        Escaped(&end(&explanation.from, source)),
        Escaped(&end(&explanation.to, destination)),
        explanation.service
    )
}

/// An end as the user wrote it, with its address.
fn end(asked: &str, address: Option<IpAddr>) -> String {
    match address {
        Some(address) if address.to_string() != asked => format!("{asked} ({address})"),
        _ => asked.to_owned(),
    }
}

fn line(step: &Step) -> String {
    let mark = match step.state {
        State::Good => "ok",
        State::Bad => "NO",
        State::Unknown => "?",
    };
    let mut text = format!("  {mark:<2}  {:<11}  {}\n", step.name, Escaped(&step.text));

    if !step.remedy.is_empty() {
        text.push_str(&format!("      {:<11}  → {}\n", "", Escaped(&step.remedy)));
    }
    text
}

fn conclusion(explanation: &Explanation) -> String {
    let bad = explanation.bad(None);
    if !bad.is_empty() {
        return format!("It does not work: {}.\n", bad.join(", "));
    }
    match explanation.families.as_slice() {
        [] => String::new(),
        [way] => {
            let bad = explanation.bad(Some(way.family));
            if bad.is_empty() {
                nothing_against(explanation, way)
            } else {
                format!("It does not work: {}.\n", bad.join(", "))
            }
        }
        ways => of_families(explanation, ways),
    }
}

/// Programs try one family first, and not all of them the other one after it.
fn of_families(explanation: &Explanation, ways: &[Way]) -> String {
    let mut text = String::new();
    for way in ways {
        let bad = explanation.bad(Some(way.family));
        if !bad.is_empty() {
            let family = way.family;
            text.push_str(&format!("{family} does not work: {}.\n", bad.join(", ")));
        }
    }
    if text.is_empty() {
        return nothing_against(explanation, &ways[0]);
    }

    for way in ways.iter().filter(|way| way.works == Some(true)) {
        text.push_str(&format!("Nothing is against {}.\n", way.family));
    }
    text.push_str(
        "The names have addresses of both families. Most programs try IPv6 first (the C library's\n\
         order), others IPv4; some try no other one.\n",
    );
    text
}

/// No step fails.
fn nothing_against(explanation: &Explanation, way: &Way) -> String {
    let mut steps = explanation.steps.iter();
    if let Some(node) = steps.find(|step| fails(step)) {
        return format!(
            "It does not work now: {}. Nothing else on the way is certainly against it.\n",
            node.name
        );
    }
    let mut steps = explanation.steps.iter();
    let is_connected = steps.any(|step| step.verdict == Verdict::Connected);
    let mut steps = explanation.steps.iter();
    if let Some(doubt) = steps.find(|step| may_stop(step, is_connected)) {
        return format!(
            "Nothing on the way is certainly against it; look at what is marked with ? ({}).\n",
            doubt.name
        );
    }

    let Way {
        source,
        destination,
        ..
    } = way;
    // The host at this end, whose routes nobody else sees.
    let (host, other) = match way.between {
        Between::Arriving => (destination, source),
        Between::Leaving => (source, destination),
        Between::OtherSites => return "This gateway cannot tell.\n".to_owned(),
        Between::WithinSite => {
            return format!(
                "This gateway sees nothing against it. If it fails all the same, look at {source}\n\
                 (on that host: ip route get {destination}), and at the firewalls of both hosts.\n"
            );
        }
    };

    if way.is_this_host {
        return format!(
            "Nothing on the way is against it, and {host} is this host. If it fails all the same,\n\
             its programs may listen on, or bind, another address: ss -tunap shows them.\n"
        );
    }
    format!(
        "Nothing on the way is against it. If it fails all the same, look at {host}: its route to\n\
         the other end must lead to its gateway (on that host: ip route get {other}), and its own\n\
         firewall must let it through.\n"
    )
}

#[cfg(test)]
mod tests;
