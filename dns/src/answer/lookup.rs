//! The algorithm of RFC 1034, section 4.3.2, with what later RFCs made of it: wildcards (4592), DNAME
//! (6672), negative answers (2308), the code of the last name in a chain (6604), minimal ANY (8482),
//! glue (9471).
//!
//! A chain of aliases is followed through every zone of the consortium, one step per name:
//! ```text
//!            ┌──────── alias ────────┐
//! name ─► zone ─► found / wildcard / renamed ─► data, or NODATA + SOA
//!          │  └─► delegated ─► referral + glue
//!          │  └─► missing ─► NXDOMAIN + SOA
//!          ├─► an address: the pointers of its prefix's owner ([`super::reverse`])
//!          ├─► never received, or too old: SERVFAIL
//!          └─► nobody's: REFUSED; at the end of a chain, the chain alone; or what others say ([`super::forward`])
//! ```

use super::rcode;
use super::reply::{Data, Reply, Rr, ede};
use crate::name::{Labels, Name};
use crate::rdata::{self, kind};
use crate::rrset::RRset;
use crate::tree::{Found, Node};
use crate::zone::Zone;
use crate::zones::{Authority, ZoneSet};

/// Names in a chain of aliases at most; the chain so far is the answer then.
const MAX_CHAIN: usize = 16;
/// Hosts whose addresses are looked up for the additional section at most.
const MAX_HOSTS: usize = 16;

/// The reply to a question of class IN.
pub(super) fn lookup<'z>(zones: &'z ZoneSet, qname: &Name, qtype: u16) -> Reply<'z> {
    follow(
        zones,
        *qname,
        qtype,
        Reply {
            aa: true,
            ..Reply::default()
        },
    )
}

/// Goes on with `name` where the chain in `reply` has led.
pub(super) fn follow<'z>(
    zones: &'z ZoneSet,
    mut name: Name,
    qtype: u16,
    mut reply: Reply<'z>,
) -> Reply<'z> {
    for _ in 0..MAX_CHAIN {
        let labels = name.labels();
        let step = Step {
            zones,
            name: &name,
            labels: &labels,
            qtype,
        };
        let zone = match zones.authority(&labels) {
            Authority::Zone(zone) => zone,
            Authority::Reverse(place) => {
                step.take_reverse(&place, &mut reply);
                return reply;
            }
            Authority::Outside if reply.answer.is_empty() => {
                let refused = Reply::explained(rcode::REFUSED, ede::NOT_AUTHORITATIVE);
                return Reply {
                    forward: Some(name),
                    ..refused
                };
            }
            Authority::Outside => {
                return Reply {
                    forward: Some(name),
                    ..reply
                };
            }
            Authority::NotReady => return failed(reply, ede::NOT_READY),
            Authority::Stale => return failed(reply, ede::INVALID_DATA),
        };
        match step.take(zone, &mut reply) {
            Some(next) if reply.answer.iter().all(|rr| !is_alias_of(rr, &next)) => name = next,
            _ => return reply,
        }
    }
    reply
}

/// Without its answer a chain would look like a name without addresses, so all of it fails.
fn failed(chain: Reply<'_>, ede: u16) -> Reply<'_> {
    Reply {
        rcode: rcode::SERVFAIL,
        ede: Some(ede),
        aa: chain.aa && !chain.answer.is_empty(),
        ..chain
    }
}

/// True if the chain has been at `name` already.
fn is_alias_of(rr: &Rr<'_>, name: &Name) -> bool {
    rr.kind() == kind::CNAME && rr.owner == *name
}

/// One name of the chain.
pub(super) struct Step<'s, 'z> {
    zones: &'z ZoneSet,
    pub(super) name: &'s Name,
    pub(super) labels: &'s Labels<'s>,
    pub(super) qtype: u16,
}

impl<'z> Step<'_, 'z> {
    /// Adds what `zone` says about the name; gives the next name if it is an alias.
    fn take(&self, zone: &'z Zone, reply: &mut Reply<'z>) -> Option<Name> {
        match zone.find(self.labels, self.qtype) {
            Found::Exact(node)
            | Found::Missing {
                wildcard: Some(node),
            } => self.take_node(zone, node, reply),
            Found::Missing { wildcard: None } => {
                reply.rcode = rcode::NXDOMAIN;
                negative(zone, reply);
                None
            }
            Found::Delegated { ns, below } => {
                self.refer(zone, ns, below, reply);
                None
            }
            Found::Renamed { dname, below } => self.rename(dname, below, reply),
        }
    }

    fn take_node(&self, zone: &'z Zone, node: &'z Node, reply: &mut Reply<'z>) -> Option<Name> {
        let set = match self.qtype {
            // RFC 8482, section 4.1: one set stands for all.
            kind::ANY => node.rrsets().first(),
            qtype => node.rrset(qtype),
        };
        if let Some(set) = set {
            reply.answer.push(Rr::at(*self.name, set));
            self.add_hosts(set, reply);
            return None;
        }
        if let Some(alias) = node.rrset(kind::CNAME) {
            reply.answer.push(Rr::at(*self.name, alias));
            return Name::from_wire(alias.first())
                .ok()
                .map(|(target, _)| target);
        }
        negative(zone, reply);
        None
    }

    /// RFC 6672, section 3.2: the DNAME, a CNAME made from it, and on with the new name.
    fn rename(&self, dname: &'z RRset, below: usize, reply: &mut Reply<'z>) -> Option<Name> {
        let owner = self.suffix(below);
        if !reply
            .answer
            .iter()
            .any(|rr| rr.kind() == kind::DNAME && rr.owner == owner)
        {
            reply.answer.push(Rr::at(owner, dname));
        }
        let (target, _) = Name::from_wire(dname.first()).ok()?;
        let Some(renamed) = target.prefixed(self.labels.prefix(below)) else {
            reply.rcode = rcode::YXDOMAIN;
            return None;
        };
        let data = Data::Cname(Box::new(renamed));
        reply.answer.push(Rr {
            owner: *self.name,
            ttl: dname.ttl(),
            data,
            needed: false,
        });
        // A DNAME that points below itself would rename for ever.
        (self.qtype != kind::CNAME && !target.is_within(&owner)).then_some(renamed)
    }

    /// RFC 1034, section 4.3.2, step 3b: not ours to answer.
    fn refer(&self, zone: &'z Zone, ns: &'z RRset, below: usize, reply: &mut Reply<'z>) {
        let cut = self.suffix(below);
        reply.aa &= !reply.answer.is_empty();
        reply.authority.push(Rr::at(cut, ns));
        for host in hosts(ns) {
            if !host.is_within(zone.apex()) {
                continue;
            }
            let labels = host.labels();
            let node = match zone.find(&labels, kind::A) {
                Found::Exact(node)
                | Found::Missing {
                    wildcard: Some(node),
                } => Some(node),
                // Below a cut only what was written is glue.
                _ => zone.exact(&labels),
            };
            let Some(node) = node else { continue };
            let needed = host.is_within(&cut);
            reply
                .additional
                .extend(addresses(host, node).map(|rr| Rr { needed, ..rr }));
        }
    }

    /// The addresses of the hosts that the answer points at, as far as the consortium knows them.
    pub(super) fn add_hosts(&self, set: &'z RRset, reply: &mut Reply<'z>) {
        for host in hosts(set) {
            let labels = host.labels();
            let Authority::Zone(zone) = self.zones.authority(&labels) else {
                continue;
            };
            if let Found::Exact(node)
            | Found::Missing {
                wildcard: Some(node),
            } = zone.find(&labels, kind::A)
            {
                reply.additional.extend(addresses(host, node));
            }
        }
    }

    pub(super) fn suffix(&self, label: usize) -> Name {
        let (name, _) =
            Name::from_wire(self.labels.suffix(label)).expect("a suffix of a name is a name");
        name
    }
}

/// RFC 2308, section 3: the SOA, for no longer than negative answers may be kept.
fn negative<'z>(zone: &'z Zone, reply: &mut Reply<'z>) {
    negative_at(*zone.apex(), zone, reply);
}

/// The same at another apex, for the zones that share their owner's SOA.
pub(super) fn negative_at<'z>(apex: Name, zone: &'z Zone, reply: &mut Reply<'z>) {
    let soa = Rr::at(apex, zone.soa());
    reply.authority.push(Rr {
        ttl: zone.negative_ttl(),
        ..soa
    });
}

fn hosts(set: &RRset) -> impl Iterator<Item = Name> {
    let hosts = set.data().filter_map(|data| rdata::host(set.kind(), data));
    hosts
        .take(MAX_HOSTS)
        .filter_map(|host| Name::from_wire(host).ok())
        .map(|(host, _)| host)
}

fn addresses(host: Name, node: &Node) -> impl Iterator<Item = Rr<'_>> {
    [kind::A, kind::AAAA]
        .into_iter()
        .filter_map(move |kind| Some(Rr::at(host, node.rrset(kind)?)))
}
