//! The algorithm of RFC 1034, section 4.3.2, as later RFCs changed it: wildcards (4592), DNAME
//! (6672), negative answers (2308), the response code of the last name in a chain (6604), minimal
//! responses to ANY (8482), glue (9471).
//!
//! A chain of aliases is followed through all zones of the consortium, one step per name:
//! ```text
//!            ┌──────── alias ────────┐
//! name ─► zone ─► exact / wildcard / renamed ─► data, or NODATA + SOA
//!          │  └─► delegated ─► referral + glue
//!          │  └─► missing ─► NXDOMAIN + SOA
//!          ├─► reverse name of an address: PTR records of the prefix's organization
//!          ├─► no copy of the zone, or of the part that may have the name, or one that is too
//!          │   old: SERVFAIL
//!          └─► no zone: REFUSED, or the chain so far, or the name is forwarded
//! ```
//! Reverse names are answered by [`super::reverse`], forwarded ones by [`super::forward`].

use super::rcode;
use super::reply::{Data, Reply, Rr, ede};
use crate::name::{Labels, Name};
use crate::rdata::{self, kind};
use crate::rrset::RRset;
use crate::tree::{Found, Node};
use crate::zone::Zone;
use crate::zones::{Authority, Gap, ZoneSet};

/// Names in a chain of aliases at most; the chain so far is the answer then.
pub(super) const MAX_CHAIN: usize = 16;
/// Hosts whose addresses are looked up for the additional section at most.
const MAX_HOSTS: usize = 16;

/// The reply to a question of class IN.
pub(super) fn lookup<'z>(zones: &'z ZoneSet, qname: &Name, qtype: u16) -> Reply<'z> {
    let reply = Reply {
        aa: true,
        ..Reply::default()
    };
    follow(zones, *qname, qtype, reply)
}

/// Continues at `name`, to which the chain of aliases in `reply` has led.
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
            Authority::Partial(partial) => match partial.gap(&labels, qtype) {
                None => partial.zone,
                Some(Gap::Missing) => return failed(reply, ede::NOT_READY),
                Some(Gap::Expired) => return failed(reply, ede::INVALID_DATA),
            },
            Authority::Reverse(place) => {
                step.take_reverse(&place, &mut reply);
                return reply;
            }
            Authority::Outside => return outside(reply, name),
            Authority::NotReady => return failed(reply, ede::NOT_READY),
            Authority::Stale => return failed(reply, ede::INVALID_DATA),
        };

        // A loop of aliases ends where it would begin again.
        match step.take(zone, &mut reply) {
            Some(next) if reply.answer.iter().all(|rr| !is_alias_of(rr, &next)) => name = next,
            _ => return reply,
        }
    }
    reply
}

/// The reply for a chain that ends at `name`, which no zone of the consortium holds.
fn outside(chain: Reply<'_>, name: Name) -> Reply<'_> {
    let reply = if chain.answer.is_empty() {
        Reply::explained(rcode::REFUSED, ede::NOT_AUTHORITATIVE)
    } else {
        chain
    };

    Reply {
        forward: Some(name),
        ..reply
    }
}

/// The whole chain fails: without its end, it would look like a name without addresses.
fn failed(chain: Reply<'_>, ede: u16) -> Reply<'_> {
    Reply {
        rcode: rcode::SERVFAIL,
        ede: Some(ede),
        aa: chain.aa && !chain.answer.is_empty(),
        ..chain
    }
}

/// True if the chain has been at `name` before.
fn is_alias_of(rr: &Rr<'_>, name: &Name) -> bool {
    rr.kind() == kind::CNAME && rr.owner == *name
}

/// One name of a chain.
pub(super) struct Step<'s, 'z> {
    zones: &'z ZoneSet,
    pub(super) name: &'s Name,
    pub(super) labels: &'s Labels<'s>,
    pub(super) qtype: u16,
}

impl<'z> Step<'_, 'z> {
    /// Adds the answer of `zone` for the name; returns the next name if it is an alias.
    fn take(&self, zone: &'z Zone, reply: &mut Reply<'z>) -> Option<Name> {
        match zone.find(self.labels, self.qtype) {
            Found::Exact(node)
            | Found::Missing {
                wildcard: Some(node),
            } => self.take_node(zone, node, reply),
            Found::Missing { wildcard: None } => {
                reply.rcode = rcode::NXDOMAIN;
                negative_at(*zone.apex(), zone, reply);
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
            // RFC 8482, section 4.1: one RRset is enough.
            kind::ANY => node.rrsets().first(),
            qtype => node.rrset(qtype),
        };
        if let Some(set) = set {
            reply.answer.push(Rr::at(*self.name, set));
            self.add_hosts(set, reply);
            return None;
        }

        // RFC 1034, section 4.3.2, step 3a.
        if let Some(alias) = node.rrset(kind::CNAME) {
            reply.answer.push(Rr::at(*self.name, alias));
            let (target, _) = Name::from_wire(alias.first()).ok()?;
            return Some(target);
        }

        // RFC 2308, section 2.2: the name exists and has no such records.
        negative_at(*zone.apex(), zone, reply);
        None
    }

    /// RFC 6672, section 3.2: adds the DNAME and a CNAME synthesized from it; returns the new name.
    fn rename(&self, dname: &'z RRset, below: usize, reply: &mut Reply<'z>) -> Option<Name> {
        let owner = self.suffix(below);
        if reply
            .answer
            .iter()
            .all(|rr| rr.kind() != kind::DNAME || rr.owner != owner)
        {
            reply.answer.push(Rr::at(owner, dname));
        }

        let (target, _) = Name::from_wire(dname.first()).ok()?;
        let Some(renamed) = target.prefixed(self.labels.prefix(below)) else {
            // RFC 6672, section 2.2: the new name is too long.
            reply.rcode = rcode::YXDOMAIN;
            return None;
        };
        reply.answer.push(Rr {
            owner: *self.name,
            ttl: dname.ttl(),
            data: Data::Cname(Box::new(renamed)),
            needed: false,
        });

        // A DNAME whose target is below its owner would rename for ever.
        (self.qtype != kind::CNAME && !target.is_within(&owner)).then_some(renamed)
    }

    /// RFC 1034, section 4.3.2, step 3b: adds a referral to the servers of the delegated zone.
    fn refer(&self, zone: &'z Zone, ns: &'z RRset, below: usize, reply: &mut Reply<'z>) {
        let cut = self.suffix(below);
        // The zone is not authoritative for names below the cut; a chain that led here is.
        reply.aa &= !reply.answer.is_empty();
        reply.authority.push(Rr::at(cut, ns));

        for host in hosts(ns).filter(|host| host.is_within(zone.apex())) {
            let labels = host.labels();
            let node = match zone.find(&labels, kind::A) {
                Found::Exact(node)
                | Found::Missing {
                    wildcard: Some(node),
                } => Some(node),
                // Below a cut, wildcards do not apply: glue is what the zone has at this very name.
                _ => zone.exact(&labels),
            };
            let Some(node) = node else { continue };

            // RFC 9471, section 2.1: a server inside the delegated zone is reachable by glue only.
            let needed = host.is_within(&cut);
            let glue = rrs(host, node, &[kind::A, kind::AAAA]).map(|rr| Rr { needed, ..rr });
            reply.additional.extend(glue);
        }
    }

    /// RFC 1034, section 4.3.2, step 6: adds the records of the hosts in `set`, mostly addresses,
    /// as far as the consortium's zones have them.
    pub(super) fn add_hosts(&self, set: &'z RRset, reply: &mut Reply<'z>) {
        for host in hosts(set) {
            // RFC 9460, section 2.5: the root stands for the owner.
            let is_owner = host == Name::ROOT && matches!(set.kind(), kind::SVCB | kind::HTTPS);
            let host = if is_owner { *self.name } else { host };
            let labels = host.labels();
            let zone = match self.zones.authority(&labels) {
                Authority::Zone(zone) => zone,
                Authority::Partial(partial) => partial.zone,
                _ => continue,
            };

            if let Found::Exact(node)
            | Found::Missing {
                wildcard: Some(node),
            } = zone.find(&labels, kind::A)
            {
                let kinds: &[u16] = if is_owner {
                    &[kind::A, kind::AAAA]
                } else {
                    rdata::additional(set.kind())
                };
                reply.additional.extend(rrs(host, node, kinds));
            }
        }
    }

    /// The name without its first `labels` labels.
    pub(super) fn suffix(&self, labels: usize) -> Name {
        let (name, _) =
            Name::from_wire(self.labels.suffix(labels)).expect("a suffix of a name is a name");
        name
    }
}

/// RFC 2308, section 3: adds the SOA record at `apex`, with the TTL of negative answers. The apex
/// is not the zone's in a reverse zone, which has the SOA record of its organization's zone.
pub(super) fn negative_at<'z>(apex: Name, zone: &'z Zone, reply: &mut Reply<'z>) {
    let soa = Rr::at(apex, zone.soa());
    reply.authority.push(Rr {
        ttl: zone.negative_ttl(),
        ..soa
    });
}

/// The host names in the data of `set`.
fn hosts(set: &RRset) -> impl Iterator<Item = Name> {
    set.data()
        .filter_map(|data| rdata::host(set.kind(), data))
        .take(MAX_HOSTS)
        .filter_map(|host| Name::from_wire(host).ok())
        .map(|(host, _)| host)
}

/// The RRsets of these types at `node`, which is `host`'s.
fn rrs<'z>(host: Name, node: &'z Node, kinds: &'static [u16]) -> impl Iterator<Item = Rr<'z>> {
    kinds
        .iter()
        .filter_map(move |kind| Some(Rr::at(host, node.rrset(*kind)?)))
}
