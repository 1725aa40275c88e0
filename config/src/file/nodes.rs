//! `[[node]]` and `[nodes]`: the attached nodes that a gateway serves.

use std::collections::BTreeMap;

use super::consortium::Consortium;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::report::Report;
use super::table::Table;
use crate::keys::{gateway, node_block as keys, node_wireguard, nodes};
use crate::{Node, NodeName, Nodes, PlacedPrefix, Prefix, WireGuardKey, limits};

/// Prefixes that a fault offers.
const MOST_OFFERED: usize = 4;

/// A fault was reported.
struct Refused;

/// The nodes that a file lists.
pub(crate) struct Listed {
    pub(crate) nodes: Nodes,
    /// False if a fault was reported, so that some may be left out.
    pub(crate) is_whole: bool,
    by_name: BTreeMap<NodeName, usize>,
}

impl Listed {
    pub(crate) fn find(&self, name: &str) -> Option<&Node> {
        let place = self.by_name.get(&name.parse().ok()?)?;
        self.nodes.list.get(*place)
    }
}

/// Reads every block. One with faults is left out.
pub(crate) fn read(
    table: &Table<'_>,
    local: &LocalGateway,
    consortium: &Consortium,
    report: &Report,
) -> Listed {
    let served = consortium.served_by(local);
    read_inside(table, served.as_deref(), report)
}

/// As [`read`], and the nodes' prefixes lie inside those of `served`; `None`: it is not known what
/// is served. Faults go to `report`, that of the file.
pub(crate) fn read_inside(table: &Table<'_>, served: Option<&[Prefix]>, report: &Report) -> Listed {
    let before = report.len();
    let list = read_list(table, served);
    let settings = table.table(&gateway::NODES, &nodes::SCHEMA);
    let isolation = settings
        .and_then(|settings| settings.optional(&nodes::ISOLATION))
        .and_then(|item| item.boolean());

    let names = list.iter().map(|node| node.name.clone());
    Listed {
        by_name: names.zip(0..).collect(),
        nodes: Nodes {
            list,
            reach_each_other: isolation == Some(false),
        },
        is_whole: report.len() == before && !report.is_full(),
    }
}

fn read_list(table: &Table<'_>, served: Option<&[Prefix]>) -> Vec<Node> {
    let mut list: Vec<Node> = Vec::new();
    for block in table.tables(&gateway::NODE, limits::NODES, &keys::SCHEMA) {
        // Both keys are read before the first `?`, so that the faults of both are reported.
        let name = block
            .required(&keys::NAME)
            .and_then(|item| read_name(&item, &list));
        let items = block
            .required(&keys::PREFIXES)
            .map(|item| item.list(limits::NODE_PREFIXES))
            .unwrap_or_default();
        let mut prefixes: Vec<PlacedPrefix> = Vec::new();
        for item in &items {
            prefixes.extend(read_prefix(item, served, &list, &prefixes));
        }

        let wireguard = read_wireguard(&block, &list);

        let (Some(name), Ok(wireguard)) = (name, wireguard) else {
            continue;
        };
        if prefixes.is_empty() {
            if items.is_empty() {
                block.fault(no_prefix(served));
            }
            continue;
        }
        list.push(Node {
            name,
            prefixes,
            wireguard,
            place: block.place().clone(),
        });
    }

    list
}

/// `served` is what this gateway serves, if that is known.
fn no_prefix(served: Option<&[Prefix]>) -> String {
    let shown: Vec<String> = served
        .unwrap_or_default()
        .iter()
        .take(MOST_OFFERED)
        .map(Prefix::to_string)
        .collect();
    let inside = match shown.as_slice() {
        [] => "what this gateway serves".to_owned(),
        shown => shown.join(", "),
    };

    format!("a node has at least one prefix; write its own addresses, inside {inside}")
}

/// The key of a WireGuard client, if it is one; the error has been reported.
fn read_wireguard(block: &Table<'_>, known: &[Node]) -> Result<Option<WireGuardKey>, Refused> {
    let Some(item) = block.optional(&keys::WIREGUARD) else {
        return Ok(None);
    };
    let table = item.table(&node_wireguard::SCHEMA).ok_or(Refused)?;
    let item = table.required(&node_wireguard::PUBLIC_KEY).ok_or(Refused)?;
    let key: WireGuardKey = item.parse().ok_or(Refused)?;

    match known.iter().find(|node| node.wireguard == Some(key)) {
        Some(node) => {
            item.fault(format!(
                "this is the key of node {}, in {}; each node has one of its own",
                node.name, node.place
            ));
            Err(Refused)
        }
        None => Ok(Some(key)),
    }
}

fn read_name(item: &Item<'_>, known: &[Node]) -> Option<NodeName> {
    let name: NodeName = item.parse()?;
    match known.iter().find(|node| node.name == name) {
        Some(node) => item.refuse(format!("node {name} is listed before, in {}", node.place)),
        None => Some(name),
    }
}

fn read_prefix(
    item: &Item<'_>,
    served: Option<&[Prefix]>,
    nodes: &[Node],
    beside: &[PlacedPrefix],
) -> Option<PlacedPrefix> {
    let prefix: Prefix = item.parse()?;
    let is_served = served.is_none_or(|served| served.iter().any(|whole| whole.covers(&prefix)));
    if !is_served {
        return item.refuse(format!(
            "{prefix} lies in no prefix that this gateway serves, so that the members would send \
             nothing there; give the data centre a site of its own in our record, with ringway \
             site add NAME=PREFIX --via SITE"
        ));
    }

    for node in nodes {
        let mut theirs = node.prefixes.iter();
        if let Some(other) = theirs.find(|other| other.prefix.overlaps(&prefix)) {
            return item.refuse(format!(
                "{prefix} overlaps {} of node {} in {}; each node has addresses of its own",
                other.prefix, node.name, other.place
            ));
        }
    }
    if let Some(other) = beside.iter().find(|other| other.prefix.overlaps(&prefix)) {
        return item.refuse(format!(
            "{prefix} overlaps {} in {}; write the wider one alone",
            other.prefix, other.place
        ));
    }

    Some(PlacedPrefix {
        prefix,
        place: item.place(),
    })
}
