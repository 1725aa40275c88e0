//! Names outside the consortium: what is to be asked of others ([`Ask`]), and how what they said
//! ([`Found`]) becomes part of our answer. Who they are and how they are asked is [`crate::forward`]'s.
//!
//! ```text
//!   our chain of aliases ─► what others said about its end ─► if that leads back to a zone of ours, its answer
//! ```
//! There is one way out for each question: where a chain leaves the consortium again, the answer ends.

use super::lookup::follow;
use super::query::Query;
use super::reply::{Data, Reply, Rr};
use super::write::About;
use super::{Asker, CLASS_IN, Outcome, limit, rcode, reply_to, write};
use crate::name::Name;
use crate::rdata::kind;
use crate::rrset::RRset;
use crate::zones::{Held, ZoneSet};

/// A question for others, of class IN. Questions that are equal have one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub(crate) name: Name,
    pub(crate) kind: u16,
    /// Signatures are wanted (RFC 3225), and the asker checks them itself (RFC 4035, section 3.2.2).
    pub(crate) dnssec_ok: bool,
    pub(crate) checking_disabled: bool,
}

/// What others said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rcode: u16,
    /// Why nothing was found (RFC 8914).
    pub(crate) ede: Option<u16>,
    pub(crate) answer: Vec<Owned>,
    pub(crate) authority: Vec<Owned>,
    pub(crate) additional: Vec<Owned>,
}

/// An RRset and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) owner: Name,
    pub(crate) set: RRset,
}

/// What others are to be asked to answer `message`; `None`: nothing.
pub(crate) fn ask_of(zones: &ZoneSet, message: &[u8]) -> Option<Ask> {
    let query = Query::parse(message)?;
    let question = query
        .question
        .as_ref()
        .filter(|question| question.class == CLASS_IN)?;
    Some(Ask {
        name: reply_to(zones, &query).elsewhere?,
        kind: question.kind,
        dnssec_ok: query.edns.as_ref().is_some_and(|edns| edns.dnssec_ok),
        checking_disabled: query.header.checking_disabled,
    })
}

/// Answers `message`, for which [`super::answer_to`] gave [`Outcome::Elsewhere`], with what others said,
/// `age` seconds ago; with `None`, as far as the consortium knows.
pub(crate) fn answer_others(
    zones: &ZoneSet,
    message: &[u8],
    asker: &Asker<'_>,
    found: Option<(&Found, u32)>,
    response: &mut Vec<u8>,
) -> Outcome {
    response.clear();
    let Some(query) = Query::parse(message) else {
        return Outcome::Silent;
    };
    let cookie = asker.baked(&query);
    // RFC 4035, section 3.2.2: an answer of others has the asker's CD bit; our own has none (section 3.1.6).
    let about = About {
        cd: query.header.checking_disabled,
        ..asker.about(zones, cookie)
    };
    let mut reply = reply_to(zones, &query);
    if let (Some(name), Some((found, age)), Some(question)) =
        (reply.elsewhere, found, &query.question)
    {
        reply = complete(zones, reply, (name, question.kind), found, age);
    }
    write::write(
        &query,
        &reply,
        &about,
        limit(&query, asker.transport),
        response,
    );
    Outcome::Answered(reply.rcode)
}

/// `chain`, and what was found at its end `name`.
fn complete<'z>(
    zones: &'z ZoneSet,
    chain: Reply<'z>,
    (name, qtype): (Name, u16),
    found: &'z Found,
    age: u32,
) -> Reply<'z> {
    let younger = |owned: &'z Owned| Rr {
        owner: owned.owner,
        ttl: owned.set.ttl().saturating_sub(age),
        data: Data::Set(&owned.set),
        needed: false,
    };
    let aa = !chain.answer.is_empty();
    let mut reply = Reply {
        rcode: found.rcode,
        ede: found.ede,
        aa,
        elsewhere: None,
        ..chain
    };
    reply.answer.extend(found.answer.iter().map(younger));
    let back = found
        .end(name, qtype)
        .filter(|end| !matches!(zones.holding(&end.labels()), Held::Nobody));
    if let Some(end) = back.filter(|end| reply.answer.iter().all(|rr| rr.owner != *end)) {
        // Whatever others believe of a name of ours.
        return follow(
            zones,
            end,
            qtype,
            Reply {
                rcode: rcode::NOERROR,
                ede: None,
                ..reply
            },
        );
    }
    reply.authority.extend(found.authority.iter().map(younger));
    reply
        .additional
        .extend(found.additional.iter().map(younger));
    reply
}

/// Links of a chain that are followed at most.
const MAX_CHAIN: usize = 16;

impl Found {
    /// The name at which the chain of aliases from `name` ends without an answer; `None` if there is no
    /// chain, or an answer.
    fn end(&self, name: Name, qtype: u16) -> Option<Name> {
        let mut end = name;
        for _ in 0..MAX_CHAIN {
            let at_end = || self.answer.iter().filter(|owned| owned.owner == end);
            if at_end().any(|owned| owned.set.kind() == qtype || qtype == kind::ANY) {
                return None;
            }
            let Some(alias) = at_end().find(|owned| owned.set.kind() == kind::CNAME) else {
                break;
            };
            (end, _) = Name::from_wire(alias.set.first()).ok()?;
        }
        (end != name).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use hickory_proto::op::Message;

    use super::super::{Transport, Verdict, answer_to};
    use super::*;
    use crate::zone::tests::zone;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn owned(owner: &str, kind: u16, data: &[u8]) -> Owned {
        Owned {
            owner: name(owner),
            set: RRset::pack(kind, 60, [data]),
        }
    }

    fn zones() -> ZoneSet {
        let text = "@ SOA gw h 7 60 10 100 5\npeer0 A 10.1.0.11\nwww CNAME www.corp.example.\nloop CNAME back.corp.example.\n";
        ZoneSet::of([zone("org1.example", text)])
    }

    fn question(qname: &str, flags: u16, qtype: u16) -> Vec<u8> {
        let head = [[0, 7], flags.to_be_bytes(), [0, 1], [0, 0], [0, 0], [0, 0]].concat();
        [&head, name(qname).as_wire(), &qtype.to_be_bytes(), &[0, 1]].concat()
    }

    const RD: u16 = 0x0100;

    fn asker(forwards: bool) -> Asker<'static> {
        let address = IpAddr::from([10, 0, 0, 7]);
        let class = crate::acl::Class::Site;
        Asker {
            address,
            class,
            transport: Transport::Udp,
            now: 0,
            cookies: None,
            nsid: &[],
            forwards,
        }
    }

    fn outcome(qname: &str, flags: u16, forwards: bool) -> Outcome {
        let message = question(qname, flags, kind::A);
        answer_to(
            &zones(),
            &message,
            &asker(forwards),
            || Verdict::Answer,
            &mut Vec::new(),
        )
    }

    fn told(qname: &str, found: &Found) -> Message {
        let mut response = Vec::new();
        let message = question(qname, RD, kind::A);
        answer_others(
            &zones(),
            &message,
            &asker(true),
            Some((found, 10)),
            &mut response,
        );
        Message::from_vec(&response).unwrap()
    }

    fn answers(message: &Message) -> Vec<String> {
        message
            .answers
            .iter()
            .map(|rr| format!("{} {} {}", rr.name, rr.ttl, rr.data))
            .collect()
    }

    #[test]
    fn only_names_outside_are_for_others_and_only_for_those_who_desire_and_may() {
        assert_eq!(outcome("www.corp.example", RD, true), Outcome::Elsewhere);
        assert_eq!(
            outcome("www.org1.example", RD, true),
            Outcome::Elsewhere,
            "its chain leads out"
        );
        for (qname, flags, forwards, rcode) in [
            ("www.corp.example", RD, false, rcode::REFUSED),
            ("www.corp.example", 0, true, rcode::REFUSED),
            ("www.org1.example", RD, false, rcode::NOERROR),
            ("peer0.org1.example", RD, true, rcode::NOERROR),
            ("no.org1.example", RD, true, rcode::NXDOMAIN),
        ] {
            assert_eq!(
                outcome(qname, flags, forwards),
                Outcome::Answered(rcode),
                "{qname}"
            );
        }
    }

    #[test]
    fn equal_questions_are_equal_whatever_their_case_and_id() {
        let zones = zones();
        let ask = |qname: &str| ask_of(&zones, &question(qname, RD, kind::A));
        assert_eq!(ask("WWW.Corp.Example"), ask("www.corp.example"));
        assert_eq!(
            ask("www.org1.example"),
            ask("www.corp.example"),
            "the end of our chain"
        );
        assert_eq!(ask("peer0.org1.example"), None);
    }

    #[test]
    fn what_others_said_stands_behind_our_chain_with_its_age_taken_off() {
        let found = Found {
            answer: vec![owned("www.corp.example", kind::A, &[192, 0, 2, 1])],
            ..Found::default()
        };
        let direct = told("www.corp.example", &found);
        assert_eq!(answers(&direct), ["www.corp.example. 50 192.0.2.1"]);
        assert!(!direct.metadata.authoritative && direct.metadata.recursion_available);
        let behind = told("www.org1.example", &found);
        assert_eq!(answers(&behind)[0], "www.org1.example. 5 www.corp.example.");
        assert_eq!(answers(&behind)[1], "www.corp.example. 50 192.0.2.1");
    }

    #[test]
    fn a_chain_back_into_the_consortium_is_answered_by_it_whatever_others_say() {
        let back = owned(
            "www.corp.example",
            kind::CNAME,
            name("peer0.org1.example").as_wire(),
        );
        let found = Found {
            rcode: rcode::NXDOMAIN,
            answer: vec![back],
            ..Found::default()
        };
        let message = told("www.corp.example", &found);
        assert_eq!(answers(&message)[1], "peer0.org1.example. 5 10.1.0.11");
        assert_eq!(u16::from(message.metadata.response_code), rcode::NOERROR);
    }

    #[test]
    fn a_chain_that_goes_to_and_fro_ends() {
        let back = owned(
            "back.corp.example",
            kind::CNAME,
            name("loop.org1.example").as_wire(),
        );
        let found = Found {
            answer: vec![back],
            ..Found::default()
        };
        assert_eq!(answers(&told("loop.org1.example", &found)).len(), 2);
        let circle = owned(
            "www.corp.example",
            kind::CNAME,
            name("www.corp.example").as_wire(),
        );
        let found = Found {
            answer: vec![circle],
            ..Found::default()
        };
        assert_eq!(answers(&told("www.corp.example", &found)).len(), 1);
    }
}
