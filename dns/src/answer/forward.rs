//! Queries for names outside the consortium: what the configured resolvers are queried for
//! ([`ForwardQuestion`]), and how their response ([`ResolverResponse`]) becomes part of ours. Which
//! resolvers there are and how they are queried belongs to [`crate::forward`].
//!
//! ```text
//! our chain of aliases ─► the resolvers' response for its end
//!                                       └─► if that leads back into our zones: the zone's answer
//! ```
//! A query is forwarded once: where a chain of aliases leaves the consortium a second time, the
//! answer ends.

use super::context::QueryContext;
use super::lookup::{MAX_CHAIN, follow};
use super::outcome::Outcome;
use super::query::{OwnedQuery, Query};
use super::reply::{Data, Reply, Rr};
use super::write::{self, ResponseContext};
use super::{limit, rcode, reply_to};
use crate::name::Name;
use crate::rdata::kind;
use crate::rrset::RRset;
use crate::zones::{Authority, ZoneSet};

/// A query that waits for the configured resolvers. It was parsed once, when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedQuery {
    query: OwnedQuery,
    question: ForwardQuestion,
}

/// A question for the resolvers, of class IN. Equal questions share one query and one cached
/// response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ForwardQuestion {
    pub(crate) name: Name,
    pub(crate) kind: u16,
    /// The client wants signatures (RFC 3225).
    pub(crate) dnssec_ok: bool,
    /// The client validates signatures itself (RFC 4035, section 3.2.2).
    pub(crate) checking_disabled: bool,
}

/// What a resolver answered to a [`ForwardQuestion`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolverResponse {
    pub(crate) rcode: u16,
    /// Why there is no answer (RFC 8914).
    pub(crate) ede: Option<u16>,
    pub(crate) answer: Vec<NamedRRset>,
    pub(crate) authority: Vec<NamedRRset>,
    pub(crate) additional: Vec<NamedRRset>,
}

/// An RRset and its owner name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedRRset {
    pub(crate) owner: Name,
    pub(crate) set: RRset,
}

impl ForwardedQuery {
    /// `query`, for which the resolvers are to find out about `name`; `None` if it has no question.
    pub(super) fn new(query: &Query<'_>, name: Name) -> Option<ForwardedQuery> {
        let kind = query.question.as_ref()?.kind;

        Some(ForwardedQuery {
            query: query.to_owned()?,
            question: ForwardQuestion {
                name,
                kind,
                dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
                checking_disabled: query.header.checking_disabled,
            },
        })
    }

    /// What the resolvers are queried for.
    pub(crate) fn question(&self) -> &ForwardQuestion {
        &self.question
    }

    /// Answers with what a resolver said `age` seconds ago; with `None`, from the consortium's
    /// zones alone. `response` is overwritten.
    pub(crate) fn answer(
        &self,
        zones: &ZoneSet,
        context: &QueryContext<'_>,
        resolved: Option<(&ResolverResponse, u32)>,
        response: &mut Vec<u8>,
    ) -> Outcome {
        response.clear();
        let query = self.query.as_query();
        let response_context = ResponseContext {
            // RFC 4035, section 3.2.2: a resolver's response has the CD bit of the query.
            cd: query.header.checking_disabled,
            ..context.response(zones, context.server_cookie(&query))
        };

        // The zones may have changed since the query arrived, so the chain is followed again.
        let mut reply = reply_to(zones, &query);
        if let Some(name) = reply.forward
            && let Some((resolved, age)) = resolved
        {
            reply = complete(zones, reply, name, self.question.kind, resolved, age);
        }

        let limit = limit(&query, context.client.transport);
        write::write(&query, &reply, &response_context, limit, response);
        Outcome::Answered(reply.rcode)
    }
}

/// Appends the resolver's response about `name` to `chain`, which ends at that name.
fn complete<'z>(
    zones: &'z ZoneSet,
    chain: Reply<'z>,
    name: Name,
    qtype: u16,
    resolved: &'z ResolverResponse,
    age: u32,
) -> Reply<'z> {
    let mut reply = Reply {
        rcode: resolved.rcode,
        ede: resolved.ede,
        // RFC 1034, section 6.2.1: AA is about the first owner name of the answer section.
        aa: !chain.answer.is_empty(),
        forward: None,
        ..chain
    };
    reply.answer.extend(aged(&resolved.answer, age));

    if let Some(end) = resolved.chain_end(name, qtype)
        && !matches!(zones.authority(&end.labels()), Authority::Outside)
        && reply.answer.iter().all(|rr| rr.owner != end)
    {
        // Our zones are authoritative for this name, whatever the resolver says about it.
        let reply = Reply {
            rcode: rcode::NOERROR,
            ede: None,
            ..reply
        };
        return follow(zones, end, qtype, reply);
    }

    reply.authority.extend(aged(&resolved.authority, age));
    reply.additional.extend(aged(&resolved.additional, age));
    reply
}

/// The sets with `age` seconds taken off their TTLs.
fn aged(sets: &[NamedRRset], age: u32) -> impl Iterator<Item = Rr<'_>> {
    sets.iter().map(move |named| Rr {
        owner: named.owner,
        ttl: named.set.ttl().saturating_sub(age),
        data: Data::Set(&named.set),
        needed: false,
    })
}

impl ResolverResponse {
    /// The name at which the chain of aliases from `name` ends without an answer; `None` if there
    /// is no chain, or an answer at its end.
    fn chain_end(&self, name: Name, qtype: u16) -> Option<Name> {
        let mut end = name;

        // Bounded, since a resolver's aliases may form a loop.
        for _ in 0..MAX_CHAIN {
            let mut alias = None;
            for named in self.answer.iter().filter(|named| named.owner == end) {
                if named.set.kind() == qtype || qtype == kind::ANY {
                    return None;
                }
                if named.set.kind() == kind::CNAME && alias.is_none() {
                    alias = Some(&named.set);
                }
            }

            let Some(alias) = alias else { break };
            end = Name::from_wire(alias.first()).ok()?.0;
        }

        (end != name).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use hickory_proto::op::Message;

    use super::super::{Client, RateDecision, Transport, answer_to};
    use super::*;
    use crate::acl::Locality;
    use crate::zone::tests::zone;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn set(owner: &str, kind: u16, data: &[u8]) -> NamedRRset {
        NamedRRset {
            owner: name(owner),
            set: RRset::pack(kind, 60, [data]),
        }
    }

    fn zones() -> ZoneSet {
        let text = "@ SOA gw h 7 60 10 100 5\n\
            peer0 A 10.1.0.11\n\
            www CNAME www.corp.example.\n\
            loop CNAME back.corp.example.\n";
        ZoneSet::of([zone("org1.example", text)])
    }

    const RD: u16 = 0x0100;

    fn query(qname: &str, flags: u16) -> Vec<u8> {
        let head = [[0, 7], flags.to_be_bytes(), [0, 1], [0, 0], [0, 0], [0, 0]].concat();
        [&head, name(qname).as_wire(), &[0, 1, 0, 1]].concat()
    }

    fn context(forwards: bool) -> QueryContext<'static> {
        QueryContext {
            client: Client {
                address: IpAddr::from([10, 0, 0, 7]),
                locality: Locality::Site,
                transport: Transport::Udp,
            },
            now: 0,
            cookies: None,
            nsid: &[],
            forwards,
        }
    }

    fn outcome(qname: &str, flags: u16, forwards: bool) -> Outcome {
        answer_to(
            &zones(),
            &query(qname, flags),
            &context(forwards),
            || RateDecision::Answer,
            &mut Vec::new(),
        )
    }

    /// The query for the address of `qname`, which must be forwarded.
    fn forwarded(qname: &str) -> ForwardedQuery {
        match outcome(qname, RD, true) {
            Outcome::Forward(query) => *query,
            other => panic!("{qname}: {other:?}"),
        }
    }

    /// Our response when a resolver answered with `resolved` ten seconds ago.
    fn response(qname: &str, resolved: &ResolverResponse) -> Message {
        let mut response = Vec::new();
        forwarded(qname).answer(
            &zones(),
            &context(true),
            Some((resolved, 10)),
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
    fn forwards_names_outside_the_consortium_if_recursion_is_desired_and_available() {
        forwarded("www.corp.example");
        // Its alias leads out of the consortium.
        forwarded("www.org1.example");

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
    fn queries_that_differ_in_case_or_lead_to_the_same_name_share_a_question() {
        let question = |qname| *forwarded(qname).question();
        assert_eq!(question("WWW.Corp.Example"), question("www.corp.example"));
        assert_eq!(question("www.org1.example"), question("www.corp.example"));
    }

    #[test]
    fn the_resolvers_answer_follows_our_chain_with_its_age_taken_off_the_ttl() {
        let resolved = ResolverResponse {
            answer: vec![set("www.corp.example", kind::A, &[192, 0, 2, 1])],
            ..ResolverResponse::default()
        };
        let direct = response("www.corp.example", &resolved);
        assert_eq!(answers(&direct), ["www.corp.example. 50 192.0.2.1"]);
        assert!(!direct.metadata.authoritative && direct.metadata.recursion_available);

        let behind_alias = answers(&response("www.org1.example", &resolved));
        assert_eq!(behind_alias[0], "www.org1.example. 5 www.corp.example.");
        assert_eq!(behind_alias[1], "www.corp.example. 50 192.0.2.1");
    }

    #[test]
    fn a_response_has_the_querys_id_case_and_cd_bit() {
        const CD: u16 = 0x0010;
        let Outcome::Forward(forwarded) = outcome("wWw.Corp.example", RD | CD, true) else {
            panic!("it is not forwarded");
        };
        assert!(forwarded.question().checking_disabled);

        let mut bytes = Vec::new();
        let resolved = ResolverResponse::default();
        forwarded.answer(&zones(), &context(true), Some((&resolved, 0)), &mut bytes);
        assert_eq!(bytes[..2], [0, 7]);
        assert_eq!(bytes[12..], query("wWw.Corp.example", 0)[12..]);
        assert!(
            Message::from_vec(&bytes)
                .unwrap()
                .metadata
                .checking_disabled
        );
    }

    #[test]
    fn a_chain_back_into_the_consortium_is_answered_from_its_zone() {
        let resolved = ResolverResponse {
            rcode: rcode::NXDOMAIN,
            answer: vec![set(
                "www.corp.example",
                kind::CNAME,
                name("peer0.org1.example").as_wire(),
            )],
            ..ResolverResponse::default()
        };
        let message = response("www.corp.example", &resolved);
        assert_eq!(answers(&message)[1], "peer0.org1.example. 5 10.1.0.11");
        assert_eq!(u16::from(message.metadata.response_code), rcode::NOERROR);
    }

    #[test]
    fn a_loop_of_aliases_ends() {
        let to_alias = |owner: &str, target: &str| ResolverResponse {
            answer: vec![set(owner, kind::CNAME, name(target).as_wire())],
            ..ResolverResponse::default()
        };
        let back = to_alias("back.corp.example", "loop.org1.example");
        assert_eq!(answers(&response("loop.org1.example", &back)).len(), 2);
        let itself = to_alias("www.corp.example", "www.corp.example");
        assert_eq!(answers(&response("www.corp.example", &itself)).len(), 1);
    }
}
