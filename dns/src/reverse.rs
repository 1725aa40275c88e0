//! Reverse zones: names of addresses (RFC 1035, section 3.5; RFC 3596, section 2.5). They are
//! virtual: a PTR query is answered from the A and AAAA records of the members' zones.
//!
//! A pointer is answered only if the address is in a prefix of the organization whose zone it comes
//! from, so no organization can name another's hosts. Reverse zones can only be cut at whole
//! labels, that is, at octets (nibbles for IPv6). The apex of a prefix that ends within a label is
//! therefore one label longer, which makes several zones:
//!
//! ```text
//!   10.1.0.0/16      1.10.in-addr.arpa
//!   10.1.16.0/20     16.1.10.in-addr.arpa … 31.1.10.in-addr.arpa
//!   10.1.2.128/25    128.2.1.10.in-addr.arpa … 255.2.1.10.in-addr.arpa: each address its own zone;
//!                    127.2.1.10.in-addr.arpa and 2.1.10.in-addr.arpa are REFUSED
//! ```
//! Wildcards, and names at or below a delegation, have no pointers: they are not names of hosts.
//!
//! An organization can state the names of an address itself (`stated`); those take the place of
//! the ones derived.

mod export;
mod stated;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ringway_config::Prefix;

pub use self::stated::stated_at;
pub(crate) use self::stated::{may_be_named, stated_address, take_in};
use crate::name::{Labels, Name};
use crate::rdata::kind;
use crate::reach::address;
use crate::rrset::RRset;
use crate::tree::Found;
use crate::zone::Zone;

/// Limit on the names of one address; the first in canonical order are used.
const MAX_NAMES: usize = 32;

/// PTR records by address, derived from one zone.
///
/// Addresses outside the organization's prefixes are included; [`Ranges`] keeps them from being
/// queried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pointers(BTreeMap<IpAddr, RRset>);

/// An address record of the zone, turned around.
struct Pointer {
    address: IpAddr,
    ttl: u32,
    /// In wire form.
    host: Box<[u8]>,
}

impl Pointers {
    /// Derives them from `zone`. Takes about as long as parsing the zone.
    pub(crate) fn of(zone: &Zone) -> Pointers {
        let mut pointers = Vec::new();
        zone.rrsets(|owner, set| {
            if !matches!(set.kind(), kind::A | kind::AAAA) || !is_host(zone, owner) {
                return;
            }
            for address in set.data().filter_map(address) {
                pointers.push(Pointer {
                    address,
                    ttl: set.ttl(),
                    host: owner.as_wire().into(),
                });
            }
        });

        // The sort is stable: the hosts of an address stay in canonical order.
        pointers.sort_by_key(|pointer| pointer.address);
        let sets = pointers
            .chunk_by(|a, b| a.address == b.address)
            .map(|same_address| (same_address[0].address, ptr_set(same_address)));

        let mut all: BTreeMap<IpAddr, RRset> = sets.collect();
        all.extend(stated::sets(zone));
        Pointers(all)
    }
}

/// The PTR set of one address. Its TTL is the lowest of the address records'.
fn ptr_set(pointers: &[Pointer]) -> RRset {
    let ttl = pointers
        .iter()
        .map(|pointer| pointer.ttl)
        .min()
        .unwrap_or(0);

    let hosts = pointers
        .iter()
        .take(MAX_NAMES)
        .map(|pointer| &*pointer.host);

    RRset::pack(kind::PTR, ttl, hosts)
}

/// False for wildcards, and for names at or below a delegation.
fn is_host(zone: &Zone, owner: &Name) -> bool {
    let labels = owner.labels();
    // The owner exists, so any result but an exact match means a delegation or DNAME above it.
    (0..labels.count()).all(|i| labels.label(i) != b"*")
        && matches!(zone.find(&labels, kind::A), Found::Exact(_))
}

/// A name under `in-addr.arpa` or `ip6.arpa`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReverseName {
    /// The address; the parts that the name does not have are 0.
    address: IpAddr,
    /// Number of labels that are parts of the address: octets or nibbles.
    known: usize,
    /// Number of labels in front of those.
    extra: usize,
}

impl ReverseName {
    pub(crate) fn parse(name: &Labels<'_>) -> Option<ReverseName> {
        let count = name.count().checked_sub(2)?;
        if name.label(count + 1) != b"arpa" {
            return None;
        }

        // The labels are in reverse order of the address: its first part is next to the suffix.
        let labels = (0..count).rev().map(|i| name.label(i));
        let mut known = 0;

        // Labels that are no octet or nibble, and those in front of them, are left over as `extra`.
        let address = match name.label(count) {
            b"in-addr" => {
                let mut octets = [0; 4];
                for (octet, value) in octets.iter_mut().zip(labels.map_while(parse_octet)) {
                    *octet = value;
                    known += 1;
                }
                IpAddr::from(octets)
            }
            b"ip6" => {
                let mut bits = 0;
                for (i, value) in labels.map_while(parse_nibble).take(32).enumerate() {
                    bits |= u128::from(value) << (124 - 4 * i);
                    known += 1;
                }
                Ipv6Addr::from(bits).into()
            }
            _ => return None,
        };
        Some(ReverseName {
            address,
            known,
            extra: count - known,
        })
    }

    /// Bits of the address that one label stands for.
    fn bits_per_label(&self) -> usize {
        if self.address.is_ipv4() { 8 } else { 4 }
    }

    /// True if the name is one of a whole address.
    fn is_whole_address(&self) -> bool {
        let labels = if self.address.is_ipv4() { 4 } else { 32 };
        self.extra == 0 && self.known == labels
    }

    /// The addresses whose names are at or below this one.
    fn range(&self) -> Option<Prefix> {
        if self.extra > 0 {
            return None;
        }
        Prefix::holding(self.address, (self.known * self.bits_per_label()) as u8)
    }
}

/// A decimal number without leading zeros: every address has one name only.
fn parse_octet(label: &[u8]) -> Option<u8> {
    let is_number = label.iter().all(u8::is_ascii_digit);
    let has_leading_zero = label.len() > 1 && label[0] == b'0';
    if !is_number || has_leading_zero {
        return None;
    }
    std::str::from_utf8(label).ok()?.parse().ok()
}

/// A lower-case digit, as all labels are here.
fn parse_nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [digit @ b'a'..=b'f'] => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Each organization's prefixes, with the apex of its zone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ranges(Vec<Range>);

#[derive(Debug, Clone)]
struct Range {
    prefix: Prefix,
    owner: Name,
}

impl Range {
    /// Number of address labels in the apexes of the prefix's reverse zones.
    fn apex_labels(&self) -> usize {
        let bits_per_label = if self.prefix.is_ipv4() { 8 } else { 4 };
        usize::from(self.prefix.len()).div_ceil(bits_per_label)
    }

    /// True if `name` is in a reverse zone of the prefix.
    fn contains(&self, name: &ReverseName) -> bool {
        name.known >= self.apex_labels() && self.prefix.contains(name.address)
    }
}

impl Ranges {
    pub(crate) fn new(owners: impl IntoIterator<Item = (Name, Vec<Prefix>)>) -> Ranges {
        let mut ranges = Vec::new();
        for (owner, prefixes) in owners {
            ranges.extend(prefixes.into_iter().map(|prefix| Range { prefix, owner }));
        }
        Ranges(ranges)
    }

    /// True if the organization with this zone has any prefix.
    pub(crate) fn has(&self, apex: &Name) -> bool {
        self.0.iter().any(|range| range.owner == *apex)
    }

    /// Finds the reverse zone of `name`: the apex of its organization's zone, and how many labels
    /// of the name are below the reverse zone's apex.
    ///
    /// A linear search: a consortium has tens of prefixes.
    pub(crate) fn find(&self, name: &ReverseName) -> Option<(&Name, usize)> {
        let range = self
            .0
            .iter()
            .filter(|range| range.contains(name))
            .max_by_key(|range| range.prefix.len())?;

        let below = name.known + name.extra - range.apex_labels();
        Some((&range.owner, below))
    }
}

/// A query name in a reverse zone.
pub(crate) struct ReversePlace<'z> {
    /// The organization's zone. The reverse zone has the same SOA and NS.
    pub(crate) zone: &'z Zone,
    /// How many labels of the query name are below the reverse zone's apex.
    pub(crate) below: usize,
    pub(crate) name: ReverseName,
}

impl<'z> ReversePlace<'z> {
    /// The PTR set of exactly this name.
    pub(crate) fn pointers(&self) -> Option<&'z RRset> {
        if !self.name.is_whole_address() {
            return None;
        }
        self.zone.pointers().0.get(&self.name.address)
    }

    /// True if there is a PTR set at or below this name. If not, the name does not exist.
    pub(crate) fn exists(&self) -> bool {
        let Some(range) = self.name.range() else {
            return false;
        };
        let addresses = range.address()..=range.last();
        self.zone.pointers().0.range(addresses).next().is_some()
    }
}
