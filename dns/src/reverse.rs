//! Reverse zones: names of addresses (RFC 1035, section 3.5; RFC 3596, section 2.5), answered from the A
//! and AAAA records of the members' zones. They are virtual: nothing is enumerated, an address is looked up.
//!
//! A pointer is answered only if its organization's own prefixes hold the address: nobody can name
//! another's hosts. Zones are cut where octets (nibbles) end: the apex is the shortest such name below
//! which everything lies inside the prefix, so nothing beyond a prefix is ever answered.
//! ```text
//!   10.1.0.0/16      1.10.in-addr.arpa
//!   10.1.16.0/20     16.1.10.in-addr.arpa … 31.1.10.in-addr.arpa
//!   10.1.2.128/25    128.2.1.10.in-addr.arpa … 255.2.1.10.in-addr.arpa: each address its own zone;
//!                    127.2.1.10.in-addr.arpa and 2.1.10.in-addr.arpa are REFUSED
//! ```
//! Names that answer for others are left out: wildcards, and names at or below a delegation.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_config::Prefix;

use crate::name::{Labels, Name};
use crate::rdata::kind;
use crate::reach::address;
use crate::rrset::RRset;
use crate::tree::Found;
use crate::zone::Zone;

/// Names that one address may have; the first in canonical order are taken.
const MAX_NAMES: usize = 32;

/// What a zone makes of its addresses: PTR sets by address. Those that lie in nobody's prefixes, or another's, are
/// here too; [`Ranges`] lets nobody ask for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pointers(BTreeMap<IpAddr, RRset>);

impl Pointers {
    /// Derived from `zone`; takes about as long as reading it did.
    pub(crate) fn of(zone: &Zone) -> Pointers {
        let mut found: Vec<(IpAddr, u32, Box<[u8]>)> = Vec::new();
        zone.rrsets(|owner, set| {
            if matches!(set.kind(), kind::A | kind::AAAA) && speaks_for_itself(zone, owner) {
                let addresses = set.data().filter_map(address);
                found.extend(addresses.map(|address| (address, set.ttl(), owner.as_wire().into())));
            }
        });
        // Stable: the names of an address stay in canonical order.
        found.sort_by_key(|(address, ..)| *address);
        let pack = |same: &[(IpAddr, u32, Box<[u8]>)]| {
            let names = same.iter().take(MAX_NAMES).map(|(.., name)| &**name);
            let ttl = same.iter().map(|(_, ttl, _)| *ttl).min()?;
            Some((same.first()?.0, RRset::pack(kind::PTR, ttl, names)))
        };
        Pointers(found.chunk_by(|a, b| a.0 == b.0).filter_map(pack).collect())
    }
}

fn speaks_for_itself(zone: &Zone, owner: &Name) -> bool {
    let labels = owner.labels();
    (0..labels.count()).all(|i| labels.label(i) != b"*")
        && matches!(zone.find(&labels, kind::A), Found::Here(_))
}

/// A name under `in-addr.arpa` or `ip6.arpa`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReverseName {
    /// The address; what the name does not say is 0.
    address: IpAddr,
    /// Octets or nibbles that the name says.
    known: usize,
    /// Labels in front that are no part of an address.
    extra: usize,
}

impl ReverseName {
    pub(crate) fn parse(name: &Labels<'_>) -> Option<ReverseName> {
        let count = name.count().checked_sub(2)?;
        if name.label(count + 1) != b"arpa" {
            return None;
        }
        let parts = (0..count).rev().map(|i| name.label(i));
        let (address, known) = match name.label(count) {
            b"in-addr" => {
                let (octets, known) = gather::<4>(parts, octet);
                (Ipv4Addr::from(octets).into(), known)
            }
            b"ip6" => {
                let (nibbles, known) = gather::<32>(parts, nibble);
                let bits = nibbles
                    .iter()
                    .fold(0, |bits: u128, nibble| bits << 4 | u128::from(*nibble));
                (Ipv6Addr::from(bits).into(), known)
            }
            _ => return None,
        };
        Some(ReverseName {
            address,
            known,
            extra: count - known,
        })
    }

    /// How many labels of the address the zones of `prefix` start at, and how many an address has.
    fn cuts(prefix: &Prefix) -> (usize, usize) {
        let unit = if prefix.is_ipv4() { 8 } else { 4 };
        let bits = if prefix.is_ipv4() { 32 } else { 128 };
        (usize::from(prefix.len()).div_ceil(unit), bits / unit)
    }

    /// The addresses whose names are this one or below it.
    fn range(&self) -> Option<Prefix> {
        let unit = if self.address.is_ipv4() { 8 } else { 4 };
        Prefix::holding(self.address, (self.known * unit) as u8)
    }
}

/// As many labels as are parts of an address.
fn gather<'n, const N: usize>(
    labels: impl Iterator<Item = &'n [u8]>,
    part: impl Fn(&[u8]) -> Option<u8>,
) -> ([u8; N], usize) {
    let (mut parts, mut known) = ([0; N], 0);
    for (place, part) in parts.iter_mut().zip(labels.map_while(part)) {
        *place = part;
        known += 1;
    }
    (parts, known)
}

/// Only the one way to write a number names an address.
fn octet(label: &[u8]) -> Option<u8> {
    let canonical =
        label.iter().all(u8::is_ascii_digit) && (label.len() == 1 || label.first() != Some(&b'0'));
    std::str::from_utf8(label)
        .ok()
        .filter(|_| canonical)?
        .parse()
        .ok()
}

fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [digit @ b'a'..=b'f'] => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Whose addresses are whose.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ranges(Vec<(Prefix, Name)>);

impl Ranges {
    pub(crate) fn new(owners: impl IntoIterator<Item = (Name, Vec<Prefix>)>) -> Ranges {
        let of_owner =
            |(apex, prefixes): (Name, Vec<Prefix>)| prefixes.into_iter().map(move |p| (p, apex));
        Ranges(owners.into_iter().flat_map(of_owner).collect())
    }

    /// True if the organization whose zone is `apex` has any.
    pub(crate) fn has(&self, apex: &Name) -> bool {
        self.0.iter().any(|(_, owner)| owner == apex)
    }

    /// Whose zone holds `name`, and the name's labels below that reverse zone's apex. A consortium has
    /// tens of prefixes, so all are looked at.
    pub(crate) fn holding(&self, name: &ReverseName) -> Option<(&Name, usize)> {
        let above = |prefix: &Prefix| {
            ReverseName::cuts(prefix).0 <= name.known && prefix.contains(name.address)
        };
        let (prefix, owner) = self
            .0
            .iter()
            .filter(|(prefix, _)| above(prefix))
            .max_by_key(|(prefix, _)| prefix.len())?;
        Some((owner, name.known + name.extra - ReverseName::cuts(prefix).0))
    }
}

/// A name in a reverse zone, and what is known of it.
pub(crate) struct ReversePlace<'z> {
    /// The owner's zone, whose SOA and NS the reverse zone shares.
    pub(crate) zone: &'z Zone,
    /// The question's labels below the reverse zone's apex.
    pub(crate) below: usize,
    pub(crate) name: ReverseName,
}

impl<'z> ReversePlace<'z> {
    /// The PTR set of exactly this name.
    pub(crate) fn pointers(&self) -> Option<&'z RRset> {
        let whole = if self.name.address.is_ipv4() { 4 } else { 32 };
        let exact = self.name.extra == 0 && self.name.known == whole;
        self.zone
            .pointers()
            .0
            .get(&self.name.address)
            .filter(|_| exact)
    }

    /// True if there is a pointer at or below this name.
    pub(crate) fn exists(&self) -> bool {
        let Some(range) = self.name.range().filter(|_| self.name.extra == 0) else {
            return false;
        };
        self.zone
            .pointers()
            .0
            .range(range.address()..=range.last())
            .next()
            .is_some()
    }
}
