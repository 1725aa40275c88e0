//! [`scrub`]: keeps of a resolver's response what answers the question. Dropped are addresses that
//! would lead clients into this site, records of names that were not asked for, and servers that
//! clients do not ask.

use std::net::IpAddr;

use ringway_config::{Prefix, bogon, is_private};

use crate::answer::{ForwardQuestion, NamedRRset, ResolverResponse, ede};
use crate::name::Name;
use crate::rdata::{kind, service};
use crate::reach::address;
use crate::rrset::RRset;

/// Aliases that are followed.
const MAX_CHAIN: usize = 16;

/// Drops the records of `response` that do not belong to `question`, and unless `private_answers`
/// is set, those with addresses that the Internet does not route.
pub(super) fn scrub(
    response: &mut ResolverResponse,
    question: &ForwardQuestion,
    private_answers: bool,
) {
    let chain = chain(&response.answer, question.name);
    response
        .answer
        .retain(|named| belongs(named, &chain, question.kind));
    // Clients ask this gateway only: they need no other servers, and no addresses of these.
    response.authority.retain(is_denial);
    response.additional.clear();

    if !private_answers && drop_private(&mut response.answer) {
        response.ede = Some(ede::BLOCKED);
    }
}

/// The names that aliases lead to from `name`, itself first.
fn chain(answer: &[NamedRRset], name: Name) -> Vec<Name> {
    let mut chain = vec![name];
    let mut end = name;

    // Bounded, since a resolver's aliases may form a loop.
    for _ in 0..MAX_CHAIN {
        let alias = answer
            .iter()
            .find(|named| named.owner == end && named.set.kind() == kind::CNAME);
        let Some((target, _)) = alias.and_then(|named| Name::from_wire(named.set.first()).ok())
        else {
            break;
        };
        chain.push(target);
        end = target;
    }
    chain
}

/// True for the aliases of the chain, what they lead to, and the signatures of both.
fn belongs(named: &NamedRRset, chain: &[Name], qtype: u16) -> bool {
    let is_in_chain = chain.contains(&named.owner);

    match named.set.kind() {
        kind::CNAME | kind::RRSIG => is_in_chain,
        // RFC 6672: it stands above a name of the chain.
        kind::DNAME => chain.iter().any(|name| name.is_within(&named.owner)),
        kind => is_in_chain && (kind == qtype || qtype == kind::ANY),
    }
}

/// True for what proves that a name or type does not exist (RFC 2308, RFC 4035).
fn is_denial(named: &NamedRRset) -> bool {
    matches!(
        named.set.kind(),
        kind::SOA | kind::NSEC | kind::NSEC3 | kind::RRSIG
    )
}

/// True if there were some.
fn drop_private(answer: &mut Vec<NamedRRset>) -> bool {
    let mut has_dropped = false;

    answer.retain_mut(|named| {
        let set = &named.set;
        let public: Vec<&[u8]> = set.data().filter(|data| !is_inside(set, data)).collect();
        if public.len() == set.count() {
            return true;
        }

        has_dropped = true;
        let is_left = !public.is_empty();
        if is_left {
            named.set = RRset::pack(set.kind(), set.ttl(), public);
        }
        is_left
    });
    has_dropped
}

/// True if a record has an address that the Internet does not route.
fn is_inside(set: &RRset, data: &[u8]) -> bool {
    match set.kind() {
        kind::A | kind::AAAA => address(data).is_some_and(is_unrouted),
        kind::SVCB | kind::HTTPS => hints(data).any(is_unrouted),
        _ => false,
    }
}

fn is_unrouted(address: IpAddr) -> bool {
    is_private(address) || bogon(&Prefix::host(address)).is_some()
}

/// The addresses in the parameters of SVCB data (RFC 9460, section 7.3).
fn hints(data: &[u8]) -> impl Iterator<Item = IpAddr> {
    // The priority and the target come first.
    let after_target = data.get(2..).and_then(|rest| {
        let (_, len) = Name::from_wire(rest).ok()?;
        rest.get(len..)
    });

    service::params(after_target.unwrap_or(&[])).flat_map(|(key, value)| {
        let size = match key {
            service::key::IPV4HINT => 4,
            service::key::IPV6HINT => 16,
            // No chunk of a value that is shorter.
            _ => usize::MAX,
        };
        value.chunks_exact(size).filter_map(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn named(owner: &str, kind: u16, data: &[&[u8]]) -> NamedRRset {
        NamedRRset {
            owner: name(owner),
            set: RRset::pack(kind, 5, data.iter().copied()),
        }
    }

    fn question(kind: u16) -> ForwardQuestion {
        ForwardQuestion {
            name: name("www.example"),
            kind,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    /// Owners and numbers of records of what is left of an answer.
    fn left(answer: Vec<NamedRRset>, private_answers: bool) -> (Vec<(String, usize)>, Option<u16>) {
        let mut response = ResolverResponse {
            answer,
            ..ResolverResponse::default()
        };
        scrub(&mut response, &question(kind::A), private_answers);

        let left = response.answer.iter();
        let left = left.map(|named| (named.owner.to_string(), named.set.count()));
        (left.collect(), response.ede)
    }

    #[test]
    fn only_the_chain_from_the_question_is_kept() {
        let alias = named("www.example", kind::CNAME, &[name("cdn.example").as_wire()]);
        let target = named("cdn.example", kind::A, &[&[192, 0, 2, 1]]);
        let stranger = named("bank.example", kind::A, &[&[192, 0, 2, 66]]);
        let other_type = named("cdn.example", kind::TXT, &[b"\x01x"]);

        let answer = vec![stranger, alias, other_type, target];
        let (left, _) = left(answer, false);
        assert_eq!(left, [("www.example".into(), 1), ("cdn.example".into(), 1)]);
    }

    #[test]
    fn a_loop_of_aliases_ends() {
        let to_other = named("www.example", kind::CNAME, &[name("b.example").as_wire()]);
        let back = named("b.example", kind::CNAME, &[name("www.example").as_wire()]);
        assert_eq!(left(vec![to_other, back], false).0.len(), 2);
    }

    #[test]
    fn addresses_that_the_internet_does_not_route_are_dropped() {
        let public = [192, 0, 2, 1];
        for inside in [
            [10, 1, 0, 11],
            [172, 16, 0, 1],
            [192, 168, 1, 1],
            [100, 64, 0, 1],
            [127, 0, 0, 1],
            [169, 254, 169, 254],
            [0, 0, 0, 0],
        ] {
            let both = || vec![named("www.example", kind::A, &[&public, &inside])];
            let expected = [("www.example".to_string(), 1)];
            assert_eq!(left(both(), false), (expected.into(), Some(ede::BLOCKED)));
            assert_eq!(left(both(), true).0, [("www.example".to_string(), 2)]);

            let alone = vec![named("www.example", kind::A, &[&inside])];
            assert_eq!(left(alone, false), (vec![], Some(ede::BLOCKED)));
        }
    }

    #[test]
    fn hints_that_lead_inside_are_dropped() {
        let https = |hint: [u8; 4]| {
            // Priority 1, the root as target, ipv4hint of one address.
            let head = [0, 1, 0, 0, 4, 0, 4];
            [&head[..], &hint].concat()
        };
        let inside = https([10, 0, 0, 1]);
        let public = https([192, 0, 2, 1]);
        let mut response = ResolverResponse {
            answer: vec![named("www.example", kind::HTTPS, &[&inside, &public])],
            ..ResolverResponse::default()
        };
        scrub(&mut response, &question(kind::HTTPS), false);
        assert_eq!(response.answer[0].set.data().collect::<Vec<_>>(), [&public]);
    }

    #[test]
    fn of_the_other_sections_only_a_denial_is_kept() {
        let soa = named("example", kind::SOA, &[b"irrelevant here"]);
        let ns = named("example", kind::NS, &[name("evil.example").as_wire()]);
        let glue = named("evil.example", kind::A, &[&[192, 0, 2, 66]]);
        let mut response = ResolverResponse {
            authority: vec![soa.clone(), ns],
            additional: vec![glue],
            ..ResolverResponse::default()
        };
        scrub(&mut response, &question(kind::A), false);
        assert_eq!(response.authority, [soa]);
        assert!(response.additional.is_empty());
    }

    fn kept(kind: u16, answer: Vec<NamedRRset>) -> Vec<(String, u16)> {
        let mut response = ResolverResponse {
            answer,
            ..ResolverResponse::default()
        };
        scrub(&mut response, &question(kind), false);

        let kept = response.answer.iter();
        kept.map(|named| (named.owner.to_string(), named.set.kind()))
            .collect()
    }

    #[test]
    fn aliases_and_signatures_of_other_names_are_dropped() {
        let target = name("cdn.example");
        let evil = name("evil.example");
        let alias = || named("www.example", kind::CNAME, &[target.as_wire()]);
        let answer = vec![
            alias(),
            named("www.example", kind::RRSIG, &[b"of the alias"]),
            named("cdn.example", kind::A, &[&[192, 0, 2, 1]]),
            named("cdn.example", kind::RRSIG, &[b"of the address"]),
            named("bank.example", kind::CNAME, &[evil.as_wire()]),
            named("bank.example", kind::RRSIG, &[b"of another"]),
        ];
        let expected = [
            ("www.example".to_owned(), kind::CNAME),
            ("www.example".to_owned(), kind::RRSIG),
            ("cdn.example".to_owned(), kind::A),
            ("cdn.example".to_owned(), kind::RRSIG),
        ];
        assert_eq!(kept(kind::A, answer), expected);
    }

    #[test]
    fn a_dname_is_kept_above_a_name_of_the_chain_alone() {
        let target = name("example.org");
        for (owner, is_kept) in [
            ("example", true),
            (".", true),
            ("other.example", false),
            ("below.www.example", false),
        ] {
            let answer = vec![named(owner, kind::DNAME, &[target.as_wire()])];
            let is_there = !kept(kind::A, answer).is_empty();
            assert_eq!(is_there, is_kept, "{owner}");
        }
    }

    #[test]
    fn a_question_for_every_type_is_answered_with_every_type() {
        let answer = || {
            vec![
                named("www.example", kind::TXT, &[b"\x01x"]),
                named("www.example", kind::A, &[&[192, 0, 2, 1]]),
                named("bank.example", kind::A, &[&[192, 0, 2, 66]]),
            ]
        };
        assert_eq!(kept(kind::ANY, answer()).len(), 2);
        assert_eq!(kept(kind::TXT, answer()).len(), 1);
    }

    #[test]
    fn hints_of_ipv6_that_lead_inside_are_dropped() {
        let https = |hint: std::net::Ipv6Addr| {
            // Priority 1, the root as target, ipv6hint of one address.
            let head = [0, 1, 0, 0, 6, 0, 16];
            [&head[..], &hint.octets()].concat()
        };
        let [inside, public] = ["fd00::1", "2606:4700::1"].map(|text| https(text.parse().unwrap()));
        let answer = |data: &[&[u8]]| vec![named("www.example", kind::HTTPS, data)];
        assert!(kept(kind::HTTPS, answer(&[&inside])).is_empty());
        assert_eq!(kept(kind::HTTPS, answer(&[&inside, &public])).len(), 1);
    }

    #[test]
    fn everything_that_proves_a_denial_is_kept() {
        let proofs = [kind::SOA, kind::NSEC, kind::NSEC3, kind::RRSIG];
        let authority = proofs.map(|kind| named("example", kind, &[b"a proof"]));
        let mut response = ResolverResponse {
            authority: authority.to_vec(),
            ..ResolverResponse::default()
        };
        scrub(&mut response, &question(kind::A), false);
        assert_eq!(response.authority, authority);
    }
}
