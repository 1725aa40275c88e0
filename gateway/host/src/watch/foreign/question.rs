//! [`Question`]: which packets must pass at which hook of the kernel.

use std::collections::BTreeSet;

use ringway_config::{Asked, Opening};
use ringway_intent::Way;

use super::Traffic;
use super::packet::{Interface, Sample, State};
use super::read::Hook;
use crate::watch::crossing::Crossing;

/// Protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// DNS.
pub(super) const DNS: u16 = 53;
/// Source port of a client: the first dynamic port (RFC 6335, section 6).
const ANY_CLIENT: u16 = 49152;

/// Sample packets of which at least one must pass, and their description.
pub(super) struct Question {
    pub(super) hook: Hook,
    pub(super) what: String,
    pub(super) kind: Kind,
    /// They differ only in the port or the interface; never empty.
    pub(super) samples: Vec<Sample>,
}

/// The kind of traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Between an interface of the site and the device.
    Forwarded { site: String },
    /// Between hosts behind an interface of the site and our DNS server.
    Dns { site: String },
    /// From other gateways to our tunnel port.
    Tunnel { port: u16 },
    /// From this host to these ports of other gateways.
    Dialling { ports: BTreeSet<u16> },
    /// Between this host itself and the device.
    OfThisHost,
}

/// Everything that must pass, for each hook on its path.
pub(super) fn questions(traffic: &Traffic) -> Vec<Question> {
    let inquiry = &traffic.inquiry;
    // One prefix of each family stands for all.
    let mut ways = inquiry.ways.clone();
    ways.sort_by_key(|way| (way.interface.clone(), way.host.is_ipv4()));
    ways.dedup_by_key(|way| (way.interface.clone(), way.host.is_ipv4()));

    let mut questions = Vec::new();
    for way in &ways {
        questions.extend(forwarded(traffic, way));
        questions.extend(asked(traffic, way));
    }
    questions.extend(dialled(traffic));
    questions.extend(dials(traffic));
    questions
}

/// Packets from the site to the member, and the answers. A site may offer only some services, so
/// there is a sample for every probable port, and it is enough if one passes.
fn forwarded(traffic: &Traffic, way: &Way) -> Vec<Question> {
    let tun = traffic.interface(&traffic.tun);
    let site = traffic.interface(&way.interface);
    let there = Sample {
        enters: site.clone(),
        leaves: tun.clone(),
        is_local: false,
        is_v4: way.host.is_ipv4(),
        source: Some(way.host),
        destination: Some(way.remote),
        protocol: TCP,
        port: None,
        state: State::New,
    };
    let back = Sample {
        enters: tun,
        leaves: site,
        source: Some(way.remote),
        destination: Some(way.host),
        state: State::Established,
        ..there.clone()
    };

    let ports = traffic.inquiry.ports.iter();
    let to_ports = ports.map(|port| Sample {
        port: Some(*port),
        ..there.clone()
    });
    let mut samples: Vec<Sample> = to_ports.collect();
    // Without a probable port, one packet with an unknown port stands for all.
    if samples.is_empty() {
        samples.push(there);
    }

    let mut questions = Vec::new();
    for (from, to, samples) in [
        (&way.interface, &traffic.tun, samples),
        (&traffic.tun, &way.interface, vec![back]),
    ] {
        let kind = Kind::Forwarded {
            site: way.interface.clone(),
        };
        questions.extend(at_each(
            &THROUGH,
            &format!("from {from} to {to}"),
            &kind,
            &samples,
        ));
    }
    questions
}

/// The first packet of `crossing`, and the answer to it, between the device and the interface
/// `site`, or this host itself. Its port alone counts.
pub(super) fn questions_of(
    traffic: &Traffic,
    crossing: &Crossing,
    site: Option<&str>,
) -> Vec<Question> {
    let Opening {
        source,
        destination,
        service,
    } = crossing.opening;
    let tun = traffic.interface(&traffic.tun);
    let near = site.and_then(|site| traffic.interface(site));
    let is_own = site.is_none();
    let (protocol, port) = protocol_of(service, source.is_ipv4());
    let there = Sample {
        enters: if crossing.arrives {
            tun.clone()
        } else {
            near.clone()
        },
        leaves: if crossing.arrives {
            near.clone()
        } else {
            tun.clone()
        },
        is_local: is_own && crossing.arrives,
        is_v4: source.is_ipv4(),
        source: Some(source),
        destination: Some(destination),
        protocol,
        port,
        state: State::New,
    };
    let back = Sample {
        enters: there.leaves.clone(),
        leaves: there.enters.clone(),
        is_local: is_own && !crossing.arrives,
        source: Some(destination),
        destination: Some(source),
        port: None,
        state: State::Established,
        ..there.clone()
    };

    let kind = match site {
        Some(site) => Kind::Forwarded {
            site: site.to_owned(),
        },
        None => Kind::OfThisHost,
    };
    let mut questions = Vec::new();
    for (sample, which) in [(there, ""), (back, ", the answers")] {
        let hooks: &[Hook] = match (is_own, sample.is_local) {
            (false, _) => &THROUGH,
            (true, true) => &INTO,
            (true, false) => &OUT_OF,
        };
        let what = format!(
            "from {} to {}{which}",
            text(&sample.enters),
            text(&sample.leaves)
        );
        questions.extend(at_each(hooks, &what, &kind, &[sample]));
    }
    questions
}

/// The number of the protocol, and the port of the opened end.
fn protocol_of(service: Asked, is_v4: bool) -> (u8, Option<u16>) {
    match service {
        Asked::Tcp(port) => (TCP, Some(port)),
        Asked::Udp(port) => (UDP, Some(port)),
        Asked::Echo if is_v4 => (ICMP, None),
        Asked::Echo => (ICMPV6, None),
        Asked::Protocol(number) => (number, None),
    }
}

fn text(interface: &Option<Interface>) -> &str {
    interface.as_ref().map_or("this host", |known| &known.name)
}

/// Queries from hosts of the site to our DNS server, and the answers.
fn asked(traffic: &Traffic, way: &Way) -> Vec<Question> {
    let site = traffic.interface(&way.interface);
    let dns = traffic.inquiry.dns.iter();
    let servers = dns.filter(|address| address.is_ipv4() == way.host.is_ipv4());

    let mut questions = Vec::new();
    for address in servers {
        let kind = Kind::Dns {
            site: way.interface.clone(),
        };
        let question = Sample {
            enters: site.clone(),
            leaves: None,
            is_local: true,
            is_v4: address.is_ipv4(),
            source: Some(way.host),
            destination: Some(*address),
            protocol: UDP,
            port: Some(DNS),
            state: State::New,
        };
        let answer = Sample {
            enters: None,
            leaves: site.clone(),
            is_local: false,
            source: Some(*address),
            destination: Some(way.host),
            port: Some(ANY_CLIENT),
            state: State::Established,
            ..question.clone()
        };

        let asks = format!("from {} to our DNS server {address}", way.interface);
        questions.extend(at_each(&INTO, &asks, &kind, &[question]));
        let answers = format!("from our DNS server {address} to {}", way.interface);
        questions.extend(at_each(&OUT_OF, &answers, &kind, &[answer]));
    }
    questions
}

/// Packets of peers that dial any address of this host, by each interface with a default route; by
/// any interface if there is none.
fn dialled(traffic: &Traffic) -> Vec<Question> {
    let Some(port) = traffic.inquiry.tunnel_port else {
        return Vec::new();
    };

    let samples = outside(traffic).into_iter().map(|enters| Sample {
        enters,
        is_local: true,
        ..tunnel(port)
    });
    let samples: Vec<Sample> = samples.collect();
    let what = format!("to the tunnel port, UDP {port}");
    at_each(&INTO, &what, &Kind::Tunnel { port }, &samples)
}

/// Packets of this host to other gateways, by each interface with a default route.
fn dials(traffic: &Traffic) -> Vec<Question> {
    let ports = &traffic.inquiry.dialled_ports;
    let Some(first) = ports.first() else {
        return Vec::new();
    };

    let ways = outside(traffic);
    let samples = ports.iter().flat_map(|port| {
        ways.iter().map(|leaves| Sample {
            leaves: leaves.clone(),
            ..tunnel(*port)
        })
    });
    let samples: Vec<Sample> = samples.collect();
    let what = format!("to other gateways, UDP {first}");
    let ports = ports.clone();
    at_each(&OUT_OF, &what, &Kind::Dialling { ports }, &samples)
}

fn outside(traffic: &Traffic) -> Vec<Option<Interface>> {
    let names = traffic.inquiry.outside.iter();
    let ways: Vec<_> = names.map(|name| traffic.interface(name)).collect();

    if ways.is_empty() { vec![None] } else { ways }
}

/// The first outer packet between two gateways, with any addresses.
fn tunnel(port: u16) -> Sample {
    Sample {
        enters: None,
        leaves: None,
        is_local: false,
        is_v4: true,
        source: None,
        destination: None,
        protocol: UDP,
        port: Some(port),
        state: State::New,
    }
}

/// The hooks of forwarded packets, of packets to this host, and of packets from this host.
const THROUGH: [Hook; 5] = [
    Hook::Forward,
    Hook::Prerouting,
    Hook::Postrouting,
    Hook::Ingress,
    Hook::Egress,
];
const INTO: [Hook; 3] = [Hook::Input, Hook::Prerouting, Hook::Ingress];
const OUT_OF: [Hook; 3] = [Hook::Output, Hook::Postrouting, Hook::Egress];

/// The question for each hook on the path of the same packets.
fn at_each(hooks: &[Hook], what: &str, kind: &Kind, samples: &[Sample]) -> Vec<Question> {
    let questions = hooks.iter().map(|hook| Question {
        hook: *hook,
        what: what.to_owned(),
        kind: kind.clone(),
        samples: samples.iter().map(|sample| at(*hook, sample)).collect(),
    });
    questions.collect()
}

/// The packet as a hook sees it: before the routing decision the outgoing interface is unknown, and
/// after it the incoming one.
fn at(hook: Hook, sample: &Sample) -> Sample {
    let mut sample = sample.clone();
    match hook {
        Hook::Ingress | Hook::Prerouting => sample.leaves = None,
        Hook::Postrouting | Hook::Egress => sample.enters = None,
        Hook::Input | Hook::Forward | Hook::Output => {}
    }
    sample
}
