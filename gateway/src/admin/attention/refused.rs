//! [`Refused`]: a prefix that one end of a tunnel claims and the other end refuses, why, and what
//! to do about it. Mostly the two ends hold different records of the claiming organization.

use std::collections::BTreeSet;

use ringway_config::Prefix;
use ringway_core::{Drift, RefuseReason};
use ringway_intent::Remedy;

use super::{AttentionReport, Kind, Report, TunnelReport, item, more};
use crate::admin::report::{HeldRecordReport, RecordDriftReport};

/// A claim that is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    /// Status of the gateway, or attached node, that reports.
    pub(crate) report: &'a Report,
    /// The tunnel to the other end.
    pub(crate) tunnel: &'a TunnelReport,
    /// The prefix.
    pub(crate) prefix: &'a str,
    /// The reason that the refusing end gives.
    pub(crate) reason: &'a str,
    /// True if the other end refuses ours, false if we refuse its.
    pub(crate) is_ours: bool,
}

/// The findings about refused prefixes of a tunnel to a gateway; `conflicted` are the prefixes that
/// have no route for a conflict. A refusal that follows from another finding is none beside it.
pub(super) fn of_tunnel(
    tunnel: &TunnelReport,
    conflicted: &BTreeSet<&str>,
    report: &Report,
) -> Vec<AttentionReport> {
    let peer = &tunnel.peer;

    let theirs = tunnel.refused.iter();
    let theirs = theirs.map(|(prefix, reason)| Refused {
        report,
        tunnel,
        prefix,
        reason,
        is_ours: false,
    });
    let mut theirs = theirs.filter(|it| {
        !conflicted.contains(it.prefix) && !overlaps_at_node(report, it.prefix) && !it.follows()
    });
    let here = theirs.next().map(|refused| {
        let more = more(1 + theirs.count());
        let what = format!(
            "we refuse {}{more} of {peer}: {}",
            refused.prefix,
            refused.why()
        );
        item(Kind::PrefixRefused, peer, &what, refused.remedy())
    });

    let own = tunnel.refused_by_peer.iter();
    let own = own.map(|(prefix, reason)| Refused {
        report,
        tunnel,
        prefix,
        reason,
        is_ours: true,
    });
    let mut own = own.filter(|it| !it.follows());
    let there = own.next().map(|refused| {
        let more = more(1 + own.count());
        let what = format!(
            "{peer} refuses our {}{more}: {}",
            refused.prefix,
            refused.why()
        );
        item(Kind::OurPrefixRefused, peer, &what, refused.remedy())
    });
    here.into_iter().chain(there).collect()
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

impl Refused<'_> {
    /// True if it follows from a difference that is a finding of its own: siblings have other
    /// attached nodes, or the end that refuses has an older record of the claim's organization.
    fn follows(&self) -> bool {
        let older = if self.is_ours {
            Drift::PeerIsOlder
        } else {
            Drift::WeAreOlder
        };
        let difference = self.difference();

        self.nodes_differ() || difference.is_some_and(|it| it.kind == older.name())
    }

    /// True if the other end is a sibling with other attached nodes: each refuses what the other
    /// announces for a node that only the other one has.
    fn nodes_differ(&self) -> bool {
        let site = &self.report.site;
        let mut siblings = site.siblings.iter();
        let sibling = siblings.find(|sibling| sibling.gateway == self.tunnel.peer);
        let theirs = sibling.and_then(|sibling| sibling.nodes.as_ref());

        self.is_for(RefuseReason::LocalSite)
            && theirs.is_some_and(|theirs| site.nodes.as_ref() != Some(theirs))
    }

    /// The reason as a sentence; with it, how the records of the two ends differ.
    pub(crate) fn why(&self) -> String {
        match self.difference() {
            Some(difference) => format!("{}; {}", self.reason, fact(&self.tunnel.peer, difference)),
            None if self.is_ours => why_refused(self.reason, &self.report.gateway),
            None => self.reason.to_owned(),
        }
    }

    /// What to do about it, and who has to.
    pub(crate) fn remedy(&self) -> Remedy {
        if let Some(difference) = self.difference() {
            return align(difference, self.tunnel, self.report.org());
        }
        if is_node(self.report) {
            return self.at_a_node();
        }

        let (peer, org) = (&self.tunnel.peer, &self.tunnel.org);
        let prefix = self.prefix;
        if self.is_for(RefuseReason::NotAuthorized) && self.is_ours {
            Remedy::from(format!(
                "{org} must have our newest record: there, ringway member add, then ringway reload"
            ))
        } else if self.is_for(RefuseReason::NotAuthorized) {
            Remedy::from(format!(
                "the record of {org} must have it: its operator can hand the newest one out; here, \
                 ringway member add, then ringway reload"
            ))
        } else if self.is_for(RefuseReason::LocalSite) && self.is_sibling() {
            self.of_a_sibling()
        } else if self.is_for(RefuseReason::LocalSite) {
            Remedy::from(format!(
                "{prefix} is in use at both ends: our organization and {org} must agree which of \
                 them uses it"
            ))
        } else if self.is_for(RefuseReason::Conflicted) && self.is_ours {
            Remedy::from(format!("at {peer}, ringway check names what it overlaps"))
        } else if self.is_for(RefuseReason::Conflicted) {
            Remedy::ringway("check   # names what it overlaps")
        } else if self.is_for(RefuseReason::TooMany) {
            Remedy::from("the claiming organization must use fewer and wider prefixes")
        } else {
            Remedy::ringway(format!(
                "status --peer {peer}   # lists every refused prefix"
            ))
        }
    }

    /// What to do about a prefix of an attached node that only one gateway of the site lists.
    fn of_a_sibling(&self) -> Remedy {
        if self.is_ours {
            Remedy::ringway(
                "node list   # its [[node]] must be in the file of each gateway of the site",
            )
        } else {
            add_to_nodes(&self.tunnel.peer, self.prefix)
        }
    }

    /// What an attached node's operator does.
    fn at_a_node(&self) -> Remedy {
        match node_name(&self.report.gateway) {
            Some(node) if self.is_ours => Remedy::from(format!(
                "at {}, ringway node show {node} prints the prefixes of its [[node]]: add this one \
                 there, or take it out of node.toml",
                self.tunnel.peer
            )),
            _ => Remedy::ringway("check   # names what is left out of the gateways' offers"),
        }
    }

    fn is_for(&self, reason: RefuseReason) -> bool {
        self.reason == reason.to_string()
    }

    fn is_sibling(&self) -> bool {
        let mut siblings = self.report.site.siblings.iter();
        siblings.any(|sibling| sibling.gateway == self.tunnel.peer)
    }

    /// How the records of the claiming organization differ, if that is why.
    fn difference(&self) -> Option<&RecordDriftReport> {
        if !self.is_for(RefuseReason::NotAuthorized) {
            return None;
        }
        if self.is_ours {
            differing(self.tunnel, self.report.org())
        } else {
            differing(self.tunnel, &self.tunnel.org)
        }
    }
}

/// How the records that the two ends of `tunnel` hold of `org` differ.
pub(crate) fn differing<'t>(tunnel: &'t TunnelReport, org: &str) -> Option<&'t RecordDriftReport> {
    tunnel.record_drift.iter().find(|drift| drift.org == org)
}

/// The difference as a sentence.
pub(crate) fn fact(peer: &str, difference: &RecordDriftReport) -> String {
    let org = &difference.org;
    match (&difference.ours, &difference.theirs) {
        (Some(ours), Some(theirs)) if difference.kind == "equivocation" => format!(
            "{peer} and we hold different records of {org}, both {}",
            serial(if theirs.serial == 0 { theirs } else { ours })
        ),
        (Some(ours), Some(theirs)) => format!(
            "{peer} holds {org}'s record {}, we hold one {}",
            serial(theirs),
            serial(ours)
        ),
        (_, None) => format!("{peer} does not have {org} as a member"),
        (None, Some(_)) => format!("{peer} has {org} as a member, which is none here"),
    }
}

/// What makes both records equal, for a gateway of the organization `own`.
pub(crate) fn align(difference: &RecordDriftReport, tunnel: &TunnelReport, own: &str) -> Remedy {
    let org = &difference.org;
    let peer = &tunnel.peer;

    Remedy::from(match difference.kind.as_str() {
        // Only others' records are added; one's own is a file of the gateway.
        "peer-is-older" if *org == tunnel.org => format!(
            "{peer} holds an old copy of the record of its own organization: its operator must \
             put the newest in its place, and reload"
        ),
        "we-are-older" if org == own => format!(
            "this gateway holds an old copy of our own record: put the newest {org}.member.toml in \
             its place, then ringway reload"
        ),
        "peer-is-older" | "missing-there" => format!(
            "at {peer}: ringway member add {org}.member.toml with the newest record, then ringway \
             reload"
        ),
        "we-are-older" | "missing-here" => format!(
            "get the newest record of {org}; here, ringway member add {org}.member.toml, then \
             ringway reload"
        ),
        _ => format!("ask {org} which record is right; the other end must have the same one"),
    })
}

/// What to do about a prefix that only `sibling` lists as an attached node's.
pub(crate) fn add_to_nodes(sibling: &str, prefix: &str) -> Remedy {
    Remedy::from(format!(
        "at {sibling}, ringway node list shows whose it is; here: ringway node add NAME --prefix \
         {prefix}, then ringway reload"
    ))
}

fn serial(held: &HeldRecordReport) -> String {
    match held.serial {
        0 => "without a serial".to_owned(),
        serial => format!("with serial {serial}"),
    }
}

fn is_node(report: &Report) -> bool {
    node_name(&report.gateway).is_some()
}

/// True at an attached node for a claim of which a part has no route because it overlaps something.
fn overlaps_at_node(report: &Report, prefix: &str) -> bool {
    let Ok(claimed) = prefix.parse::<Prefix>() else {
        return false;
    };
    let mut conflicted = report.routes.iter().filter(|it| it.conflict_with.is_some());

    is_node(report)
        && conflicted.any(|route| {
            let prefix = route.prefix.parse::<Prefix>();
            prefix.is_ok_and(|prefix| prefix.overlaps(&claimed))
        })
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
