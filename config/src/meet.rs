//! [`meet`]: what both the configuration in force and the files allow. A reload that is refused
//! puts it in force: what takes rights away does not wait until every file is right.
//!
//! | of each organization | in the meet |
//! |---|---|
//! | revoked gateways and keys | those of either side |
//! | CA certificates, prefixes, gateways, consents to transit | those of both sides |
//! | a site via another one | if it is the same on both sides, else nobody serves it |
//! | attached nodes and their prefixes | those of both sides |
//! | the organization itself | unless the files lack it |
//!
//! What cannot be read takes nothing away: it is not known what it would say. Of a record that is
//! older than the one in force only the revocations count. This organization's own site and gateway
//! stay, for without them nothing runs. Everything else, such as endpoints, is as in force. Pure.

mod record;
mod rules;

use crate::changes::items;
use crate::survey::Survey;
use crate::{Config, Member, Nodes, Policy};

/// Changes that [`taken`] names of one organization. An operator needs to know what kind it was.
const MOST_NAMED: usize = 16;

/// What `current` allows and `files` do not speak against.
pub fn meet(current: &Config, files: &Survey) -> Config {
    let mut meet = current.clone();
    // A node has no rules of its own, and its record is not the file's.
    if current.attach.is_some() {
        for other in files.records_of(&current.own.org) {
            record::narrow_gateways(&mut meet.own, other, &current.id.name);
        }
        return meet;
    }

    meet.members.retain(|member| !files.lacks(&member.org));
    for member in &mut meet.members {
        let org = member.org.clone();
        for other in files.records_of(&org) {
            record::narrow(member, other, None);
        }
    }
    // Of our own record, this gateway and its site stay: the daemon runs as they say.
    for other in files.records_of(&current.own.org) {
        record::narrow(
            &mut meet.own,
            other,
            Some((&current.id.name, &current.site)),
        );
    }

    if let Some(policy) = &files.policy {
        meet.policy = rules::narrow(&meet, policy);
    }
    if let Some(nodes) = &files.nodes {
        narrow_nodes(&mut meet.nodes, nodes);
    }
    if let Some(crl) = &files.crl {
        meet.crl = meet.crl.meet(crl);
    }
    meet
}

/// Leaves the nodes of both, and their prefixes of both.
fn narrow_nodes(nodes: &mut Nodes, other: &Nodes) {
    nodes.reach_each_other &= other.reach_each_other;
    nodes.list.retain_mut(|node| {
        let Some(theirs) = other.list.iter().find(|theirs| theirs.name == node.name) else {
            return false;
        };
        // A replaced key of a WireGuard client is a node that is not there any more.
        if theirs.wireguard != node.wireguard {
            return false;
        }
        node.prefixes = record::common(&node.prefixes, &theirs.prefixes);
        !node.prefixes.is_empty()
    });
}

/// What both the policy of `config` and `other` allow.
pub fn narrow_policy(config: &Config, other: &Policy) -> Policy {
    rules::narrow(config, other)
}

/// What `meet` does not allow and `current` did, for an operator: one line for each organization.
pub fn taken(current: &Config, meet: &Config) -> Vec<String> {
    let mut lines = Vec::new();

    for before in current.records() {
        match meet.record(&before.org) {
            None => lines.push(format!("{} is no member any more", before.org)),
            Some(after) => lines.extend(taken_of(before, after)),
        }
    }
    if current.nodes != meet.nodes {
        lines.push("attached nodes are fewer, or have fewer prefixes".to_owned());
    }
    if current.policy != meet.policy {
        lines.push("the rules of the policy allow less".to_owned());
    }
    if current.crl != meet.crl {
        lines.push("more is expected of revocation lists".to_owned());
    }
    lines
}

fn taken_of(before: &Member, after: &Member) -> Option<String> {
    let named = |_: &crate::Root| "CA certificate".to_owned();
    let [before, mut items] = [before, after].map(|member| items(member, &named));
    let org = &after.org;

    // A revocation appears, everything else disappears.
    let gone = before.difference(&items).map(|item| format!("no {item}"));
    let gone: Vec<String> = gone.collect();
    items.retain(|item| !before.contains(item));
    let mut all: Vec<String> = items.into_iter().chain(gone).collect();
    if all.is_empty() {
        return None;
    }

    let more = all.len().saturating_sub(MOST_NAMED);
    all.truncate(MOST_NAMED);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    Some(format!("{org}: {}", all.join(", ")))
}
