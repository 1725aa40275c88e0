//! The answers that are ready: a set behind its own name, and the denial of a name or type. They are
//! copied as the zone keeps them, without a [`Reply`](super::reply::Reply) and without allocation;
//! everything else (aliases, referrals, additional addresses, truncation) is `lookup` and `write`'s,
//! which would say the same.

use super::query::{Query, Question};
use super::rcode;
use super::write::{Flags, HEADER, ResponseContext, put_header};
use super::{CLASS_IN, write};
use crate::name::Labels;
use crate::rdata::{self, Field, kind};
use crate::rrset::RRset;
use crate::tree::Found;
use crate::zone::Zone;
use crate::zones::{Authority, ZoneSet};

/// Writes the answer to the end of the empty `out` and gives its code; or `None`, and `out` is of no use.
pub(super) fn answer(
    zones: &ZoneSet,
    query: &Query<'_>,
    about: &ResponseContext<'_>,
    limit: usize,
    out: &mut Vec<u8>,
) -> Option<u16> {
    let question = query.question.as_ref()?;
    if query.fault.is_some()
        || question.class != CLASS_IN
        || !rdata::is_data(question.kind)
        || query.edns.as_ref().is_some_and(|edns| edns.version != 0)
    {
        return None;
    }
    let labels = question.name.labels();
    let Authority::Zone(zone) = zones.authority(&labels) else {
        return None;
    };
    out.resize(HEADER, 0);
    out.extend_from_slice(question.raw);
    let (rcode, answer, authority) = match zone.find(&labels, question.kind) {
        Found::Exact(node)
        | Found::Missing {
            wildcard: Some(node),
        } => match node.rrset(question.kind) {
            Some(set) => (rcode::NOERROR, put_set(set, about, out)?, 0),
            None if node.rrset(kind::CNAME).is_some() => return None,
            None => (rcode::NOERROR, 0, put_denial(zone, &labels, question, out)),
        },
        Found::Missing { wildcard: None } => {
            (rcode::NXDOMAIN, 0, put_denial(zone, &labels, question, out))
        }
        Found::Delegated { .. } | Found::Renamed { .. } => return None,
    };
    let additional = about.opt.put(query, rcode, None, out);
    let flags = Flags {
        rcode,
        aa: true,
        truncated: false,
        ra: about.ra,
        cd: about.cd,
    };
    put_header(query, flags, [1, answer, authority, additional], out);
    (out.len() <= limit).then_some(rcode)
}

/// The number of records put; `None` if the set's names want compressing or its hosts looking up.
fn put_set(set: &RRset, about: &ResponseContext<'_>, out: &mut Vec<u8>) -> Option<u16> {
    if rdata::fields(set.kind()).is_some_and(|fields| fields.contains(&Field::Name))
        || set.kind() == kind::SRV
    {
        return None;
    }
    if about.reach.leaves_unchanged(set) {
        out.extend_from_slice(set.packed());
        return Some(set.count() as u16);
    }
    Some(about.reach.records(set).fold(0, |count, record| {
        out.extend_from_slice(record);
        count + 1
    }))
}

fn put_denial(zone: &Zone, labels: &Labels<'_>, question: &Question<'_>, out: &mut Vec<u8>) -> u16 {
    let below = question.name.as_wire().len() - zone.apex().as_wire().len();
    debug_assert_eq!(labels.suffix(labels.count()), [0]);
    zone.denial().put((write::HEADER + below) as u16, out);
    1
}
