//! [`answer`]: turns zones and a query into a response. Pure: no sockets, no clock.
//!
//! ```text
//!                    ┌─► fast: copies prepared records
//! octets ─► query ───┴─► lookup (RFC 1034, section 4.3.2) ─► write: compression, truncation
//! ```
//! The fast path gives the same answers as the lookup; tests compare it with [`answer_in_full`].
//! Whether a client is answered at all is decided before, by the [`Acl`](crate::Acl).

mod context;
mod fast;
mod forward;
mod lookup;
mod opt;
mod outcome;
mod query;
mod reply;
mod reverse;
mod signature;
mod write;

pub use context::Transport;
pub(crate) use context::{Client, QueryContext};
pub use forward::ForwardedQuery;
pub(crate) use forward::{ForwardQuestion, NamedRRset, ResolverResponse};
pub use outcome::Outcome;
pub(crate) use outcome::RateDecision;
pub(crate) use query::{qtype_of, question_of};
pub(crate) use reply::ede;

use query::{Query, Question};
use reply::Reply;
use write::ResponseContext;

use crate::rdata::{CLASS_IN, kind};
use crate::zones::ZoneSet;

/// Response codes (RFC 1035, section 4.1.1; RFC 6891, section 9).
pub mod rcode {
    #![expect(missing_docs, reason = "the names are those of the registry")]
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const YXDOMAIN: u16 = 6;
    pub const NOTAUTH: u16 = 9;
    pub const BADVERS: u16 = 16;
}

/// Octets of the largest response over UDP: it fits every path's MTU (DNS flag day 2020).
pub const MAX_UDP: usize = 1232;

/// The question class "any" (RFC 1035, section 3.2.5).
const CLASS_ANY: u16 = 255;

/// Answers `message` from `zones` into `response`, which is overwritten. No cookies, no server
/// identifier, no rate limit.
pub fn answer(
    zones: &ZoneSet,
    message: &[u8],
    transport: Transport,
    response: &mut Vec<u8>,
) -> Outcome {
    answer_to(
        zones,
        message,
        &QueryContext::plain(transport),
        || RateDecision::Answer,
        response,
    )
}

/// Answers as [`answer`] does, but never from prepared records: by the algorithm of RFC 1034 alone.
/// Conformance tests compare the two.
pub fn answer_in_full(
    zones: &ZoneSet,
    message: &[u8],
    transport: Transport,
    response: &mut Vec<u8>,
) -> Outcome {
    answer_by(
        no_fast_path,
        zones,
        message,
        &QueryContext::plain(transport),
        || RateDecision::Answer,
        response,
    )
}

/// Answers `message` from `zones` into `response`, which is overwritten. `rate_limit` is consulted
/// unless a cookie has proved the client's address.
pub(crate) fn answer_to(
    zones: &ZoneSet,
    message: &[u8],
    context: &QueryContext<'_>,
    rate_limit: impl FnOnce() -> RateDecision,
    response: &mut Vec<u8>,
) -> Outcome {
    answer_by(fast::answer, zones, message, context, rate_limit, response)
}

/// A way to answer that applies to some queries only, such as [`fast::answer`].
type FastPath = fn(&ZoneSet, &Query<'_>, &ResponseContext<'_>, usize, &mut Vec<u8>) -> Option<u16>;

fn no_fast_path(
    _: &ZoneSet,
    _: &Query<'_>,
    _: &ResponseContext<'_>,
    _: usize,
    _: &mut Vec<u8>,
) -> Option<u16> {
    None
}

// Inlined into both callers, so that the fast path is a direct call.
#[inline(always)]
fn answer_by(
    fast_path: FastPath,
    zones: &ZoneSet,
    message: &[u8],
    context: &QueryContext<'_>,
    rate_limit: impl FnOnce() -> RateDecision,
    response: &mut Vec<u8>,
) -> Outcome {
    response.clear();
    let Some(query) = Query::parse(message) else {
        return Outcome::Silent;
    };

    let response_context = context.response(zones, context.server_cookie(&query));
    if !context.has_valid_cookie(&query) {
        match rate_limit() {
            RateDecision::Answer => {}
            RateDecision::Truncate => {
                write::write_truncated(&query, &response_context, response);
                return Outcome::Truncated;
            }
            RateDecision::Drop => return Outcome::Dropped,
        }
    }

    let limit = limit(&query, context.client.transport);
    if let Some(rcode) = fast_path(zones, &query, &response_context, limit, response) {
        return Outcome::Answered(rcode);
    }

    // A fast path that gives up may have written something.
    response.clear();
    let reply = reply_to(zones, &query);
    // RFC 1034, section 5.3.1: recursion only for a client that desires it.
    if context.forwards
        && query.header.recursion_desired
        && let Some(name) = reply.forward
        && let Some(forwarded) = ForwardedQuery::new(&query, name)
    {
        return Outcome::Forward(Box::new(forwarded));
    }

    write::write(&query, &reply, &response_context, limit, response);
    Outcome::Answered(reply.rcode)
}

/// The reply from the zones alone.
fn reply_to<'z>(zones: &'z ZoneSet, query: &Query<'_>) -> Reply<'z> {
    if let Some(rcode) = query.fault {
        return Reply::error(rcode);
    }

    // RFC 6891, section 6.1.3.
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return Reply::error(rcode::BADVERS);
    }

    // RFC 7873, section 5.4: a query without a question asks for a server cookie.
    let Some(question) = &query.question else {
        return Reply::default();
    };

    match question.class {
        CLASS_IN => reply_to_question(zones, question),
        // RFC 1034, section 6.2.2: no server is authoritative for all classes.
        CLASS_ANY => Reply {
            aa: false,
            forward: None,
            ..reply_to_question(zones, question)
        },
        _ => Reply::explained(rcode::REFUSED, ede::NOT_SUPPORTED),
    }
}

fn reply_to_question<'z>(zones: &'z ZoneSet, question: &Question<'_>) -> Reply<'z> {
    match question.kind {
        // Zones are transferred over the mesh's control streams only.
        kind::AXFR | kind::IXFR => Reply::explained(rcode::REFUSED, ede::PROHIBITED),
        // RFC 1035, section 3.2.3: obsolete.
        kind::MAILB | kind::MAILA => Reply::explained(rcode::NOTIMP, ede::NOT_SUPPORTED),
        // RFC 6895, section 3.1: meta types that no question may have.
        0 | kind::OPT | kind::TKEY | kind::TSIG => Reply::error(rcode::FORMERR),
        qtype => lookup::lookup(zones, &question.name, qtype),
    }
}

/// The octets that the response may have.
fn limit(query: &Query<'_>, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        // RFC 1035, section 4.2.1.
        (Transport::Udp, None) => 512,
        // RFC 6891, section 6.2.3: values below 512 mean 512.
        (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(512, MAX_UDP),
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod service;
