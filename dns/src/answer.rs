//! [`answer`]: zones and a message in, the response out; no sockets, no clock.
//!
//! ```text
//! bytes ─► query (what is asked, may it be answered) ─► lookup (RFC 1034, 4.3.2) ─► write (bytes, truncation)
//! ```
//! Who may ask at all was decided before ([`crate::acl`]).

mod lookup;
mod query;
mod reply;
mod write;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod oracle;

use query::{Query, Unfit};
use reply::Reply;

use crate::rdata::kind;
use crate::zones::ZoneSet;

/// Response codes (RFC 1035, section 4.1.1; RFC 6891, section 9).
pub mod rcode {
    #![expect(missing_docs, reason = "the codes' own names")]
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const YXDOMAIN: u16 = 6;
    pub const BADVERS: u16 = 16;
}

/// How the question came, which bounds the answer's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// At most 512 octets, or what EDNS allows, at most [`MAX_UDP`].
    Udp,
    /// At most 65,535 octets.
    Tcp,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not to be answered at all: too short for a header, or itself a response.
    Silent,
    /// Answered with this response code.
    Answered(u16),
}

/// Octets of the largest UDP answer: fits every path's MTU (DNS flag day 2020).
pub const MAX_UDP: usize = 1232;

/// CLASS IN and the question class "any" (RFC 1035, sections 3.2.4 and 3.2.5).
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;

/// Answers `message` from `zones` into `response`, which is overwritten.
pub fn answer(zones: &ZoneSet, message: &[u8], transport: Transport, response: &mut Vec<u8>) -> Outcome {
    response.clear();
    let (query, fault) = match Query::parse(message) {
        Ok(query) => (query, None),
        Err(Unfit::Silent) => return Outcome::Silent,
        Err(Unfit::Error { header, rcode }) => (Query::without_question(header), Some(rcode)),
    };
    let reply = fault.map_or_else(|| reply_to(zones, &query), Reply::error);
    write::write(&query, &reply, limit(&query, transport), response);
    Outcome::Answered(reply.rcode)
}

fn reply_to<'z>(zones: &'z ZoneSet, query: &Query<'_>) -> Reply<'z> {
    let Some(question) = &query.question else { return Reply::error(rcode::FORMERR) };
    // RFC 6891, section 6.1.3.
    if query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Reply::error(rcode::BADVERS);
    }
    match (question.class, question.kind) {
        // Zones leave over control streams only.
        (CLASS_IN | CLASS_ANY, kind::AXFR | kind::IXFR) => Reply::error(rcode::REFUSED),
        // The obsolete mail question types, and pseudo types that are no questions (RFC 6895, section 3.1).
        (CLASS_IN | CLASS_ANY, 253 | 254) => Reply::error(rcode::NOTIMP),
        (CLASS_IN | CLASS_ANY, 0 | kind::OPT | 249 | 250) => Reply::error(rcode::FORMERR),
        (CLASS_IN, qtype) => lookup::lookup(zones, &question.name, qtype),
        // RFC 1034, section 6.2.2: nobody is authoritative for every class.
        (CLASS_ANY, qtype) => Reply { aa: false, ..lookup::lookup(zones, &question.name, qtype) },
        _ => Reply::error(rcode::REFUSED),
    }
}

fn limit(query: &Query<'_>, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => 512,
        // RFC 6891, section 6.2.3: values below 512 mean 512.
        (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(512, MAX_UDP),
    }
}
