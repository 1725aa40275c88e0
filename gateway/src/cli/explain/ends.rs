//! The two ends that `ringway explain` is about: their names, their addresses, and the service.

use std::net::IpAddr;

use ringway_config::{Asked, Opening, Party, Prefix, Service};
use ringway_intent::Remedy;

use crate::admin::Report;
use crate::admin::report::ZoneReport;
use crate::cli::Failure;
use crate::cli::policy::{Files, Wanted};
use crate::explain::Step;
use crate::policy::ends::{Ends, Unresolved};
use crate::policy::judge::Judge;

/// The addresses of both ends, and the direction.
pub(super) struct Found {
    pub(super) opening: Opening,
    pub(super) arrives: bool,
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

/// The first addresses of a common family.
pub(super) fn find(
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
pub(super) fn unknown_end(unresolved: &Unresolved, report: &Report) -> Step {
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
    Some(Step::good("name", text))
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn cause(zones: Vec<ZoneReport>, unresolved: &Unresolved) -> String {
        let report = Report {
            zones,
            ..Report::default()
        };
        let step = unknown_end(unresolved, &report);

        assert_eq!(step.state, State::Bad);
        assert!(!step.remedy.is_empty(), "{step:?}");
        format!("{}: {}", step.name, step.text)
    }

    #[test]
    fn a_name_without_an_address_says_what_is_known_of_its_zone() {
        let name = Unresolved::NoAddress(format!("peer0.{APEX}").parse().unwrap());
        for (zone, expected) in [
            (zone(), "has no such name with an address"),
            (
                ZoneReport {
                    serial: None,
                    ..zone()
                },
                "were never received",
            ),
            (
                ZoneReport {
                    stale: true,
                    ..zone()
                },
                "are too old",
            ),
            (
                ZoneReport {
                    refused: Some("too many records".into()),
                    ..zone()
                },
                "were refused: too many records",
            ),
            (
                ZoneReport {
                    complete: false,
                    ..zone()
                },
                "not every gateway's names are here",
            ),
        ] {
            let cause = cause(vec![zone], &name);
            assert!(cause.contains(expected), "{cause}");
            assert!(cause.starts_with("name: peer0.beta."), "{cause}");
        }
        assert_eq!(
            cause(Vec::new(), &name),
            format!("name: peer0.{APEX} belongs to no member")
        );
    }

    #[test]
    fn an_end_that_is_no_host_and_in_no_site_is_the_cause() {
        let label = Unresolved::Nobody("peer0".parse().unwrap());
        assert_eq!(
            cause(Vec::new(), &label),
            "name: peer0 is no member, and no name of our zone"
        );
        let prefix = Unresolved::NoPrefix("10.9.0.1/32".parse().unwrap());
        assert_eq!(
            cause(Vec::new(), &prefix),
            "prefix: 10.9.0.1 is in no member's site"
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
        assert_eq!(
            step.text,
            format!("peer0.{APEX} is 10.2.0.11, by zone {APEX}, serial 7")
        );

        let address = Party::Prefix("10.2.0.11/32".parse().unwrap());
        assert_eq!(named(&address, "10.2.0.11".parse().unwrap(), &report), None);
    }
}
