//! [`Service`]s of a rule: `proto` and `ports`, or the names of services; and `[[policy.service]]`.

use std::collections::BTreeMap;

use super::ports::{self, join};
use super::proto::{self, Proto};
use crate::file::item::Item;
use crate::file::nearest::did_you_mean;
use crate::file::remedy;
use crate::file::table::Table;
use crate::keys::{Key, policy, service as keys};
use crate::{Place, PortRange, Service, ServiceName, fabric_services, limits};

/// The keys by which one kind of table says its services.
pub(super) struct ServiceKeys {
    pub(super) proto: &'static Key,
    pub(super) ports: &'static Key,
    pub(super) service: &'static Key,
}

/// The services that have names: those of Hyperledger Fabric and those of the file.
pub(super) struct Named {
    services: BTreeMap<ServiceName, Vec<Service>>,
}

impl Named {
    /// Reads every `[[policy.service]]`.
    pub(super) fn read(policy: &Table<'_>) -> Named {
        let mut named = Named {
            services: fabric_services(),
        };
        let mut places = BTreeMap::new();
        for block in policy.tables(&policy::SERVICE, limits::SERVICES, &keys::SCHEMA) {
            named.read_block(&block, &mut places);
        }

        named
    }

    fn read_block(&mut self, block: &Table<'_>, places: &mut BTreeMap<ServiceName, Place>) {
        let item = block.required(&keys::NAME);
        let name = item.and_then(|item| item.parse::<ServiceName>());
        let services = block
            .required(&keys::PROTO)
            .and_then(|proto| read_proto_and_ports(block, &proto, &keys::PORTS));

        let (Some(item), Some(name)) = (item, name) else {
            return;
        };
        if let Some(first) = places.get(&name) {
            item.fault(format!(
                "service {name} is already at {first}; give each service another name"
            ));
        } else if let Some(known) = self.services.get(&name) {
            let known = list(known);
            item.fault(format!(
                "service {name} is built in and means {known}; choose another name"
            ));
        } else {
            places.insert(name.clone(), item.place());
            // Known with faults too, so that the rules that name it add no fault of their own.
            self.services.insert(name, services.unwrap_or_default());
        }
    }

    pub(super) fn into_services(self) -> BTreeMap<ServiceName, Vec<Service>> {
        self.services
    }

    fn find(&self, item: &Item<'_>) -> Option<&[Service]> {
        let text = item.text()?;
        let known = text
            .parse::<ServiceName>()
            .ok()
            .and_then(|name| self.services.get(&name));
        if let Some(services) = known {
            return Some(services);
        }

        let names: Vec<&str> = self.services.keys().map(ServiceName::as_str).collect();
        let remedy = did_you_mean(text, names.iter().copied(), || {
            format!(
                "add a [[policy.service]], or write one of {}",
                names.join(", ")
            )
        });
        item.refuse(format!("there is no service {text:?}; {remedy}"))
    }
}

fn list(services: &[Service]) -> String {
    let texts: Vec<String> = services.iter().map(Service::to_string).collect();
    texts.join(", ")
}

/// The services of a rule, in order and each once. `None` only if faults were reported.
pub(super) fn read(rule: &Table<'_>, keys: &ServiceKeys, named: &Named) -> Option<Vec<Service>> {
    let proto = rule.optional(keys.proto);
    let ports = rule.optional(keys.ports);
    match (rule.optional(keys.service), proto) {
        (Some(service), _) if proto.is_some() || ports.is_some() => {
            read_named(&service, named);
            let other = if proto.is_some() { "proto" } else { "ports" };
            service.refuse(format!(
                "a service says protocol and ports by itself; remove service, or {other}"
            ))
        }
        (Some(service), _) => read_named(&service, named),
        (None, Some(proto)) => read_proto_and_ports(rule, &proto, keys.ports),
        (None, None) => {
            rule.fault(format!(
                "missing service, or proto and ports, in {}; {}",
                rule.header(),
                remedy::of_form(keys.service.form)
            ));
            None
        }
    }
}

fn read_named(item: &Item<'_>, named: &Named) -> Option<Vec<Service>> {
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        return item.refuse("no service");
    }

    let mut services = Vec::new();
    for item in &items {
        services.extend_from_slice(named.find(item).unwrap_or_default());
    }
    (!services.is_empty()).then(|| merge(services))
}

fn read_proto_and_ports(
    block: &Table<'_>,
    proto: &Item<'_>,
    ports_key: &Key,
) -> Option<Vec<Service>> {
    let items = proto.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        proto.fault("no protocol");
    }
    let protos: Vec<Proto> = items.iter().filter_map(proto::read).collect();

    let ports = match block.optional(ports_key) {
        Some(item) => read_ports(&item, &protos),
        None => Vec::new(),
    };
    let services: Vec<Service> = protos
        .into_iter()
        .map(|proto| proto.service(ports.clone()))
        .collect();
    (!services.is_empty()).then(|| merge(services))
}

fn read_ports(item: &Item<'_>, protos: &[Proto]) -> Vec<PortRange> {
    for proto in protos.iter().filter(|proto| !proto.has_ports()) {
        let name = match proto {
            Proto::Number(number) => format!("protocol {number}"),
            _ => "icmp".to_owned(),
        };
        item.fault(format!(
            "{name} has no ports; remove the ports, or write proto = \"tcp\""
        ));
    }

    ports::read(item)
}

/// The same services in order, with all ports of a protocol together.
fn merge(services: Vec<Service>) -> Vec<Service> {
    let mut tcp: Option<Vec<PortRange>> = None;
    let mut udp: Option<Vec<PortRange>> = None;
    let mut others = Vec::new();
    for service in services {
        match service {
            Service::Tcp(ports) => tcp = Some(add_ports(tcp, ports)),
            Service::Udp(ports) => udp = Some(add_ports(udp, ports)),
            other => others.push(other),
        }
    }

    let tcp = tcp.map(|ports| Service::Tcp(join(ports)));
    let udp = udp.map(|ports| Service::Udp(join(ports)));
    others.extend(tcp.into_iter().chain(udp));
    others.sort();
    others.dedup();
    others
}

/// No ports stand for every port.
fn add_ports(before: Option<Vec<PortRange>>, ports: Vec<PortRange>) -> Vec<PortRange> {
    match before {
        Some(before) if before.is_empty() || ports.is_empty() => Vec::new(),
        Some(mut before) => {
            before.extend(ports);
            before
        }
        None => ports,
    }
}
