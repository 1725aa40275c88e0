//! [`Requirement`]: which packets must pass at which hook of the kernel.

use std::collections::BTreeSet;

use ringway_config::{Asked, Opening};
use ringway_intent::HostPair;

use super::Traffic;
use super::chain::Hook;
use super::sample::{ACK, ICMP, ICMPV6, Interface, SYN, SYN_ACK, Sample, State, TCP, UDP};
use crate::watch::obstructions::Connection;

/// DNS.
pub(super) const DNS: u16 = 53;
/// A source port of clients: the first dynamic port (RFC 6335, section 6).
const CLIENT_PORT: u16 = 49152;

/// Sample packets of which at least one must pass a hook, and their description.
pub(super) struct Requirement {
    pub(super) hook: Hook,
    pub(super) what: String,
    pub(super) kind: Kind,
    /// Never empty. They differ only in the port or the interface.
    pub(super) samples: Vec<Sample>,
}

/// The kind of traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Between an interface of the site and the TUN device.
    Forwarded { site: String },
    /// Between hosts behind an interface of the site and our DNS server.
    Dns { site: String },
    /// From other gateways to our tunnel port.
    Tunnel { port: u16 },
    /// From this host to these ports of other gateways.
    Dialling { ports: BTreeSet<u16> },
    /// Between this host itself and the TUN device.
    ThisHost,
}

/// Everything that must pass, for each hook on its path.
pub(super) fn requirements(traffic: &Traffic) -> Vec<Requirement> {
    let inspection = &traffic.inspection;
    // Filters seldom distinguish members, so one prefix of each family is enough.
    let mut pairs = inspection.pairs.clone();
    pairs.sort_by_key(|pair| (pair.interface.clone(), pair.host.is_ipv4()));
    pairs.dedup_by_key(|pair| (pair.interface.clone(), pair.host.is_ipv4()));

    let mut requirements = Vec::new();
    for pair in &pairs {
        requirements.extend(forwarded(traffic, pair));
        requirements.extend(dns(traffic, pair));
    }
    requirements.extend(tunnels_in(traffic));
    requirements.extend(tunnels_out(traffic));
    requirements
}

/// Packets from the site to the member, and the answers. A site may offer only some services: there
/// is a sample for every probable port, and one that passes is enough.
fn forwarded(traffic: &Traffic, pair: &HostPair) -> Vec<Requirement> {
    let tun = traffic.interface(&traffic.tun);
    let site = traffic.interface(&pair.interface);
    let request = Sample {
        input: site.clone(),
        output: tun.clone(),
        is_local: false,
        is_v4: pair.host.is_ipv4(),
        source: Some(pair.host),
        destination: Some(pair.remote),
        protocol: TCP,
        source_port: None,
        port: None,
        flags: Some(SYN),
        mark: Some(0),
        state: State::New,
    };
    let answer = Sample {
        input: tun,
        output: site,
        source: Some(pair.remote),
        destination: Some(pair.host),
        flags: Some(ACK),
        state: State::Established,
        ..request.clone()
    };

    let ports = traffic.inspection.ports.iter();
    let to_ports = ports.map(|port| Sample {
        port: Some(*port),
        ..request.clone()
    });
    let mut requests: Vec<Sample> = to_ports.collect();
    // Without a probable port, the port of the sample is unknown.
    if requests.is_empty() {
        requests.push(request);
    }

    let kind = Kind::Forwarded {
        site: pair.interface.clone(),
    };
    let out = format!("from {} to {}", pair.interface, traffic.tun);
    let back = format!("from {} to {}", traffic.tun, pair.interface);
    let mut requirements = at_each(&FORWARD_HOOKS, &out, &kind, &requests);
    requirements.extend(at_each(&FORWARD_HOOKS, &back, &kind, &[answer]));
    requirements
}

/// The first packet of `connection`, and the answer to it. They pass the TUN device and the
/// interface `site`; without `site`, this host itself is one end of the connection.
pub(super) fn requirements_of(
    traffic: &Traffic,
    connection: &Connection,
    site: Option<&str>,
) -> Vec<Requirement> {
    let request = first_packet(traffic, connection, site);
    let answer = answer_to(&request, site.is_none() && !connection.is_inbound);
    let kind = match site {
        Some(site) => Kind::Forwarded {
            site: site.to_owned(),
        },
        None => Kind::ThisHost,
    };

    let mut requirements = Vec::new();
    for (sample, which) in [(request, ""), (answer, ", the answers")] {
        let hooks: &[Hook] = match (site, sample.is_local) {
            (Some(_), _) => &FORWARD_HOOKS,
            (None, true) => &INPUT_HOOKS,
            (None, false) => &OUTPUT_HOOKS,
        };
        let from = name_of(&sample.input);
        let to = name_of(&sample.output);
        let what = format!("from {from} to {to}{which}");
        requirements.extend(at_each(hooks, &what, &kind, &[sample]));
    }
    requirements
}

fn first_packet(traffic: &Traffic, connection: &Connection, site: Option<&str>) -> Sample {
    let Opening {
        source,
        destination,
        service,
    } = connection.opening;
    let tun = traffic.interface(&traffic.tun);
    let local = site.and_then(|site| traffic.interface(site));
    let (input, output) = if connection.is_inbound {
        (tun, local)
    } else {
        (local, tun)
    };

    let (protocol, port) = protocol_of(service, source.is_ipv4());
    Sample {
        input,
        output,
        is_local: site.is_none() && connection.is_inbound,
        is_v4: source.is_ipv4(),
        source: Some(source),
        destination: Some(destination),
        protocol,
        source_port: port.map(|_| CLIENT_PORT),
        port,
        flags: (protocol == TCP).then_some(SYN),
        mark: Some(0),
        state: State::New,
    }
}

fn answer_to(request: &Sample, is_local: bool) -> Sample {
    Sample {
        input: request.output.clone(),
        output: request.input.clone(),
        is_local,
        source: request.destination,
        destination: request.source,
        source_port: request.port,
        port: request.source_port,
        flags: request.flags.map(|_| SYN_ACK),
        state: State::Established,
        ..request.clone()
    }
}

/// The protocol number, and the destination port.
fn protocol_of(service: Asked, is_v4: bool) -> (u8, Option<u16>) {
    match service {
        Asked::Tcp(port) => (TCP, Some(port)),
        Asked::Udp(port) => (UDP, Some(port)),
        Asked::Echo if is_v4 => (ICMP, None),
        Asked::Echo => (ICMPV6, None),
        Asked::Protocol(number) => (number, None),
    }
}

fn name_of(interface: &Option<Interface>) -> &str {
    interface.as_ref().map_or("this host", |known| &known.name)
}

/// Queries from hosts of the site to our DNS server, and the answers.
pub(super) fn dns(traffic: &Traffic, pair: &HostPair) -> Vec<Requirement> {
    let site = traffic.interface(&pair.interface);
    let servers = traffic.inspection.dns.iter();
    let servers = servers.filter(|address| address.is_ipv4() == pair.host.is_ipv4());

    let mut requirements = Vec::new();
    for address in servers {
        let kind = Kind::Dns {
            site: pair.interface.clone(),
        };
        let query = Sample {
            input: site.clone(),
            output: None,
            is_local: true,
            is_v4: address.is_ipv4(),
            source: Some(pair.host),
            destination: Some(*address),
            protocol: UDP,
            source_port: None,
            port: Some(DNS),
            flags: None,
            mark: Some(0),
            state: State::New,
        };
        let answer = Sample {
            input: None,
            output: site.clone(),
            is_local: false,
            source: Some(*address),
            destination: Some(pair.host),
            source_port: Some(DNS),
            port: Some(CLIENT_PORT),
            state: State::Established,
            ..query.clone()
        };

        let queries = format!("from {} to our DNS server {address}", pair.interface);
        requirements.extend(at_each(&INPUT_HOOKS, &queries, &kind, &[query]));
        let answers = format!("from our DNS server {address} to {}", pair.interface);
        requirements.extend(at_each(&OUTPUT_HOOKS, &answers, &kind, &[answer]));
    }
    requirements
}

/// Packets of peers that dial this host, at any address, through each interface with a default
/// route. Without such an interface, the input interface is unknown.
fn tunnels_in(traffic: &Traffic) -> Vec<Requirement> {
    let Some(port) = traffic.inspection.tunnel_port else {
        return Vec::new();
    };

    let samples = default_interfaces(traffic).into_iter().map(|input| Sample {
        input,
        is_local: true,
        ..tunnel(port)
    });
    let samples: Vec<Sample> = samples.collect();
    let what = format!("to the tunnel port, UDP {port}");
    at_each(&INPUT_HOOKS, &what, &Kind::Tunnel { port }, &samples)
}

/// Packets of this host to other gateways, through each interface with a default route.
fn tunnels_out(traffic: &Traffic) -> Vec<Requirement> {
    let ports = &traffic.inspection.dialled_ports;
    let Some(first) = ports.first() else {
        return Vec::new();
    };

    let interfaces = default_interfaces(traffic);
    let samples = ports.iter().flat_map(|port| {
        interfaces.iter().map(|output| Sample {
            output: output.clone(),
            source_port: Some(traffic.inspection.listen_port),
            ..tunnel(*port)
        })
    });
    let samples: Vec<Sample> = samples.collect();
    let what = format!("to other gateways, UDP {first}");
    let ports = ports.clone();
    at_each(&OUTPUT_HOOKS, &what, &Kind::Dialling { ports }, &samples)
}

/// The interfaces with a default route; if there is none, one that is unknown.
fn default_interfaces(traffic: &Traffic) -> Vec<Option<Interface>> {
    let names = traffic.inspection.outside.iter();
    let interfaces: Vec<_> = names.map(|name| traffic.interface(name)).collect();

    if interfaces.is_empty() {
        vec![None]
    } else {
        interfaces
    }
}

/// The first outer packet between two gateways, with any addresses.
fn tunnel(port: u16) -> Sample {
    Sample {
        input: None,
        output: None,
        is_local: false,
        is_v4: true,
        source: None,
        destination: None,
        protocol: UDP,
        source_port: None,
        port: Some(port),
        flags: None,
        mark: None,
        state: State::New,
    }
}

/// The hooks that forwarded packets pass.
const FORWARD_HOOKS: [Hook; 5] = [
    Hook::Forward,
    Hook::Prerouting,
    Hook::Postrouting,
    Hook::Ingress,
    Hook::Egress,
];
/// The hooks that packets to this host pass.
const INPUT_HOOKS: [Hook; 3] = [Hook::Input, Hook::Prerouting, Hook::Ingress];
/// The hooks that packets from this host pass.
const OUTPUT_HOOKS: [Hook; 3] = [Hook::Output, Hook::Postrouting, Hook::Egress];

/// One requirement for each hook, with the same packets.
fn at_each(hooks: &[Hook], what: &str, kind: &Kind, samples: &[Sample]) -> Vec<Requirement> {
    let requirements = hooks.iter().map(|hook| Requirement {
        hook: *hook,
        what: what.to_owned(),
        kind: kind.clone(),
        samples: samples
            .iter()
            .map(|sample| as_seen_at(*hook, sample))
            .collect(),
    });
    requirements.collect()
}

/// The packet as a hook sees it. Hooks before the routing decision do not see the output interface;
/// the last hooks do not see the input interface.
fn as_seen_at(hook: Hook, sample: &Sample) -> Sample {
    let mut sample = sample.clone();
    match hook {
        Hook::Ingress | Hook::Prerouting => sample.output = None,
        Hook::Postrouting | Hook::Egress => sample.input = None,
        Hook::Input | Hook::Forward | Hook::Output => {}
    }
    sample
}
