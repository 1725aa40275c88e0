//! The fast path: answers that are copied as the zone has prepared them, without a
//! [`Reply`](super::reply::Reply) and without allocation.
//!
//! It serves an RRset at the query name, and the denial of a name or type. Everything else
//! (aliases, referrals, additional addresses, truncation) is left to `lookup` and `write`, which
//! give the same answers in all cases.

use super::query::{HEADER, Query, Question};
use super::rcode;
use super::write::{Flags, ResponseContext, put_header};
use crate::name::Labels;
use crate::rdata::{self, CLASS_IN, Field, kind};
use crate::reach::Reach;
use crate::rrset::RRset;
use crate::tree::Found;
use crate::zone::Zone;
use crate::zones::{Authority, ZoneSet};

/// Writes the response into the empty `out` and returns its response code. With `None`, the fast
/// path does not apply, and `out` has meaningless content.
pub(super) fn answer(
    zones: &ZoneSet,
    query: &Query<'_>,
    context: &ResponseContext<'_>,
    limit: usize,
    out: &mut Vec<u8>,
) -> Option<u16> {
    let question = query.question.as_ref()?;
    // Whatever needs more than a copy is answered in full.
    if query.fault.is_some()
        || question.class != CLASS_IN
        || !rdata::is_data(question.kind)
        || query.edns.is_some_and(|edns| edns.version != 0)
    {
        return None;
    }

    let labels = question.name.labels();
    let Authority::Zone(zone) = zones.authority(&labels) else {
        return None;
    };

    out.resize(HEADER, 0);
    out.extend_from_slice(question.raw);
    let Sections {
        rcode,
        answer,
        authority,
    } = put_sections(zone, &labels, question, context, query.header.id, out)?;
    let additional = context.opt.put(query, rcode, None, out);

    let flags = Flags {
        rcode,
        aa: true,
        truncated: false,
        ra: context.ra,
        cd: context.cd,
    };
    put_header(query, flags, [1, answer, authority, additional], out);
    // What does not fit is truncated by `write`, which knows where an RRset ends.
    (out.len() <= limit).then_some(rcode)
}

/// The response code, and the numbers of records in two sections.
struct Sections {
    rcode: u16,
    answer: u16,
    authority: u16,
}

/// Appends the answer and authority sections.
fn put_sections(
    zone: &Zone,
    labels: &Labels<'_>,
    question: &Question<'_>,
    context: &ResponseContext<'_>,
    turn: u16,
    out: &mut Vec<u8>,
) -> Option<Sections> {
    let mut sections = Sections {
        rcode: rcode::NOERROR,
        answer: 0,
        authority: 0,
    };

    match zone.find(labels, question.kind) {
        Found::Exact(node)
        | Found::Missing {
            wildcard: Some(node),
        } => match node.rrset(question.kind) {
            Some(set) => sections.answer = put_set(set, context, turn, out)?,
            // The chain of aliases has to be followed.
            None if node.rrset(kind::CNAME).is_some() => return None,
            None => sections.authority = put_denial(zone, labels, question, out),
        },
        Found::Missing { wildcard: None } => {
            sections.rcode = rcode::NXDOMAIN;
            sections.authority = put_denial(zone, labels, question, out);
        }
        Found::Delegated { .. } | Found::Renamed { .. } => return None,
    }

    Some(sections)
}

/// Appends the records of `set` and returns their number; `None` if their names have to be
/// compressed, or the addresses of hosts added.
fn put_set(
    set: &RRset,
    context: &ResponseContext<'_>,
    turn: u16,
    out: &mut Vec<u8>,
) -> Option<u16> {
    // RFC 3597, section 4: names in these types are compressed; their hosts have addresses to add.
    let compresses = rdata::fields(set.kind()).is_some_and(|f| f.contains(&Field::Name));
    if compresses || !rdata::additional(set.kind()).is_empty() {
        return None;
    }

    if Reach::leaves_unchanged(set) {
        out.extend_from_slice(set.packed());
        return Some(set.count() as u16);
    }

    let mut count = 0;
    for record in context.reach.records(set, turn) {
        out.extend_from_slice(record);
        count += 1;
    }
    Some(count)
}

/// Appends the zone's SOA record (RFC 2308, section 3) and returns the number of records.
fn put_denial(zone: &Zone, labels: &Labels<'_>, question: &Question<'_>, out: &mut Vec<u8>) -> u16 {
    debug_assert_eq!(labels.suffix(labels.count()), [0]);
    // The query name ends in the apex, so that the record's names can point into the question.
    let below = question.name.as_wire().len() - zone.apex().as_wire().len();
    zone.denial().put((HEADER + below) as u16, out);
    1
}
