//! [`CachedResponse`]: a resolver's response, converted to our types and checked, with how long it
//! may be cached.
//!
//! RFC 2308 (negative caching), RFC 2181 (TTLs, RRsets) and RFC 9520 (caching of failures).

use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use hickory_resolver::net::NoRecords;

use super::own_names::OwnNames;
use crate::answer::{NamedRRset, ResolverResponse, rcode};
use crate::name::Name;
use crate::rdata::{self, kind};
use crate::rrset::RRset;

/// Upper limit for answers, whatever their TTL is, and for the TTLs that clients receive: seconds.
const MAX_TTL: u32 = 24 * 3600;
const MAX_LIFETIME: Duration = Duration::from_secs(MAX_TTL as u64);
/// Upper limit for negative responses (RFC 2308, section 5, recommends one to three hours).
const MAX_NEGATIVE_LIFETIME: Duration = Duration::from_secs(3600);
/// For failures (RFC 9520, section 3.2): spares the resolvers a client's immediate repetitions.
const FAILURE_LIFETIME: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct CachedResponse {
    pub(super) content: ResolverResponse,
    pub(super) received: Instant,
    /// How long it may be cached; zero: not at all.
    pub(super) lifetime: Duration,
    /// Octets of its records.
    pub(super) size: usize,
}

/// The response breaks the protocol.
#[derive(Debug)]
pub(super) struct Malformed;

impl CachedResponse {
    /// Seconds since it was received, by which its TTLs are reduced.
    pub(super) fn age(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.received).as_secs() as u32
    }

    /// Converts a response that has an answer. Records of the consortium's `own` names are left
    /// out.
    pub(super) fn positive(
        response: &Message,
        own: &OwnNames,
    ) -> Result<CachedResponse, Malformed> {
        let rcode = response.metadata.response_code.into();
        // Any other code says nothing about the name: another server is asked.
        if !matches!(rcode, rcode::NOERROR | rcode::NXDOMAIN) {
            return Err(Malformed);
        }

        let content = ResolverResponse {
            rcode,
            ede: None,
            answer: rrsets(&response.answers, own)?,
            authority: rrsets(&response.authorities, own)?,
            additional: rrsets(&response.additionals, own)?,
        };
        Ok(CachedResponse::from(content))
    }

    /// Converts a response without answer: NXDOMAIN or NODATA (RFC 2308, section 2).
    pub(super) fn negative(none: &NoRecords, own: &OwnNames) -> Result<CachedResponse, Malformed> {
        let authorities = none.authorities.as_deref().unwrap_or_default();
        let content = ResolverResponse {
            rcode: none.response_code.into(),
            authority: rrsets(authorities, own)?,
            ..ResolverResponse::default()
        };
        Ok(CachedResponse::from(content))
    }
}

impl From<ResolverResponse> for CachedResponse {
    fn from(content: ResolverResponse) -> CachedResponse {
        let size = [&content.answer, &content.authority, &content.additional]
            .into_iter()
            .flatten()
            .map(|named| size_of::<NamedRRset>() + named.set.packed().len())
            .sum();

        CachedResponse {
            lifetime: lifetime(&content),
            content,
            received: Instant::now(),
            size,
        }
    }
}

fn lifetime(content: &ResolverResponse) -> Duration {
    if !matches!(content.rcode, rcode::NOERROR | rcode::NXDOMAIN) {
        return FAILURE_LIFETIME;
    }

    let shortest_ttl = content.answer.iter().map(|named| named.set.ttl()).min();
    let answer = shortest_ttl.map_or(MAX_LIFETIME, seconds).min(MAX_LIFETIME);
    let soa = content
        .authority
        .iter()
        .find(|named| named.set.kind() == kind::SOA);
    match soa {
        // RFC 2308, section 5. A chain of aliases can end in a negative answer, too.
        Some(soa) => answer
            .min(seconds(soa.set.ttl()))
            .min(minimum(&soa.set))
            .min(MAX_NEGATIVE_LIFETIME),
        // RFC 2308, section 5: a negative answer without an SOA should not be cached.
        None if content.answer.is_empty() || content.rcode == rcode::NXDOMAIN => Duration::ZERO,
        None => answer,
    }
}

/// The SOA's MINIMUM field, its last.
fn minimum(soa: &RRset) -> Duration {
    soa.first().last_chunk().map_or(Duration::ZERO, |minimum| {
        seconds(u32::from_be_bytes(*minimum))
    })
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

/// Groups the records of a section into RRsets. Only adjacent records form a set.
fn rrsets(records: &[Record], own: &OwnNames) -> Result<Vec<NamedRRset>, Malformed> {
    let mut sets = Vec::new();
    for set in records.chunk_by(is_same_set) {
        let owner = name(&set[0].name)?;
        // A resolver has no say about the consortium's names.
        if own.has(&owner) {
            continue;
        }

        sets.push(NamedRRset {
            owner,
            set: pack(set)?,
        });
    }
    Ok(sets)
}

fn is_same_set(a: &Record, b: &Record) -> bool {
    a.name == b.name && a.record_type() == b.record_type()
}

/// `records` are those of one set, at least one.
fn pack(records: &[Record]) -> Result<RRset, Malformed> {
    let kind = records[0].record_type().into();
    // RFC 2181, section 5.2: a set has one TTL, the lowest. Section 8: above 2^31 - 1, it is 0.
    let ttl = records
        .iter()
        .map(|record| record.ttl)
        .min()
        .filter(|ttl| *ttl <= i32::MAX as u32)
        .unwrap_or(0)
        .min(MAX_TTL);

    let data = records
        .iter()
        .map(|record| encode(&record.data))
        .collect::<Result<Vec<_>, _>>()?;
    // The same checks as for zones: hickory-proto is more tolerant.
    if !rdata::is_data(kind) || data.iter().any(|data| rdata::check(kind, data).is_err()) {
        return Err(Malformed);
    }
    Ok(RRset::pack(kind, ttl, data.iter().map(Vec::as_slice)))
}

fn name(name: &hickory_proto::rr::Name) -> Result<Name, Malformed> {
    let wire = encode(name)?;
    let (name, _) = Name::from_wire(&wire).map_err(|_| Malformed)?;
    Ok(name)
}

/// The wire form without name compression.
fn encode(data: &impl BinEncodable) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|_| Malformed)?;
    Ok(bytes)
}
