//! [`Said`]: a resolver's response in our own words, checked: only what may be kept and told is left.

use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use hickory_resolver::net::NoRecords;

use crate::answer::{Found, Owned, rcode};
use crate::name::Name;
use crate::rdata::{self, kind};
use crate::rrset::RRset;

/// Answers are kept no longer, whatever their TTL says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Denials are kept no longer (RFC 2308, section 5).
const LONGEST_DENIAL: Duration = Duration::from_secs(3600);
/// A failure is remembered for as long (RFC 9520, section 3.2): whoever asks again at once hears of it at once.
const FAILURE: Duration = Duration::from_secs(1);

/// What was said, and when.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) found: Found,
    pub(super) at: Instant,
    /// How long it may be told again.
    pub(super) holds: Duration,
    /// Octets.
    pub(super) size: usize,
}

/// The response is not what it should be.
#[derive(Debug)]
pub(super) struct Malformed;

impl Said {
    /// Seconds since it was said.
    pub(super) fn age(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.at).as_secs() as u32
    }

    /// From a response with an answer. What it says about names of `domain` is left out.
    pub(super) fn answer(response: &Message, domain: &Name) -> Result<Said, Malformed> {
        let rcode = response.metadata.response_code.into();
        if !matches!(rcode, rcode::NOERROR | rcode::NXDOMAIN) {
            return Err(Malformed);
        }
        Ok(Said::from(Found {
            rcode,
            ede: None,
            answer: sets(&response.answers, domain)?,
            authority: sets(&response.authorities, domain)?,
            additional: sets(&response.additionals, domain)?,
        }))
    }

    /// From a response without: NXDOMAIN or no data.
    pub(super) fn denial(none: &NoRecords, domain: &Name) -> Result<Said, Malformed> {
        let authority = sets(none.authorities.as_deref().unwrap_or_default(), domain)?;
        Ok(Said::from(Found {
            rcode: none.response_code.into(),
            authority,
            ..Found::default()
        }))
    }
}

impl From<Found> for Said {
    fn from(found: Found) -> Said {
        let all = [&found.answer, &found.authority, &found.additional]
            .into_iter()
            .flatten();
        let size = all
            .map(|owned| size_of::<Owned>() + owned.set.packed().len())
            .sum();
        Said {
            holds: holds(&found),
            found,
            at: Instant::now(),
            size,
        }
    }
}

fn holds(found: &Found) -> Duration {
    let shortest = |sets: &[Owned]| sets.iter().map(|owned| owned.set.ttl()).min();
    if !matches!(found.rcode, rcode::NOERROR | rcode::NXDOMAIN) {
        return FAILURE;
    }
    let answer = shortest(&found.answer)
        .map_or(LONGEST, seconds)
        .min(LONGEST);
    let soa = found
        .authority
        .iter()
        .find(|owned| owned.set.kind() == kind::SOA);
    match soa {
        // RFC 2308, section 5: at the end of a chain, too.
        Some(soa) => answer
            .min(seconds(soa.set.ttl()))
            .min(minimum(&soa.set))
            .min(LONGEST_DENIAL),
        // RFC 2308, section 5: a denial without an SOA is not kept.
        None if found.answer.is_empty() || found.rcode == rcode::NXDOMAIN => Duration::ZERO,
        None => answer,
    }
}

/// The last field of an SOA.
fn minimum(soa: &RRset) -> Duration {
    soa.first().last_chunk().map_or(Duration::ZERO, |minimum| {
        seconds(u32::from_be_bytes(*minimum))
    })
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

/// The records of a section as sets, in their order; those of one set stand together.
fn sets(records: &[Record], domain: &Name) -> Result<Vec<Owned>, Malformed> {
    let mut sets = Vec::new();
    let mut rest = records;
    while let Some(first) = rest.first() {
        let is_same = |record: &&Record| {
            record.name == first.name && record.record_type() == first.record_type()
        };
        let (set, tail) = rest.split_at(rest.iter().take_while(is_same).count());
        rest = tail;
        let owner = name(&first.name)?;
        if !owner.is_within(domain) {
            sets.push(Owned {
                owner,
                set: packed(set)?,
            });
        }
    }
    Ok(sets)
}

fn packed(records: &[Record]) -> Result<RRset, Malformed> {
    let kind = records
        .first()
        .map_or(0, |record| record.record_type().into());
    // RFC 2181, section 5.2: one TTL; section 8: the highest bit means none.
    let ttl = records
        .iter()
        .map(|record| record.ttl)
        .min()
        .filter(|ttl| *ttl <= i32::MAX as u32);
    let data = records
        .iter()
        .map(|record| encoded(&record.data))
        .collect::<Result<Vec<_>, _>>()?;
    if !rdata::is_data(kind) || data.iter().any(|data| rdata::check(kind, data).is_err()) {
        return Err(Malformed);
    }
    Ok(RRset::pack(
        kind,
        ttl.unwrap_or(0),
        data.iter().map(Vec::as_slice),
    ))
}

fn name(name: &hickory_proto::rr::Name) -> Result<Name, Malformed> {
    Ok(Name::from_wire(&encoded(name)?).map_err(|_| Malformed)?.0)
}

fn encoded(data: &impl BinEncodable) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|_| Malformed)?;
    Ok(bytes)
}
