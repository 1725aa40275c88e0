//! `ringway node list` and `show`: the nodes in the file, with their state at the running gateway.

use std::process::ExitCode;

use ringway_config::{Node, NodeName};
use serde::Serialize;

use super::add::gateway;
use crate::admin::report::TunnelReport;
use crate::admin::{Report, socket};
use crate::cli::status::sections::bytes;
use crate::cli::table::Table;
use crate::cli::{Failure, Shown, answer, answer_json};

/// The nodes, as `--json` shows them.
#[derive(Debug, Serialize)]
struct NodesReport {
    nodes: Vec<NodeReport>,
}

/// One node.
#[derive(Debug, Serialize)]
struct NodeReport {
    name: String,
    /// `daemon` or `wireguard`.
    kind: &'static str,
    prefixes: Vec<String>,
    /// `up`, `down`, or `unknown` if no gateway answers.
    state: String,
    /// The gateway of the site that has a session with it, if this one has none.
    attached_to: Option<String>,
    /// Time of the last change of the state, RFC 3339.
    since: Option<String>,
    /// The node's current endpoint.
    address: Option<String>,
    /// When a WireGuard client was heard of last, RFC 3339.
    heard: Option<String>,
    /// Sent to it since the gateway started, on the wire.
    sent_bytes: Option<u64>,
    /// Received from it.
    received_bytes: Option<u64>,
    /// Prefixes that it claims and that are not its own, and why they are refused.
    refused: Vec<(String, String)>,
}

/// Runs `ringway node list`, or `show` for the node `only`.
pub(super) fn run(shown: &Shown, only: Option<&NodeName>) -> Result<ExitCode, Failure> {
    let path = &shown.config.path;
    let config = gateway(path)?;
    let nodes = config.nodes.list.iter();
    let nodes: Vec<&Node> = nodes
        .filter(|node| only.is_none_or(|only| node.name == *only))
        .collect();
    if let Some(only) = only
        && nodes.is_empty()
    {
        return Err(Failure::Usage(format!(
            "there is no node {only} in {}",
            path.display()
        )));
    }

    // Without a running gateway, the file alone is shown.
    let report = socket::ask(&config.socket).ok();
    let nodes: Vec<NodeReport> = nodes
        .iter()
        .map(|node| describe(node, &node.id(&config.own.org).to_string(), report.as_ref()))
        .collect();
    if shown.json {
        return answer_json(&NodesReport { nodes });
    }
    if nodes.is_empty() {
        return answer("No node is attached here; add one with ringway node add\n");
    }

    if only.is_some() {
        return answer(nodes.iter().map(shown_alone).collect::<String>());
    }

    let mut table = Table::new(["NODE", "KIND", "PREFIXES", "STATE", "SINCE", "ADDRESS"]);
    for node in nodes {
        table.row([
            node.name,
            node.kind.to_owned(),
            node.prefixes.join(", "),
            node.state,
            node.since.unwrap_or_default(),
            node.address.unwrap_or_default(),
        ]);
    }
    answer(table)
}

/// Everything about one node.
fn shown_alone(node: &NodeReport) -> String {
    let state = match &node.since {
        Some(since) => format!("{} since {since}", node.state),
        None => node.state.clone(),
    };
    let moved = node.sent_bytes.zip(node.received_bytes);
    let moved =
        moved.map(|(sent, received)| format!("{} sent, {} received", bytes(sent), bytes(received)));
    let refused = node.refused.iter();
    let refused = refused.map(|(prefix, why)| ("refused", Some(format!("{prefix}: {why}"))));

    let facts = [
        ("node", Some(format!("{} ({})", node.name, node.kind))),
        ("prefixes", Some(node.prefixes.join(", "))),
        ("state", Some(state)),
        ("gateway", node.attached_to.clone()),
        ("address", node.address.clone()),
        ("heard", node.heard.clone()),
        ("packets", moved),
    ];
    let facts = facts.into_iter().chain(refused);
    facts
        .filter_map(|(name, value)| Some(format!("{name:<10}{}\n", value?)))
        .collect()
}

fn describe(node: &Node, id: &str, report: Option<&Report>) -> NodeReport {
    let tunnel: Option<&TunnelReport> =
        report.and_then(|report| report.nodes.iter().find(|node| node.peer == id));
    let prefixes = node.prefixes.iter();

    NodeReport {
        name: node.name.to_string(),
        kind: match node.wireguard {
            Some(_) => "wireguard",
            None => "daemon",
        },
        prefixes: prefixes.map(|placed| placed.prefix.to_string()).collect(),
        state: tunnel.map_or_else(|| "unknown".to_owned(), |tunnel| tunnel.state.clone()),
        attached_to: tunnel.and_then(|tunnel| tunnel.attached_to.clone()),
        since: tunnel.map(|tunnel| tunnel.since.clone()),
        address: tunnel.and_then(|tunnel| tunnel.address.clone()),
        heard: tunnel.and_then(|tunnel| tunnel.heard.clone()),
        sent_bytes: tunnel.map(|tunnel| tunnel.tx_bytes),
        received_bytes: tunnel.map(|tunnel| tunnel.rx_bytes),
        refused: tunnel.map_or_else(Vec::new, |tunnel| {
            let refused = tunnel.refused.iter();
            refused
                .map(|(prefix, why)| (prefix.clone(), why.clone()))
                .collect()
        }),
    }
}
