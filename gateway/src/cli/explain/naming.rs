//! Where the names of the two ends come from, and why an end has no address here.

use std::net::IpAddr;

use ringway_config::{Opening, Party, Prefix};
use ringway_intent::Remedy;

use super::ends::Found;
use crate::admin::Report;
use crate::admin::attention::{align, differing, fact};
use crate::admin::report::ZoneReport;
use crate::cli::Failure;
use crate::explain::{Step, Verdict, announced_by, route_to};
use crate::policy::ends::Unresolved;

/// The step that says why two ends have no address family in common: a name's address of the other
/// family is left out. If none is, the question has no answer.
pub(super) fn no_family(parties: &[Party; 2], report: &Report) -> Result<Step, Failure> {
    let names = parties.iter().filter_map(|party| match party {
        Party::Name(name) => Some(name.to_string()),
        _ => None,
    });
    let mut left_out = names.filter_map(|name| name_left_out(&name, report));

    left_out.next().ok_or_else(|| {
        let [from, to] = parties;
        Failure::Usage(format!("{from} and {to} have no address family in common"))
    })
}

/// The step that says why a name has no address here.
pub(super) fn unknown_end(unresolved: &Unresolved, report: &Report) -> Step {
    let name = match unresolved {
        Unresolved::NoAddress(name) => name,
        Unresolved::Nobody(label) => {
            let remedy = format!("give the whole name, such as {label}.<org>.<domain>");
            return Step::new(Verdict::NameOfNobody, unresolved.to_string()).with(remedy);
        }
        Unresolved::NoPrefix(prefix) => {
            let known = unused(*prefix, report).or_else(|| announced_by(report, *prefix));
            return known.unwrap_or_else(|| of_nobody(unresolved));
        }
        _ => {
            return of_nobody(unresolved);
        }
    };
    let name = name.to_string();
    if let Some(step) = name_left_out(&name, report) {
        return step;
    }
    let Some(zone) = zone_of(&name, report) else {
        return Step::new(
            Verdict::ZoneOfNobody,
            format!("{name} belongs to no member"),
        )
        .with(Remedy::ringway("member list"));
    };

    let (verdict, why) = why_no_name(zone);
    let remedy = Remedy::ringway(format!("dns query {name}"));
    Step::new(verdict, format!("{name}: {why}")).with(remedy)
}

fn zone_of<'r>(name: &str, report: &'r Report) -> Option<&'r ZoneReport> {
    let mut zones = report.zones.iter();

    zones.find(|zone| name.ends_with(&format!(".{}", zone.apex)))
}

/// The step about a name of which an address is left out; none if all are answered.
fn name_left_out(name: &str, report: &Report) -> Option<Step> {
    let zone = zone_of(name, report)?;
    let left_out = left_out(zone, name)?;

    let text = format!("{name} is not answered: {left_out}");
    let step = Step::new(Verdict::NameLeftOut, text);
    let fragments = zone.fragments.iter();
    let gateways: Vec<&str> = fragments.map(|it| it.gateway.as_str()).collect();
    let mut owners = report.tunnels.iter();
    let owner = owners.find(|tunnel| gateways.contains(&tunnel.peer.as_str()));

    // Mostly our copy of the owner's record lacks the prefix.
    let difference = owner.and_then(|owner| Some((owner, differing(owner, &owner.org)?)));
    Some(match difference {
        Some((owner, difference)) => {
            let text = format!("{}; {}", step.text, fact(&owner.peer, difference));
            Step { text, ..step }.with(align(difference, owner, report.org()))
        }
        None => step.with(format!(
            "the operator of {}: correct it, or hand the newest record out",
            zone.apex
        )),
    })
}

/// What of `name` is left out of the answers, and why.
fn left_out<'z>(zone: &'z ZoneReport, name: &str) -> Option<&'z str> {
    let mut left_out = zone.fragments.iter().flat_map(|it| &it.left_out);

    // Each begins with a name.
    let found = left_out.find(|text| {
        let owner = text.split(' ').next().unwrap_or_default();
        owner.trim_end_matches('.').eq_ignore_ascii_case(name)
    });
    found.map(String::as_str)
}

fn of_nobody(unresolved: &Unresolved) -> Step {
    Step::new(Verdict::PrefixOfNobody, unresolved.to_string()).with(Remedy::ringway("member list"))
}

/// What keeps the member's prefix that holds `host` out of use.
fn unused(host: Prefix, report: &Report) -> Option<Step> {
    let host = host.address();
    let route = route_to(report, host)?;
    let prefix = &route.prefix;

    if let Some(with) = &route.conflict_with {
        let text = format!("{host}: {prefix} has no route, because it overlaps {with}");
        return Some(Step::new(Verdict::PrefixConflicted, text).with(Remedy::ringway("status")));
    }
    let place = format!("{prefix} of {}/{}", route.org, route.site);
    if let Some(reason) = &route.refused {
        let text = format!("{host}: {place} has no route: {reason}");
        return Some(Step::new(Verdict::PrefixRefused, text).with(Remedy::ringway("status")));
    }
    // An attached node reads its files at each offer.
    if route.org.is_empty() {
        return None;
    }

    let text = format!(
        "{host} is in no member's site by the files; the running gateway, which has not read them, \
         has {place}"
    );
    Some(Step::new(Verdict::PrefixUnread, text).with(Remedy::ringway("reload")))
}

fn why_no_name(zone: &ZoneReport) -> (Verdict, String) {
    let apex = &zone.apex;

    match zone {
        ZoneReport { serial: None, .. } => (
            Verdict::ZoneNeverReceived,
            format!("the names of {apex} were never received: no tunnel has been up"),
        ),
        ZoneReport { stale: true, .. } => (
            Verdict::ZoneTooOld,
            format!("the names of {apex} are too old: its gateways have been silent for too long"),
        ),
        ZoneReport {
            refused: Some(reason),
            ..
        } => (
            Verdict::ZoneRefused,
            format!("there is none; the last names of {apex} were refused: {reason}"),
        ),
        ZoneReport {
            complete: false, ..
        } => (
            Verdict::ZoneIncomplete,
            format!("there is none in {apex}, of which not every gateway's names are here"),
        ),
        _ => (
            Verdict::NameMissing,
            format!("{apex} has no such name with an address"),
        ),
    }
}

/// Where the names of the ends come from.
pub(super) fn names(parties: &[Party; 2], found: &Found, report: &Report) -> Vec<Step> {
    let Opening {
        source,
        destination,
        ..
    } = found.opening;

    let ends = parties.iter().zip([source, destination]);
    ends.filter_map(|(party, address)| named(party, address, report))
        .collect()
}

fn named(party: &Party, address: IpAddr, report: &Report) -> Option<Step> {
    let name = match party {
        Party::Name(name) => name.to_string(),
        Party::Org(label) => label.to_string(),
        Party::Node(..) => {
            let text = format!("{party} is {address}, by its [[node]]");
            return Some(Step::new(Verdict::NameFound, text));
        }
        _ => return None,
    };
    let zone = report.zones.iter().find(|zone| match party {
        Party::Org(_) => zone.origin == "own",
        _ => name.ends_with(&format!(".{}", zone.apex)),
    })?;

    let mut text = format!("{name} is {address}, by zone {}", zone.apex);
    if let [only] = zone.fragments.as_slice() {
        text.push_str(&format!(" of {}", only.gateway));
    }
    if let Some(serial) = zone.serial {
        text.push_str(&format!(", serial {serial}"));
    }
    Some(Step::new(Verdict::NameFound, text))
}

#[cfg(test)]
mod tests;
