//! The two ends that `ringway explain` is about: their names, their addresses, and the service.

use std::net::IpAddr;

use ringway_config::{Asked, Opening, Party, Prefix, Service, ServiceName};

use crate::cli::Failure;
use crate::cli::policy::{Files, Wanted};
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
    let name = port.filter(|port| is_name(port));
    let service = name.map(|name| name.parse::<ServiceName>()).transpose();
    let wanted = Wanted {
        port: port.filter(|port| !is_name(port)).map(str::to_owned),
        proto: port.is_none().then(|| "icmp".to_owned()),
        service: service.map_err(|error| Failure::Usage(error.to_string()))?,
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
        _ => Err(Failure::Usage(match name {
            Some(name) => format!("{name} is more than one port; give one of them, as 7051"),
            None => "--port takes one port".to_owned(),
        })),
    }
}

/// True for the name of a service, such as fabric-peer; 53/udp is a port.
fn is_name(port: &str) -> bool {
    port.starts_with(|first: char| first.is_ascii_alphabetic()) && !port.contains('/')
}

/// The first addresses of each common family, IPv6 first: the C library's order (glibc). None if
/// they have no family in common.
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
    Ok(Ok(families.collect()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_from_a_port_by_its_name() {
        for (port, expected) in [
            ("fabric-peer", true),
            ("couchdb", true),
            ("7051", false),
            ("53/udp", false),
            ("7050-7054/tcp", false),
        ] {
            assert_eq!(is_name(port), expected, "{port}");
        }
    }
}
