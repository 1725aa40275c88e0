//! Tests of what a response has besides its answer (cookie, server identifier, extended error, rate
//! limit), of answers that depend on addresses and on the age of copies, and of the fast path.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::opt::Opt;
use super::query::Query as OurQuery;
use super::write::ResponseContext;
use super::{
    Client, Outcome, QueryContext, RateDecision, Transport, answer_to, fast, reply_to, write,
};
use crate::acl::Locality;
use crate::cookie::CookieJar;
use crate::reach::Reach;
use crate::zone::tests::zone;
use crate::zones::{ZoneSet, Zones};

const CLIENT: [u8; 4] = [10, 0, 0, 7];

fn published() -> Zones {
    let zones = Zones::new();
    let apex = |text: &str| text.parse().unwrap();
    zones.set_expected(
        &apex("org1.example"),
        &[apex("org2.example"), apex("org3.example")],
    );
    let text = "@ SOA gw h 7 60 10 100 5\n@ NS gw\ngw A 10.1.0.1\npeer0 A 10.1.0.11\n\
        many A 10.1.0.11\nmany A 10.2.0.9\nalso A 10.1.0.11\nv6 AAAA fd00:1::11\n*.w A 10.1.0.66\n\
        foreign A 10.2.0.11\nodd A 10.1.200.5\nfar A 10.9.16.3\n\
        sub NS ns.sub\nns.sub A 10.1.0.77\n";
    zones
        .publish(zone("org1.example", text), SystemTime::UNIX_EPOCH)
        .unwrap();
    let text = "@ SOA gw h 3 60 10 100 9\npeer0 A 10.2.0.11\nodd A 10.2.5.200\n";
    zones
        .publish(zone("org2.example", text), SystemTime::UNIX_EPOCH)
        .unwrap();
    zones.set_reverse([
        (
            apex("org1.example"),
            prefixes(&["10.1.0.0/16", "10.9.16.0/20", "fd00:1::/32"]),
        ),
        (
            apex("org2.example"),
            prefixes(&["10.2.0.0/24", "10.2.5.128/25"]),
        ),
        (apex("org3.example"), prefixes(&["10.3.0.0/16"])),
    ]);
    zones
}

fn prefixes(texts: &[&str]) -> Vec<ringway_config::Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn question(name: &str, kind: RecordType, options: &[EdnsOption]) -> Vec<u8> {
    let mut message = Message::new(78, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    for option in options {
        edns.options_mut().insert(option.clone());
    }
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// The outcome of a query, and the response if there is one.
fn respond(
    zones: &Zones,
    message: &[u8],
    jar: &CookieJar,
    decision: RateDecision,
) -> (Outcome, Option<Message>) {
    let context = QueryContext {
        client: Client {
            address: IpAddr::from(CLIENT),
            locality: Locality::Mesh,
            transport: Transport::Udp,
        },
        now: 1000,
        cookies: Some(jar),
        nsid: b"gw.org1",
        forwards: false,
    };
    let mut response = Vec::new();
    let outcome = answer_to(&zones.load(), message, &context, || decision, &mut response);
    let response = (!response.is_empty()).then(|| Message::from_vec(&response).unwrap());
    (outcome, response)
}

fn answered(zones: &Zones, name: &str, kind: RecordType, options: &[EdnsOption]) -> Message {
    let jar = CookieJar::new().unwrap();
    respond(
        zones,
        &question(name, kind, options),
        &jar,
        RateDecision::Answer,
    )
    .1
    .unwrap()
}

fn option(message: &Message, code: u16) -> Option<Vec<u8>> {
    let option = message.edns.as_ref()?.option(EdnsCode::from(code))?;
    Some(Vec::<u8>::try_from(option).unwrap())
}

fn unknown(code: u16, data: &[u8]) -> EdnsOption {
    EdnsOption::Unknown(code, data.to_vec())
}

/// The summary of a query for PTR records at `name`, a name below `arpa.`.
fn pointers(zones: &Zones, name: &str) -> String {
    summary(zones, &format!("{name}.arpa."), RecordType::PTR)
}

/// The response code, the data of the answer, and the owner in the authority section.
fn summary(zones: &Zones, name: &str, kind: RecordType) -> String {
    let message = answered(zones, name, kind, &[]);
    let records = message
        .answers
        .iter()
        .map(|r| r.data.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let apex = message
        .authorities
        .first()
        .map(|r| format!("at {}", r.name))
        .unwrap_or_default();
    let code = format!("{:?}", message.metadata.response_code).to_uppercase();
    [code, records, apex]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_client_cookie_gets_a_server_cookie_which_exempts_from_the_rate_limit() {
    let zones = published();
    let jar = CookieJar::new().unwrap();
    let without_server_cookie = question(
        "peer0.org1.example.",
        RecordType::A,
        &[unknown(10, &[7; 8])],
    );
    let (_, response) = respond(&zones, &without_server_cookie, &jar, RateDecision::Answer);
    let cookie = option(&response.unwrap(), 10).unwrap();
    assert_eq!(cookie.len(), 24);
    assert_eq!(cookie[..8], [7; 8]);

    let with_cookie = question(
        "peer0.org1.example.",
        RecordType::A,
        &[unknown(10, &cookie)],
    );
    let outcome = |message, jar| respond(&zones, message, jar, RateDecision::Drop).0;
    assert_eq!(outcome(&with_cookie, &jar), Outcome::Answered(0));
    assert_eq!(outcome(&without_server_cookie, &jar), Outcome::Dropped);
    let other_server = CookieJar::new().unwrap();
    assert_eq!(outcome(&with_cookie, &other_server), Outcome::Dropped);
}

#[test]
fn a_query_without_a_question_gets_a_server_cookie() {
    let zones = published();
    let jar = CookieJar::new().unwrap();
    let mut message = Message::new(78, MessageType::Query, OpCode::Query);
    let mut edns = Edns::new();
    edns.options_mut().insert(unknown(10, &[7; 8]));
    message.set_edns(edns);
    let (outcome, response) = respond(
        &zones,
        &message.to_vec().unwrap(),
        &jar,
        RateDecision::Answer,
    );
    let response = response.unwrap();
    assert_eq!((outcome, response.queries.len()), (Outcome::Answered(0), 0));
    assert_eq!(option(&response, 10).unwrap().len(), 24);
}

#[test]
fn a_malformed_edns_option_gets_a_format_error_with_edns() {
    let zones = published();
    let jar = CookieJar::new().unwrap();
    let message = question(
        "peer0.org1.example.",
        RecordType::A,
        &[unknown(10, &[7; 9])],
    );
    let (outcome, response) = respond(&zones, &message, &jar, RateDecision::Answer);
    let response = response.unwrap();
    assert_eq!(outcome, Outcome::Answered(1));
    assert!(response.edns.is_some() && response.queries.len() == 1 && response.answers.is_empty());
}

#[test]
fn a_truncated_response_is_no_larger_than_the_query() {
    let question = question("many.org1.example.", RecordType::A, &[]);
    let jar = CookieJar::new().unwrap();
    let (outcome, response) = respond(&published(), &question, &jar, RateDecision::Truncate);
    let response = response.unwrap();
    assert_eq!(outcome, Outcome::Truncated);
    assert!(
        response.metadata.truncation && response.answers.is_empty() && response.queries.len() == 1
    );
    assert_eq!(response.to_vec().unwrap().len(), question.len());
}

#[test]
fn sends_the_server_identifier_to_clients_that_ask_for_it() {
    let zones = published();
    for name in ["peer0.org1.example.", "no.org1.example.", "example."] {
        let with = answered(&zones, name, RecordType::A, &[unknown(3, b"")]);
        assert_eq!(option(&with, 3).unwrap(), b"gw.org1", "{name}");
        assert_eq!(option(&answered(&zones, name, RecordType::A, &[]), 3), None);
    }
}

#[test]
fn errors_carry_an_extended_error_code() {
    let zones = published();
    zones.set_stale(&"org2.example".parse().unwrap(), true);
    for (name, kind, code) in [
        ("peer0.org3.example.", RecordType::A, Some(14)),
        ("org1.example.", RecordType::AXFR, Some(18)),
        ("elsewhere.", RecordType::A, Some(20)),
        ("peer0.org2.example.", RecordType::A, Some(24)),
        ("no.org1.example.", RecordType::A, None),
    ] {
        let ede = option(&answered(&zones, name, kind, &[]), 15);
        assert_eq!(
            ede.map(|data| u16::from_be_bytes([data[0], data[1]])),
            code,
            "{name}"
        );
    }
}

#[test]
fn answers_from_a_stale_copy_are_failures_and_not_denials() {
    let zones = published();
    let org2 = "org2.example".parse().unwrap();
    zones.set_stale(&org2, true);
    for name in [
        "peer0.org2.example.",
        "no.org2.example.",
        "org2.example.",
        "11.0.2.10.in-addr.arpa.",
    ] {
        assert_eq!(summary(&zones, name, RecordType::A), "SERVFAIL", "{name}");
    }
    assert_eq!(
        summary(&zones, "peer0.org1.example.", RecordType::A),
        "NOERROR 10.1.0.11"
    );
    zones.set_stale(&org2, false);
    assert_eq!(
        summary(&zones, "peer0.org2.example.", RecordType::A),
        "NOERROR 10.2.0.11"
    );
}

#[test]
fn the_reverse_name_of_an_address_has_its_hosts() {
    let zones = published();
    assert_eq!(
        pointers(&zones, "11.0.1.10.in-addr"),
        "NOERROR also.org1.example. many.org1.example. peer0.org1.example."
    );
    assert_eq!(
        pointers(&zones, "11.0.2.10.in-addr"),
        "NOERROR peer0.org2.example.",
        "only the prefix's organization names its hosts"
    );
    let v6 = "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6";
    assert_eq!(pointers(&zones, v6), "NOERROR v6.org1.example.");
    assert_eq!(
        pointers(&zones, "3.16.9.10.in-addr"),
        "NOERROR far.org1.example."
    );
    assert_eq!(
        pointers(&zones, "200.5.2.10.in-addr"),
        "NOERROR odd.org2.example."
    );
    for address in ["66.0.1.10", "77.0.1.10"] {
        assert!(
            pointers(&zones, &format!("{address}.in-addr")).starts_with("NXDOMAIN"),
            "wildcards and glue have no PTR record"
        );
    }
}

#[test]
fn reverse_zones_begin_at_the_octets_and_nibbles_inside_a_prefix() {
    let zones = published();
    for (reversed, answer) in [
        ("12.0.1.10.in-addr", "NXDOMAIN at 1.10.in-addr.arpa."),
        // An empty non-terminal.
        ("0.1.10.in-addr", "NOERROR at 1.10.in-addr.arpa."),
        ("7.1.10.in-addr", "NXDOMAIN at 1.10.in-addr.arpa."),
        ("1.10.in-addr", "NOERROR at 1.10.in-addr.arpa."),
        ("x.11.0.1.10.in-addr", "NXDOMAIN at 1.10.in-addr.arpa."),
        ("011.0.1.10.in-addr", "NXDOMAIN at 1.10.in-addr.arpa."),
        ("9.17.9.10.in-addr", "NXDOMAIN at 17.9.10.in-addr.arpa."),
        ("129.5.2.10.in-addr", "NOERROR at 129.5.2.10.in-addr.arpa."),
        // The prefix is longer.
        ("1.0.0.d.f.ip6", "REFUSED"),
    ] {
        assert_eq!(pointers(&zones, reversed), answer, "{reversed}");
    }
    for beyond in [
        "10",
        "9.10",
        "32.9.10",
        "127.5.2.10",
        "5.2.10",
        "1.1.2.10",
        "1.0.4.10",
    ] {
        assert_eq!(
            pointers(&zones, &format!("{beyond}.in-addr")),
            "REFUSED",
            "{beyond}"
        );
    }
    assert_eq!(
        pointers(&zones, "1.0.3.10.in-addr"),
        "SERVFAIL",
        "no copy of its zone"
    );
    assert!(summary(&zones, "1.10.in-addr.arpa.", RecordType::SOA).contains("gw.org1.example."));
    assert_eq!(
        summary(&zones, "1.10.in-addr.arpa.", RecordType::NS),
        "NOERROR gw.org1.example."
    );
    assert!(summary(&zones, "11.0.1.10.in-addr.arpa.", RecordType::A).starts_with("NOERROR at"));
}

#[test]
fn pointers_follow_the_zone_and_the_prefixes() {
    let zones = published();
    let text = "@ SOA gw h 4 60 10 100 9\nmoved A 10.2.0.12\n";
    zones
        .publish(zone("org2.example", text), SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(
        pointers(&zones, "12.0.2.10.in-addr"),
        "NOERROR moved.org2.example."
    );
    assert!(pointers(&zones, "11.0.2.10.in-addr").starts_with("NXDOMAIN"));
    zones.set_reverse([("org1.example".parse().unwrap(), prefixes(&["10.2.0.0/24"]))]);
    assert_eq!(
        pointers(&zones, "11.0.2.10.in-addr"),
        "NOERROR foreign.org1.example."
    );
    assert_eq!(pointers(&zones, "11.0.1.10.in-addr"), "REFUSED");
}

#[test]
fn reachable_addresses_are_answered_those_of_this_site_first() {
    let zones = published();
    let many = || summary(&zones, "many.org1.example.", RecordType::A);
    assert_eq!(many(), "NOERROR 10.1.0.11 10.2.0.9");
    let reach = |site: &[&str], unreachable: &[&str]| {
        zones.set_reach(Arc::new(Reach::new(prefixes(site), prefixes(unreachable))))
    };
    reach(&["10.2.0.0/16"], &[]);
    assert_eq!(many(), "NOERROR 10.2.0.9 10.1.0.11");
    reach(&["10.2.0.0/16"], &["10.1.0.0/16"]);
    assert_eq!(many(), "NOERROR 10.2.0.9");
    reach(&[], &["10.1.0.0/16", "10.2.0.0/16"]);
    assert_eq!(
        many(),
        "NOERROR 10.1.0.11 10.2.0.9",
        "if none is reachable, all are answered"
    );
}

/// The responses of the fast path and of the lookup; `None` if the fast path does not apply.
fn both(zones: &ZoneSet, message: &[u8], limit: usize) -> Option<(Message, Message)> {
    let query = OurQuery::parse(message).unwrap();
    let context = ResponseContext {
        reach: zones.reach(),
        opt: Opt {
            cookie: Some([9; 16]),
            nsid: b"gw.org1",
        },
        ra: false,
        cd: false,
    };
    let mut fast = Vec::new();
    let mut full = Vec::new();
    fast::answer(zones, &query, &context, limit, &mut fast)?;
    write::write(&query, &reply_to(zones, &query), &context, limit, &mut full);
    Some((
        Message::from_vec(&fast).unwrap(),
        Message::from_vec(&full).unwrap(),
    ))
}

const LABELS: &[&str] = &[
    "peer0", "many", "w", "gw", "sub", "no", "v6", "*", "org1", "h",
];
const APEXES: &[&str] = &[
    "org1.example.",
    "ORG1.example.",
    "org2.example.",
    "org3.example.",
    "example.",
];
const KINDS: &[RecordType] = &[
    RecordType::A,
    RecordType::AAAA,
    RecordType::TXT,
    RecordType::NS,
    RecordType::SOA,
    RecordType::ANY,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn the_fast_path_gives_the_same_response_as_the_lookup(
        below in prop::collection::vec(prop::sample::select(LABELS), 0..4),
        apex in prop::sample::select(APEXES),
        kind in prop::sample::select(KINDS),
        with_reach in any::<bool>(),
        options in any::<bool>(),
    ) {
        let zones = published();
        if with_reach {
            zones.set_reach(Arc::new(Reach::new(prefixes(&["10.2.0.0/16"]), [])));
        }
        let options = if options { vec![unknown(3, b""), unknown(10, &[7; 8])] } else { vec![] };
        let name = below.iter().map(|label| format!("{label}.")).collect::<String>() + apex;
        let message = question(&name, kind, &options);
        if let Some((fast, full)) = both(&zones.load(), &message, 1232) {
            prop_assert_eq!(fast, full);
        }
    }
}

#[test]
fn existing_and_missing_names_take_the_fast_path() {
    let zones = published();
    for (name, kind) in [
        ("peer0.org1.example.", RecordType::A),
        ("x.w.org1.example.", RecordType::A),
        ("no.org1.example.", RecordType::A),
        ("peer0.org1.example.", RecordType::TXT),
    ] {
        assert!(
            both(&zones.load(), &question(name, kind, &[]), 1232).is_some(),
            "{name}"
        );
    }
    let many = question("many.org1.example.", RecordType::A, &[]);
    assert!(
        both(&zones.load(), &many, 60).is_none(),
        "what does not fit is truncated by the slow path"
    );
}
