//! Converts `node.toml`, with our record, to the [`Config`] of an attached node.
//!
//! The daemon of a node is that of a gateway. The mesh that it works with has one organization of
//! two sites: the node's, and that of the gateways which it is attached to ([`crate::attached`]).

mod ranges;
mod serving;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::gateway::{
    read_identity, read_lanes, read_listen, read_record, read_reserved, read_routes, read_socket,
    read_socket_group, read_state_dir, read_tun_name,
};
use super::home::Home;
use super::item::Placed;
use super::local_gateway::LocalGateway;
use super::report::Report;
use super::source::Source;
use super::table::{Table, Versions};
use super::{crl, http, read_member, tunnel};
use crate::attached::{Attached, allow_everything};
use crate::keys::{self, Key, node as node_keys};
use crate::offers::{self, Offers};
use crate::{
    Attach, Config, Dns, GatewayId, GatewayName, Ha, Host, Member, NodeName, NodeResolver, Nodes,
    Place, PlacedPrefix, Prefix, SiteId, defaults,
};
use serving::{Serving, read_serving};

/// The versions of the format.
const VERSIONS: &Versions = &[(1, &node_keys::SCHEMA)];

/// True for the file of an attached node, wrong values included: there `node` is a name, while the
/// file of a gateway has tables of that name, and the name of the gateway.
pub(super) fn is_node(document: &DeTable<'_>) -> bool {
    let value = |key: &Key| document.get(key.name).map(|value| value.get_ref());
    if value(&keys::gateway::GATEWAY).is_some_and(DeValue::is_str) {
        return value(&node_keys::NODE).is_some_and(DeValue::is_str);
    }

    match value(&node_keys::NODE) {
        Some(node) => !node.is_array(),
        None => [
            node_keys::ADDRESSES,
            node_keys::PREFIXES,
            node_keys::ACCEPT,
            node_keys::GATEWAY,
        ]
        .iter()
        .any(|key| value(key).is_some()),
    }
}

/// Where its admin socket is. `None` only if faults were reported.
pub(super) fn read_socket_path(
    source: &Source<'_>,
    document: &DeTable<'_>,
    path: &Path,
) -> Option<PathBuf> {
    let (table, _) = Table::document(source, document, VERSIONS, &node_keys::VERSION)?;
    let dir = path.parent().unwrap_or(Path::new(""));

    read_socket(&table, dir, &Home::of(path, &read_local(&table)))
}

/// Reads `node.toml` and what it names. `None` only if faults were reported.
pub(super) fn read(source: &Source<'_>, document: &DeTable<'_>, path: &Path) -> Option<Config> {
    let report = source.report;
    let (table, _) = Table::document(source, document, VERSIONS, &node_keys::VERSION)?;
    let dir = path.parent().unwrap_or(Path::new(""));

    // Every part is read before the first `?`, so that the faults of all parts are reported.
    let local = read_local(&table);
    let files = table
        .required(&node_keys::IDENTITY)
        .and_then(|item| item.table(&keys::identity::SCHEMA));
    let record = files.as_ref().and_then(|files| read_record(files, dir));
    let identity = files.as_ref().and_then(|files| read_identity(files, dir));
    let home = Home::of(path, &local);
    let state_dir = read_state_dir(&table, dir, &home);
    let socket = read_socket(&table, dir, &home);
    let socket_group = read_socket_group(&table);
    let device = table.table(&keys::gateway::TUN, &keys::tun::SCHEMA);
    let places = places(&table, device.as_ref());
    let tun = read_tun_name(device.as_ref());
    let lanes = read_lanes(device.as_ref());
    let routes = read_routes(&table);
    let ranges = Ranges::read(&table);
    let tunnel = tunnel::read(&table);
    let crl = crl::read(&table);
    let http = http::read(&table, dir);
    let member = record.and_then(|record| read_member(&record, report));
    let serving = member
        .as_ref()
        .and_then(|member| read_serving(&table, &local, member));
    let listen = table
        .optional(&node_keys::LISTEN)
        .map(|_| read_listen(&table));

    let state_dir = state_dir?;
    let policy = allow_everything(&ranges.prefixes, path);
    let reserved = ranges.reserved.clone();
    let node = table.optional(&node_keys::NODE)?.parse()?;
    let (attach, own) = ranges.attach(node, serving?, member?, &state_dir, report);
    let listen = listen.unwrap_or_else(|| Some(default_listen(&own)));

    Some(Config {
        path: path.to_owned(),
        id: GatewayId {
            org: local.org?.value,
            name: local.name?.value,
        },
        site: local.site?.value,
        listen: listen?,
        identity: identity?,
        own,
        members: Vec::new(),
        // A node knows no other organization.
        members_dir: PathBuf::new(),
        state_dir,
        socket: socket?,
        socket_group,
        is_state_beside: false,
        pools: Vec::new(),
        tun: tun?,
        lanes: lanes?,
        routes,
        policy,
        attach: Some(attach),
        nodes: Nodes::default(),
        reserved,
        announce: Vec::new(),
        dns: Dns::default(),
        tunnel,
        crl,
        ha: Ha::default(),
        http,
        wireguard: None,
        places,
        notes: report.notes(),
        withheld: BTreeMap::new(),
    })
}

/// What is only a node's: its address ranges, and its resolver.
struct Ranges {
    addresses: Vec<IpAddr>,
    prefixes: Vec<PlacedPrefix>,
    accept: Vec<Prefix>,
    reserved: Vec<PlacedPrefix>,
    resolver: NodeResolver,
}

impl Ranges {
    fn read(table: &Table<'_>) -> Ranges {
        let addresses = ranges::read_addresses(table);

        Ranges {
            prefixes: ranges::read_prefixes(table, &addresses),
            accept: ranges::read_accept(table),
            reserved: read_reserved(table),
            resolver: read_resolver(table).unwrap_or_default(),
            addresses,
        }
    }

    /// What is only a node's, and our record as its mesh sees it.
    fn attach(
        self,
        node: NodeName,
        serving: Serving,
        member: Member,
        state_dir: &Path,
        report: &Report,
    ) -> (Attach, Member) {
        ranges::note_outside(&self.prefixes, &serving.site, &member, report);

        let mut attached = Attached {
            attach: Attach {
                node,
                site: serving.site,
                sites: member.sites.clone(),
                addresses: self.addresses,
                accept: self.accept,
                left_out: Vec::new(),
                resolver: self.resolver,
            },
            gateways: serving.gateways,
            prefixes: self.prefixes,
            reserved: &self.reserved,
            offers: &read_offers(state_dir, report),
            offers_place: Place::whole(&offers::path(state_dir)),
        };
        attached.attach.left_out = attached.left_out();
        let record = attached.record(member);

        (attached.attach, record)
    }
}

/// Organization, name and site of the node; `None` for what the file lacks or has wrong.
fn read_local(table: &Table<'_>) -> LocalGateway {
    let node: Option<Placed<NodeName>> = table
        .required(&node_keys::NODE)
        .and_then(|item| item.placed());
    let name = node.as_ref().map(|node| Placed {
        value: GatewayName::of_node(&node.value),
        place: node.place.clone(),
    });

    LocalGateway {
        org: table
            .required(&node_keys::ORG)
            .and_then(|item| item.placed()),
        name,
        site: node.map(|node| Placed {
            value: SiteId::of_node(&node.value),
            place: node.place,
        }),
    }
}

/// Where the file says what cannot change while a daemon runs.
fn places(table: &Table<'_>, device: Option<&Table<'_>>) -> BTreeMap<String, Place> {
    let items = [
        (Some(table), node_keys::ORG, keys::gateway::ORG),
        (Some(table), node_keys::NODE, keys::gateway::GATEWAY),
        (Some(table), node_keys::LISTEN, keys::gateway::LISTEN),
        (Some(table), node_keys::STATE_DIR, keys::gateway::STATE_DIR),
        (Some(table), node_keys::SOCKET, keys::gateway::SOCKET),
        (
            Some(table),
            node_keys::SOCKET_GROUP,
            keys::gateway::SOCKET_GROUP,
        ),
        (Some(table), node_keys::IDENTITY, keys::gateway::IDENTITY),
        (Some(table), node_keys::ROUTES, keys::gateway::ROUTES),
        (device, keys::tun::NAME, keys::tun::NAME),
        (device, keys::tun::LANES, keys::tun::LANES),
    ];

    items
        .into_iter()
        .filter_map(|(table, key, name)| {
            let place = table?.optional(&key)?.place();
            Some((name.to_string(), place))
        })
        .collect()
}

/// `None` for a value with faults, and without any.
fn read_resolver(table: &Table<'_>) -> Option<NodeResolver> {
    let table = table.table(&node_keys::DNS, &keys::node_dns::SCHEMA)?;
    let item = table.required(&keys::node_dns::RESOLVER)?;
    match item.text()? {
        "none" => Some(NodeResolver::None),
        "systemd-resolved" => Some(NodeResolver::SystemdResolved),
        // What is mounted over it would make a relative one another file.
        text if text.starts_with('/') && !text.contains('\0') => {
            Some(NodeResolver::File(text.into()))
        }
        text => item.refuse(format!("{text:?} is no resolver that is known here")),
    }
}

/// What was offered before. What cannot be read is offered again.
fn read_offers(state_dir: &Path, report: &Report) -> Offers {
    offers::load(state_dir).unwrap_or_else(|error| {
        report.note(&Place::whole(&offers::path(state_dir)), error.to_string());
        Offers::new()
    })
}

/// The port of a gateway, of the family of the endpoints.
fn default_listen(own: &Member) -> SocketAddr {
    let mut endpoints = own.gateways.iter().flat_map(|gateway| &gateway.endpoints);
    let is_v6 = endpoints.any(|endpoint| matches!(endpoint.host, Host::Address(IpAddr::V6(_))));

    if is_v6 {
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), defaults::PORT)
    } else {
        defaults::LISTEN
    }
}
