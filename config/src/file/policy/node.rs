//! Attached nodes in rules: `acme/node:db1`.
//!
//! Only the gateways that a node is attached to know it. There it is one of the site's hosts: rules
//! can name it where hosts of this site stand. Where others stand, as in `from` of a
//! `[[policy.allow]]`, it is refused with what to write: a packet of another site comes from a
//! gateway, and its source address is all that is checked.

use super::scope::Scope;
use crate::file::item::Item;
use crate::file::nearest::did_you_mean;
use crate::{NodeTarget, Target};

/// Between the organization and the node. No label has a colon.
pub(super) const NODE: &str = "/node:";

/// A node of this gateway, where hosts of this site stand.
pub(super) fn read(item: &Item<'_>, org: &str, name: &str, scope: &Scope<'_>) -> Option<Target> {
    if !scope.is_this_org(org) {
        return item.refuse(format!(
            "only the gateways of {org} know its attached nodes"
        ));
    }
    let Some(node) = scope.nodes.find(name) else {
        return refuse_unknown(item, name, scope);
    };

    let prefixes = node.prefixes.iter();
    Some(Target::Node(NodeTarget {
        org: org.parse().ok()?,
        node: node.name.clone(),
        prefixes: prefixes.map(|placed| placed.prefix).collect(),
    }))
}

/// A node where hosts of other sites stand.
pub(super) fn refuse_origin<T>(
    item: &Item<'_>,
    org: &str,
    name: &str,
    scope: &Scope<'_>,
) -> Option<T> {
    let text = item.text()?;
    item.refuse(if !scope.is_this_org(org) {
        format!(
            "only the gateways of {org} know its attached nodes; write the node's addresses, which \
             lie in a site of {org}, as from = \"10.77.5.9\""
        )
    } else if scope.nodes.find(name).is_some() {
        format!(
            "{text} is a host of this site, which needs no rule to reach the site's other hosts, \
             and reaches other nodes by [nodes] isolation = false alone; what it may open at other \
             members is said by from of [[policy.allow-egress]], what they may open there by to of \
             [[policy.allow]]"
        )
    } else {
        format!(
            "{text} is not listed here, and only the gateways that list an attached node know its \
             addresses; write them, as from = \"10.77.5.9\""
        )
    })
}

fn refuse_unknown<T>(item: &Item<'_>, name: &str, scope: &Scope<'_>) -> Option<T> {
    // Of a list with faults, this node may be one that is left out.
    if !scope.nodes.is_whole {
        return item.refuse(format!(
            "it is not known whether there is a node {name:?}, since a [[node]] has faults; \
             correct them first"
        ));
    }

    let nodes = scope.nodes.nodes.list.iter();
    let known = nodes.map(|node| node.name.as_str());
    let remedy = did_you_mean(name, known, || {
        "add it with ringway node add, or remove it from the rule".to_owned()
    });
    item.refuse(format!("there is no [[node]] {name:?} here; {remedy}"))
}
