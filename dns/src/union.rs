//! [`unite`]: an organization's zone from what its gateways contribute.
//!
//! Each gateway contributes a *fragment*: the zone that its own files describe. The union is made
//! alike everywhere, because it depends on the fragments' content alone, never on the order in
//! which they came:
//!
//! * Equal names and types unite, with the lowest TTL.
//! * At one name, any other data beats a CNAME. Of two CNAMEs, or two DNAMEs, that of the lower
//!   gateway name stands.
//! * A CNAME, DNAME or delegation never covers a name of another fragment: then it is left out,
//!   with what it has hidden in its own fragment. A wildcard covers no name that exists anyhow.
//! * The SOA is that of the lowest gateway name, with serial 0: each gateway numbers its own union.
//!   NS are those gateways whose fragment has an address for their own name, and servers that are
//!   no gateways.
//! * TTLs are at most a day. Addresses outside the organization's prefixes are left out.
//! * The caps of a zone hold for the union. Gateways are taken in the order of their names, and
//!   sets that do not fit are left out.
//!
//! Nothing else is left out, and never a whole fragment for the sake of one record. A fragment
//! alone is its own union.

mod left_out;
mod names;
#[cfg(test)]
mod tests;

pub use left_out::{LeftOut, Reason};

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::{GatewayName, Prefix};

use crate::addresses::{Addresses, prefixes_in};
use crate::draft::Draft;
use crate::name::Name;
use crate::prefixes::PrefixSet;
use crate::rdata::kind;
use crate::replica::{MAX_NAMES, MAX_RECORDS, MAX_SIZE};
use crate::rrset::RRset;
use crate::zone::Zone;
use names::{Names, Place};

/// Seconds: the longest TTL that is answered.
pub const MAX_TTL: u32 = 86_400;

/// Most left out records that are listed one by one.
pub const MAX_LISTED: usize = 100;

/// Octets of a record in an encoded zone besides owner and data.
const RECORD_HEADER: usize = 9;

/// An organization's zone, made of fragments.
#[derive(Debug, Clone)]
pub struct Union {
    /// The zone, with serial 0.
    pub zone: Zone,
    /// What the fragments have and the zone has not, at most [`MAX_LISTED`].
    pub left_out: Vec<LeftOut>,
    /// How much was left out, whether it is listed or not.
    pub left_out_count: usize,
}

/// Which addresses the names of an organization may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedAddresses {
    /// Any: its operator has decided so.
    All,
    /// Those in these prefixes.
    Within(Vec<Prefix>),
}

/// Unites `fragments`, which all have the apex `apex`. `None` if there is none.
///
/// Takes some 100 ms for large zones.
pub fn unite(
    apex: &Name,
    fragments: &BTreeMap<GatewayName, Arc<Zone>>,
    allowed: &BTreeMap<GatewayName, AllowedAddresses>,
) -> Option<Union> {
    let mut builder = Builder {
        apex: *apex,
        gateways: fragments.keys().collect(),
        allowed: fragments
            .keys()
            .map(|gateway| Allowed::of(allowed.get(gateway)))
            .collect(),
        names: Names::of(fragments.values().map(|zone| &**zone)),
        draft: Draft::new(*apex),
        size: apex.as_wire().len() + 8,
        left_out: Vec::new(),
        left_out_count: 0,
    };

    builder.add_soa(fragments.values().next()?);
    builder.add_servers(fragments);
    // In the order of the names, so that the same is left out everywhere.
    for (gateway, fragment) in fragments.values().enumerate() {
        builder.add_fragment(gateway, fragment);
    }

    let zone = builder.draft.finish().ok()?.with_serial(0);
    Some(Union {
        zone,
        left_out: builder.left_out,
        left_out_count: builder.left_out_count,
    })
}

/// [`AllowedAddresses`] for many look-ups.
enum Allowed {
    All,
    Within(PrefixSet),
}

impl Allowed {
    /// Without any statement, no address is allowed.
    fn of(allowed: Option<&AllowedAddresses>) -> Allowed {
        match allowed {
            Some(AllowedAddresses::All) => Allowed::All,
            Some(AllowedAddresses::Within(prefixes)) => {
                Allowed::Within(PrefixSet::new(prefixes.iter().copied()))
            }
            None => Allowed::Within(PrefixSet::default()),
        }
    }

    fn allows(&self, kind: u16, data: &[u8]) -> bool {
        let Allowed::Within(prefixes) = self else {
            return true;
        };

        match prefixes_in(kind, data) {
            Addresses::Known(found) => found.iter().all(|range| prefixes.covers(range)),
            // What cannot be read could lead anywhere.
            Addresses::Unreadable => false,
        }
    }
}

struct Builder<'f> {
    apex: Name,
    /// In their order.
    gateways: Vec<&'f GatewayName>,
    /// By gateway.
    allowed: Vec<Allowed>,
    names: Names<'f>,
    draft: Draft,
    /// Octets of the encoded union.
    size: usize,
    left_out: Vec<LeftOut>,
    left_out_count: usize,
}

/// An RRset of one fragment.
#[derive(Clone, Copy)]
struct Item<'f> {
    gateway: usize,
    owner: Name,
    set: &'f RRset,
}

impl<'f> Builder<'f> {
    fn add_soa(&mut self, lowest: &Zone) {
        let soa = lowest.soa();
        // Cannot fail: a fragment is a zone, and its SOA is the first record here.
        let added = self
            .draft
            .add_set(&self.apex, (kind::SOA, capped(soa.ttl())), &[soa.first()]);
        debug_assert!(added.is_ok(), "{added:?}");
        self.size += RECORD_HEADER + soa.first().len();
    }

    /// The NS records at the apex.
    fn add_servers(&mut self, fragments: &'f BTreeMap<GatewayName, Arc<Zone>>) {
        let gateways: Vec<(Vec<u8>, bool)> = fragments
            .iter()
            .enumerate()
            .filter_map(|(index, (name, zone))| {
                let name = self.apex.prefixed(&label(name))?;
                let has_address = self.has_address(index, zone, &name);
                Some((name.as_wire().to_vec(), has_address))
            })
            .collect();
        // Without any, a zone would have no server at all.
        let none_has = gateways.iter().all(|(_, has_address)| !has_address);

        for (gateway, fragment) in fragments.values().enumerate() {
            let Some(ns) = fragment.ns() else { continue };
            let stands = |data: &&[u8]| {
                gateways
                    .iter()
                    .find(|(name, _)| data.eq_ignore_ascii_case(name))
                    .is_none_or(|(_, has_address)| *has_address || none_has)
            };
            let item = Item {
                gateway,
                owner: self.apex,
                set: ns,
            };
            self.add(item, ns.data().filter(stands).collect());
        }
    }

    fn has_address(&self, gateway: usize, zone: &Zone, name: &Name) -> bool {
        let labels = name.labels();
        let node = zone.exact(&labels);
        let sets = node.into_iter().flat_map(|node| node.rrsets());

        sets.filter(|set| matches!(set.kind(), kind::A | kind::AAAA))
            .any(|set| {
                set.data()
                    .any(|data| self.allowed[gateway].allows(set.kind(), data))
            })
    }

    fn add_fragment(&mut self, gateway: usize, fragment: &'f Zone) {
        let apex = self.apex;
        fragment.walk(&mut |below, node| {
            let Some(owner) = apex.prefixed(below) else {
                return;
            };

            for set in node.rrsets() {
                // These two were added before.
                let at_apex = below.is_empty() && matches!(set.kind(), kind::SOA | kind::NS);
                if !at_apex {
                    let item = Item {
                        gateway,
                        owner,
                        set,
                    };
                    self.add_set(item, Place { below, node });
                }
            }
        });
    }

    fn add_set(&mut self, item: Item<'f>, place: Place<'_, 'f>) {
        if let Some(reason) = self.names.objection(item.gateway, place, item.set) {
            let reason = reason.map(|gateway| self.gateways[gateway].clone());
            return self.leave_out(item, reason);
        }

        let allowed = &self.allowed[item.gateway];
        let kind = item.set.kind();
        let data: Vec<&[u8]> = item
            .set
            .data()
            .filter(|data| allowed.allows(kind, data))
            .collect();
        if data.len() < item.set.count() {
            self.leave_out(item, Reason::Address);
        }
        self.add(item, data);
    }

    fn add(&mut self, item: Item<'f>, data: Vec<&[u8]>) {
        if data.is_empty() {
            return;
        }
        let below = item.owner.as_wire().len() - self.apex.as_wire().len();
        let size = data
            .iter()
            .map(|data| RECORD_HEADER + below + data.len())
            .sum::<usize>();

        // What others have contributed already is counted again: the union is no larger than that.
        let fits = self.size + size <= MAX_SIZE
            && self.draft.records() + data.len() <= MAX_RECORDS
            && self.draft.names() + self.draft.missing(&item.owner) <= MAX_NAMES;
        let head = (item.set.kind(), capped(item.set.ttl()));
        if !fits || self.draft.add_set(&item.owner, head, &data).is_err() {
            return self.leave_out(item, Reason::Large);
        }
        self.size += size;
    }

    fn leave_out(&mut self, item: Item<'_>, reason: Reason) {
        self.left_out_count += 1;
        // A hostile fragment may have any number of them: all are counted, and few listed.
        if self.left_out.len() < MAX_LISTED {
            self.left_out.push(LeftOut {
                gateway: self.gateways[item.gateway].clone(),
                owner: item.owner,
                kind: item.set.kind(),
                reason,
            });
        }
    }
}

fn capped(ttl: u32) -> u32 {
    ttl.min(MAX_TTL)
}

fn label(gateway: &GatewayName) -> Vec<u8> {
    let text = gateway.as_str().as_bytes();
    [&[text.len() as u8], text].concat()
}
