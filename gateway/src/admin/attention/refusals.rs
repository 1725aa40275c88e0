//! The findings that claims are refused: a peer's here, ours at a peer, an attached node's. A
//! refusal that follows from another finding is none beside it: the cause is named once.

use std::collections::BTreeSet;

use ringway_core::{Drift, RefuseReason};
use ringway_intent::Remedy;

use super::{AttentionReport, Kind, Report, TunnelReport, item, more};

/// The refused claims of a tunnel; `conflicted` are the prefixes that have no route for a conflict.
pub(super) fn of_tunnel(
    tunnel: &TunnelReport,
    conflicted: &BTreeSet<&str>,
    report: &Report,
) -> Vec<AttentionReport> {
    let peer = &tunnel.peer;
    let ours = &report.gateway;
    let our_org = ours.split_once('.').map_or("", |(_, org)| org);

    let theirs = tunnel.refused.iter();
    let mut theirs = theirs.filter(|(prefix, reason)| {
        !conflicted.contains(prefix.as_str())
            && !nodes_differ(report, peer, reason)
            && !is_outdated(tunnel, &tunnel.org, Drift::WeAreOlder, reason)
    });
    let here = theirs.next().map(|(prefix, reason)| {
        let more = more(1 + theirs.count());
        let what = format!("we refuse {prefix}{more} of {peer}: {reason}");
        item(Kind::PrefixRefused, peer, &what, "")
    });

    let own = tunnel.refused_by_peer.iter();
    let mut own = own.filter(|(_, reason)| {
        !nodes_differ(report, peer, reason)
            && !is_outdated(tunnel, our_org, Drift::PeerIsOlder, reason)
    });
    let there = own.next().map(|(prefix, reason)| {
        let more = more(1 + own.count());
        let why = why_refused(reason, ours);
        let what = format!("{peer} refuses our {prefix}{more}: {why}");
        item(
            Kind::OurPrefixRefused,
            peer,
            &what,
            at_the_gateway(ours, peer),
        )
    });
    here.into_iter().chain(there).collect()
}

/// True if a claim is refused for `reason` because `peer` is a sibling with other attached nodes:
/// each refuses what the other announces for a node that only the other one has.
fn nodes_differ(report: &Report, peer: &str, reason: &str) -> bool {
    let mut siblings = report.site.siblings.iter();
    let sibling = siblings.find(|sibling| sibling.gateway == peer);
    let theirs = sibling.and_then(|sibling| sibling.nodes.as_ref());

    reason == RefuseReason::LocalSite.to_string()
        && theirs.is_some_and(|theirs| report.site.nodes.as_ref() != Some(theirs))
}

/// True if a claim is refused for `reason` because the end that refuses it has an older record of
/// the claim's `org`.
fn is_outdated(tunnel: &TunnelReport, org: &str, older: Drift, reason: &str) -> bool {
    let mut differing = tunnel.record_drift.iter();

    reason == RefuseReason::NotAuthorized.to_string()
        && differing.any(|differing| differing.org == org && differing.kind == older.name())
}

/// What an attached node's operator does about refused prefixes; nothing for a gateway.
fn at_the_gateway(ours: &str, peer: &str) -> Remedy {
    match node_name(ours) {
        Some(node) => Remedy::from(format!(
            "at {peer}, ringway node show {node} prints the prefixes of its [[node]]: add this one \
             there, or take it out of node.toml"
        )),
        None => Remedy::None,
    }
}

/// The finding that an attached node claims what its `[[node]]` does not give it.
pub(super) fn of_node(node: &TunnelReport) -> Option<AttentionReport> {
    let (prefix, reason) = node.refused.first_key_value()?;
    let more = more(node.refused.len());
    let name = node_name(&node.peer)?;

    Some(item(
        Kind::PrefixRefused,
        &node.peer,
        &format!(
            "we refuse {prefix}{more} of node {name}: {}",
            why_refused(reason, &node.peer)
        ),
        Remedy::ringway(format!(
            "node show {name}   # add the prefix to its [[node]], or take it out of its node.toml"
        )),
    ))
}

/// Why a gateway refuses a prefix of `id`. For a node, its `[[node]]` at the gateway decides.
fn why_refused(reason: &str, id: &str) -> String {
    match node_name(id) {
        Some(node) if reason == RefuseReason::NotAuthorized.to_string() => {
            format!("[[node]] {node} in the gateway's gateway.toml does not list it")
        }
        _ => reason.to_owned(),
    }
}

/// `db1` of `node:db1.acme`; `None` for a gateway.
fn node_name(id: &str) -> Option<&str> {
    let (name, _) = id.strip_prefix("node:")?.split_once('.')?;
    Some(name)
}
