//! The two ends that `ringway explain` is about: their names, their addresses, and the service.

use std::net::IpAddr;

use ringway_config::{Asked, Opening, Party, Prefix, Service};
use ringway_intent::Remedy;

use crate::admin::Report;
use crate::admin::report::ZoneReport;
use crate::cli::Failure;
use crate::cli::policy::{Files, Wanted};
use crate::explain::{Step, Verdict, route_to};
use crate::policy::ends::{Ends, Unresolved};
use crate::policy::judge::Judge;

/// The addresses of both ends in one family, and where they are.
pub(super) struct Found {
    pub(super) opening: Opening,
    pub(super) between: Between,
}

/// Where both ends are, as seen from this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// A host of another site opens something in this one.
    Arriving,
    /// A host of this site opens something in another one.
    Leaving,
    /// Both are in this site, or in sites that it serves.
    WithinSite,
    /// Neither is.
    OtherSites,
}

pub(super) fn party(files: &Files, text: &str) -> Result<Party, Failure> {
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
pub(super) fn service(files: &Files, port: Option<&str>) -> Result<Asked, Failure> {
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

/// The first addresses of each common family, IPv6 first: the C library's order (glibc).
pub(super) fn find(
    judge: &Judge<'_>,
    [from, to]: &[Party; 2],
    service: Asked,
) -> Result<Result<Vec<Found>, Unresolved>, Failure> {
    let (mut source, mut destination, between) = match located(judge, from, to) {
        Ok(located) => located,
        Err(error @ Unresolved::NoNode(..)) => return Err(Failure::Usage(error.to_string())),
        Err(error) => return Ok(Err(error)),
    };
    for (party, prefixes) in [(from, &mut source), (to, &mut destination)] {
        // A node that is a router means itself, not the network behind it.
        if matches!(party, Party::Node(..)) && prefixes.iter().any(Prefix::is_host) {
            prefixes.retain(Prefix::is_host);
        }
        if !prefixes.iter().all(Prefix::is_host) {
            return Err(Failure::Usage(format!(
                "{party} is more than one host; give a name or an address"
            )));
        }
    }

    let families = [false, true].into_iter().filter_map(|is_v4| {
        Some(Found {
            opening: Opening {
                source: first(&source, is_v4)?,
                destination: first(&destination, is_v4)?,
                service,
            },
            between,
        })
    });
    let families: Vec<Found> = families.collect();
    if families.is_empty() {
        return Err(Failure::Usage(format!(
            "{from} and {to} have no address family in common"
        )));
    }
    Ok(Ok(families))
}

/// The first address of one family.
fn first(hosts: &[Prefix], is_v4: bool) -> Option<IpAddr> {
    let mut addresses = hosts.iter().map(Prefix::address);

    addresses.find(|address| address.is_ipv4() == is_v4)
}

/// The addresses of both ends, and where they are.
fn located(
    judge: &Judge<'_>,
    from: &Party,
    to: &Party,
) -> Result<(Vec<Prefix>, Vec<Prefix>, Between), Unresolved> {
    let between = match judge.ends(from, to) {
        Ok(Ends {
            source,
            destination,
            arrives,
        }) => {
            let between = if arrives {
                Between::Arriving
            } else {
                Between::Leaving
            };
            return Ok((source, destination, between));
        }
        Err(Unresolved::WithinSite) => Between::WithinSite,
        Err(Unresolved::Elsewhere) => Between::OtherSites,
        Err(error) => return Err(error),
    };

    Ok((judge.addresses(from)?, judge.addresses(to)?, between))
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
            return overlap(*prefix, report).unwrap_or_else(|| of_nobody(unresolved));
        }
        _ => {
            return of_nobody(unresolved);
        }
    };
    let name = name.to_string();
    let mut zones = report.zones.iter();
    let zone = zones.find(|zone| name.ends_with(&format!(".{}", zone.apex)));
    let Some(zone) = zone else {
        return Step::new(
            Verdict::ZoneOfNobody,
            format!("{name} belongs to no member"),
        )
        .with(Remedy::ringway("member list"));
    };

    if let Some(left_out) = left_out(zone, &name) {
        let text = format!("{name} is not answered: {left_out}");
        let remedy = format!(
            "the operator of {}: correct it, or hand the newest record out",
            zone.apex
        );
        return Step::new(Verdict::NameLeftOut, text).with(remedy);
    }
    let (verdict, why) = why_no_name(zone);
    let remedy = Remedy::ringway(format!("dns query {name}"));
    Step::new(verdict, format!("{name}: {why}")).with(remedy)
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
fn overlap(host: Prefix, report: &Report) -> Option<Step> {
    let route = route_to(report, host.address())?;
    let with = route.conflict_with.as_ref()?;

    let host = host.address();
    let text = format!(
        "{host}: {} has no route, because it overlaps {with}",
        route.prefix
    );
    Some(Step::new(Verdict::PrefixConflicted, text).with(Remedy::ringway("status")))
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
mod tests {
    use super::*;
    use crate::admin::report::{FragmentReport, RouteReport};
    use crate::explain::State;

    const APEX: &str = "beta.consortium.example";

    fn zone() -> ZoneReport {
        ZoneReport {
            apex: APEX.into(),
            serial: Some(7),
            complete: true,
            ..ZoneReport::default()
        }
    }

    fn cause(zones: Vec<ZoneReport>, unresolved: &Unresolved) -> (Verdict, String) {
        let report = Report {
            zones,
            ..Report::default()
        };
        let step = unknown_end(unresolved, &report);

        assert_eq!(step.state, State::Bad);
        assert!(!step.remedy.is_empty(), "{step:?}");
        (step.verdict, step.text)
    }

    #[test]
    fn a_name_without_an_address_says_what_is_known_of_its_zone() {
        let name = Unresolved::NoAddress(format!("peer0.{APEX}").parse().unwrap());
        for (zone, verdict, expected) in [
            (
                zone(),
                Verdict::NameMissing,
                "has no such name with an address",
            ),
            (
                ZoneReport {
                    serial: None,
                    ..zone()
                },
                Verdict::ZoneNeverReceived,
                "were never received",
            ),
            (
                ZoneReport {
                    stale: true,
                    ..zone()
                },
                Verdict::ZoneTooOld,
                "are too old",
            ),
            (
                ZoneReport {
                    refused: Some("too many records".into()),
                    ..zone()
                },
                Verdict::ZoneRefused,
                "were refused: too many records",
            ),
            (
                ZoneReport {
                    complete: false,
                    ..zone()
                },
                Verdict::ZoneIncomplete,
                "not every gateway's names are here",
            ),
        ] {
            let (found, text) = cause(vec![zone], &name);
            assert_eq!(found, verdict);
            assert!(text.contains(expected), "{text}");
            assert!(text.starts_with("peer0.beta."), "{text}");
        }
        let left_out = format!("peer0.{APEX}. A of gw: an address outside the prefixes");
        let fragment = |left_out: &str| FragmentReport {
            gateway: "gw.beta".into(),
            state: "held".into(),
            records: Some(1),
            refused: None,
            left_out: vec![left_out.to_owned()],
        };
        let zone_with = |left_out: &str| ZoneReport {
            fragments: vec![fragment(left_out)],
            ..zone()
        };
        assert_eq!(
            cause(vec![zone_with(&left_out)], &name),
            (
                Verdict::NameLeftOut,
                format!("peer0.{APEX} is not answered: {left_out}")
            )
        );
        let (other, _) = cause(vec![zone_with(&format!("x{left_out}"))], &name);
        assert_eq!(other, Verdict::NameMissing);
        assert_eq!(
            cause(Vec::new(), &name),
            (
                Verdict::ZoneOfNobody,
                format!("peer0.{APEX} belongs to no member")
            )
        );
    }

    #[test]
    fn an_end_that_is_no_host_and_in_no_site_is_the_cause() {
        let label = Unresolved::Nobody("peer0".parse().unwrap());
        assert_eq!(
            cause(Vec::new(), &label),
            (
                Verdict::NameOfNobody,
                "peer0 is no member, and no name of our zone".to_owned()
            )
        );
        let prefix = Unresolved::NoPrefix("10.9.0.1/32".parse().unwrap());
        assert_eq!(
            cause(Vec::new(), &prefix),
            (
                Verdict::PrefixOfNobody,
                "10.9.0.1 is in no member's site".to_owned()
            )
        );
    }

    #[test]
    fn an_end_in_a_prefix_that_overlaps_names_the_overlap() {
        let report = Report {
            routes: vec![RouteReport {
                prefix: "10.2.0.0/24".into(),
                conflict_with: Some("10.2.0.0/24 of eth0".into()),
                ..RouteReport::default()
            }],
            ..Report::default()
        };
        let step = unknown_end(
            &Unresolved::NoPrefix("10.2.0.11/32".parse().unwrap()),
            &report,
        );
        assert_eq!(step.verdict, Verdict::PrefixConflicted);
        assert_eq!(
            step.text,
            "10.2.0.11: 10.2.0.0/24 has no route, because it overlaps 10.2.0.0/24 of eth0"
        );
    }

    #[test]
    fn a_name_that_is_known_says_where_it_comes_from() {
        let report = Report {
            zones: vec![zone()],
            ..Report::default()
        };
        let party = Party::Name(format!("peer0.{APEX}").parse().unwrap());
        let step = named(&party, "10.2.0.11".parse().unwrap(), &report).unwrap();
        assert_eq!(step.verdict, Verdict::NameFound);
        assert_eq!(
            step.text,
            format!("peer0.{APEX} is 10.2.0.11, by zone {APEX}, serial 7")
        );

        let address = Party::Prefix("10.2.0.11/32".parse().unwrap());
        assert_eq!(named(&address, "10.2.0.11".parse().unwrap(), &report), None);
    }
}
