//! [`answer`]: zones and a message in, the response out; no sockets, no clock.
//!
//! ```text
//!                                        ┌─► fast (what is ready, copied)
//! bytes ─► query (what is asked, and how) ┴─► lookup (RFC 1034, 4.3.2) ─► write (bytes, truncation)
//! ```
//! What is ready says what the lookup would say; [`answer_in_full`] is for tests of that.
//! Who may ask at all was decided before ([`crate::acl`]).

mod fast;
mod lookup;
mod opt;
mod others;
mod query;
mod reply;
mod reverse;
mod write;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod service;

use std::net::IpAddr;

use opt::Opt;
pub(crate) use others::{Ask, Found, Owned, answer_others, ask_of};
use query::Query;
pub(crate) use query::{qtype_of, question_of};
use reply::Reply;
pub(crate) use reply::ede;
use write::About;

use crate::acl::Class;
use crate::cookie::{COOKIE, CookieJar};
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
    /// Nothing was written: the name is nobody's in the consortium, and others are to be asked.
    Elsewhere,
    /// The asker has had enough: not answered, or only told to ask over TCP.
    Limited {
        /// Whether there is a response to send.
        told: bool,
    },
}

impl Outcome {
    /// True if there is a response to send.
    pub(crate) fn is_sent(self) -> bool {
        matches!(self, Outcome::Answered(_) | Outcome::Limited { told: true })
    }
}

/// Whether a question over UDP is answered, decided before any work is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answered.
    Answer,
    /// Told to ask over TCP, in as many octets as it asked with.
    Cut,
    /// Dropped.
    Drop,
}

/// Who asks, when, and what this server has to say in EDNS options.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The address that the question came from.
    pub address: IpAddr,
    /// What the asker is to this site.
    pub class: Class,
    /// How it came.
    pub transport: Transport,
    /// Seconds, for the age of cookies.
    pub now: u32,
    /// Completes and checks cookies; `None`: there are none.
    pub cookies: Option<&'a CookieJar>,
    /// This server's identifier (RFC 5001); empty: none.
    pub nsid: &'a [u8],
    /// Whether others are asked for names outside the consortium, on this asker's behalf.
    pub forwards: bool,
}

/// Octets of the largest UDP answer: fits every path's MTU (DNS flag day 2020).
pub const MAX_UDP: usize = 1232;

/// CLASS IN and the question class "any" (RFC 1035, sections 3.2.4 and 3.2.5).
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;

/// Answers `message` from `zones` into `response`, which is overwritten: no cookies, no identifier, no limit.
pub fn answer(
    zones: &ZoneSet,
    message: &[u8],
    transport: Transport,
    response: &mut Vec<u8>,
) -> Outcome {
    answer_to(
        zones,
        message,
        &Asker::nobody(transport),
        || Verdict::Answer,
        response,
    )
}

/// Answers as [`answer`] does, but never with what is ready: the algorithm of RFC 1034 alone.
pub fn answer_in_full(
    zones: &ZoneSet,
    message: &[u8],
    transport: Transport,
    response: &mut Vec<u8>,
) -> Outcome {
    answer_by(
        no_short_cut,
        zones,
        message,
        &Asker::nobody(transport),
        || Verdict::Answer,
        response,
    )
}

/// Answers `message` of `asker` from `zones` into `response`, which is overwritten. `verdict` is asked
/// unless a cookie has proved the asker's address.
pub fn answer_to(
    zones: &ZoneSet,
    message: &[u8],
    asker: &Asker<'_>,
    verdict: impl FnOnce() -> Verdict,
    response: &mut Vec<u8>,
) -> Outcome {
    answer_by(fast::answer, zones, message, asker, verdict, response)
}

/// A way to an answer that may have none: as [`fast::answer`].
type ShortCut = fn(&ZoneSet, &Query<'_>, &About<'_>, usize, &mut Vec<u8>) -> Option<u16>;

fn no_short_cut(
    _: &ZoneSet,
    _: &Query<'_>,
    _: &About<'_>,
    _: usize,
    _: &mut Vec<u8>,
) -> Option<u16> {
    None
}

#[inline(always)]
fn answer_by(
    short_cut: ShortCut,
    zones: &ZoneSet,
    message: &[u8],
    asker: &Asker<'_>,
    verdict: impl FnOnce() -> Verdict,
    response: &mut Vec<u8>,
) -> Outcome {
    response.clear();
    let Some(query) = Query::parse(message) else {
        return Outcome::Silent;
    };
    let (cookie, proved) = asker.cookie(&query);
    let about = asker.about(zones, cookie);
    match if proved { Verdict::Answer } else { verdict() } {
        Verdict::Answer => (),
        Verdict::Cut => {
            write::write_cut(&query, &about, response);
            return Outcome::Limited { told: true };
        }
        Verdict::Drop => return Outcome::Limited { told: false },
    }
    let limit = limit(&query, asker.transport);
    if let Some(rcode) = short_cut(zones, &query, &about, limit, response) {
        return Outcome::Answered(rcode);
    }
    response.clear();
    let reply = reply_to(zones, &query);
    // RFC 1034, section 5.3.1: only who desires recursion gets it.
    if asker.forwards && query.header.recursion_desired && reply.elsewhere.is_some() {
        debug_assert!(response.is_empty());
        return Outcome::Elsewhere;
    }
    write::write(&query, &reply, &about, limit, response);
    Outcome::Answered(reply.rcode)
}

impl Asker<'_> {
    /// Somebody without cookies.
    fn nobody(transport: Transport) -> Self {
        let (address, class) = (IpAddr::from([0; 16]), Class::Mesh);
        Asker {
            address,
            class,
            transport,
            now: 0,
            cookies: None,
            nsid: &[],
            forwards: false,
        }
    }

    /// The server's half of the cookie to send, and whether the one that came proves the address.
    fn cookie(&self, query: &Query<'_>) -> (Option<[u8; COOKIE]>, bool) {
        let (Some(came), Some(jar)) = (query.cookie(), self.cookies) else {
            return (None, false);
        };
        (
            Some(jar.bake(came, self.address, self.now)),
            jar.judge(came, self.address, self.now),
        )
    }

    /// The same without the check, for a question that has passed it.
    fn baked(&self, query: &Query<'_>) -> Option<[u8; COOKIE]> {
        Some(self.cookies?.bake(query.cookie()?, self.address, self.now))
    }

    fn about<'a>(&'a self, zones: &'a ZoneSet, cookie: Option<[u8; COOKIE]>) -> About<'a> {
        About {
            reach: zones.reach(),
            opt: Opt {
                cookie,
                nsid: self.nsid,
            },
            ra: self.forwards,
            cd: false,
        }
    }
}

fn reply_to<'z>(zones: &'z ZoneSet, query: &Query<'_>) -> Reply<'z> {
    if let Some(rcode) = query.fault {
        return Reply::error(rcode);
    }
    // RFC 6891, section 6.1.3.
    if query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Reply::error(rcode::BADVERS);
    }
    // RFC 7873, section 5.4: there is nothing to say but the cookie.
    let Some(question) = &query.question else {
        return Reply::default();
    };
    match (question.class, question.kind) {
        // Zones leave over control streams only.
        (CLASS_IN | CLASS_ANY, kind::AXFR | kind::IXFR) => {
            Reply::explained(rcode::REFUSED, ede::PROHIBITED)
        }
        // The obsolete mail question types, and pseudo types that are no questions (RFC 6895, section 3.1).
        (CLASS_IN | CLASS_ANY, 253 | 254) => Reply::explained(rcode::NOTIMP, ede::NOT_SUPPORTED),
        (CLASS_IN | CLASS_ANY, 0 | kind::OPT | 249 | 250) => Reply::error(rcode::FORMERR),
        (CLASS_IN, qtype) => lookup::lookup(zones, &question.name, qtype),
        // RFC 1034, section 6.2.2: nobody is authoritative for every class.
        (CLASS_ANY, qtype) => Reply {
            aa: false,
            elsewhere: None,
            ..lookup::lookup(zones, &question.name, qtype)
        },
        _ => Reply::explained(rcode::REFUSED, ede::NOT_SUPPORTED),
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
