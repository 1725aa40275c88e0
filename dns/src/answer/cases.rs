//! One test per rule. Queries are octets, and `hickory-proto`, which shares no code with the
//! writer, parses the responses.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::{MAX_UDP, Outcome, Transport, answer, rcode};
use crate::zone::tests::zone;
use crate::zones::{ZoneSet, Zones};

const ORG1: &str = "@ 60 SOA gw h 7 60 10 100 5\n\
    @ NS gw\n\
    gw A 10.1.0.1\n\
    peer0 A 10.1.0.11\npeer0 A 10.1.0.12\npeer0 AAAA fd00:1::11\n\
    alias CNAME peer0\n\
    chain CNAME alias\n\
    abroad CNAME peer0.org2.example.\n\
    away CNAME www.elsewhere.\n\
    dead CNAME nobody.org2.example.\n\
    late CNAME peer0.org3.example.\n\
    loop CNAME pool\npool CNAME loop\n\
    deep.ent A 10.1.0.20\n\
    *.wild A 10.1.0.30\n*.wild TXT \"any\"\n\
    there.wild A 10.1.0.31\n\
    *.walias CNAME peer0\n\
    sub NS ns.sub\nsub NS ns.elsewhere.example.\nns.sub A 10.1.0.40\n\
    sub TYPE43 \\# 5 0001080200\n\
    old DNAME new\n\
    x.new A 10.1.0.50\n\
    far DNAME org2.example.\n\
    inward DNAME in.inward\n\
    _peer._tcp SRV 0 0 7051 peer0\n_peer._tcp SRV 0 0 7051 peer0.org2.example.\n\
    odd TYPE65280 \\# 2 beef\n";

const ORG2: &str = "@ SOA gw h 3 60 10 100 9\npeer0 A 10.2.0.11\nback CNAME peer0.org1.example.\n";

fn zones() -> ZoneSet {
    let published = Zones::new();
    let apex = |text: &str| text.parse().unwrap();
    published.set_expected(
        &apex("org1.example"),
        &[apex("org2.example"), apex("org3.example")],
    );
    published
        .publish(
            zone("org1.example", ORG1),
            std::time::SystemTime::UNIX_EPOCH,
        )
        .unwrap();
    published
        .publish(
            zone("org2.example", ORG2),
            std::time::SystemTime::UNIX_EPOCH,
        )
        .unwrap();
    ZoneSet::clone(&published.load())
}

fn question(name: &str, kind: &str) -> Message {
    let kind = kind.strip_prefix("TYPE").map_or_else(
        || kind.parse().unwrap(),
        |number| RecordType::from(number.parse::<u16>().unwrap()),
    );
    // With an even id, two addresses keep their order.
    let mut message = Message::new(78, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn respond(zones: &ZoneSet, question: &Message, transport: Transport) -> Message {
    let mut response = b"previous content".to_vec();
    let outcome = answer(zones, &question.to_vec().unwrap(), transport, &mut response);
    let message = Message::from_vec(&response).unwrap();
    let code = u16::from(message.metadata.response_code);
    assert_eq!(outcome, Outcome::Answered(code));
    message
}

/// `CODE aa; answer; authority; additional`, records as `name ttl type data`, without `.example`.
fn ask(name: &str, kind: &str) -> String {
    let name = format!("{}example.", name);
    let message = respond(&zones(), &question(&name, kind), Transport::Tcp);
    let data = |r: &Record| match &r.data {
        // hickory-proto does not know DNAME; its data is one name.
        RData::Unknown {
            code: RecordType::DNAME,
            rdata,
        } => {
            format!("{}.", crate::Name::from_wire(&rdata.anything).unwrap().0)
        }
        known => known.to_string(),
    };
    let record = |r: &Record| {
        format!(
            "{} {} {} {}",
            r.name,
            r.ttl,
            u16::from(r.record_type()),
            data(r)
        )
    };
    let section = |records: &[Record]| records.iter().map(record).collect::<Vec<_>>().join(", ");
    let sections =
        [&message.answers, &message.authorities, &message.additionals].map(|s| section(s));
    let code = format!("{:?}", message.metadata.response_code).to_uppercase();
    let flag = if message.metadata.authoritative {
        " aa"
    } else {
        ""
    };
    let text = format!("{code}{flag}; {}", sections.join("; ")).replace(".example.", ".");
    text.trim_end_matches([';', ' ']).to_owned()
}

const SOA1: &str = "org1. 5 6 gw.org1. h.org1. 7 60 10 100 5";
const SOA2: &str = "org2. 5 6 gw.org2. h.org2. 3 60 10 100 9";
const PEER0: &str = "peer0.org1. 5 1 10.1.0.11, peer0.org1. 5 1 10.1.0.12";

#[test]
fn a_name_is_answered_with_its_whole_rrset() {
    assert_eq!(ask("peer0.org1.", "A"), format!("NOERROR aa; {PEER0}"));
    assert_eq!(
        ask("peer0.org1.", "AAAA"),
        "NOERROR aa; peer0.org1. 5 28 fd00:1::11"
    );
    assert_eq!(
        ask("odd.org1.", "TYPE65280"),
        "NOERROR aa; odd.org1. 5 65280 vu8="
    );
}

#[test]
fn negative_answers_have_the_soa_with_the_negative_ttl() {
    assert_eq!(ask("nobody.org1.", "A"), format!("NXDOMAIN aa; ; {SOA1}"));
    assert_eq!(ask("peer0.org1.", "TXT"), format!("NOERROR aa; ; {SOA1}"));
    assert_eq!(
        ask("nobody.org2.", "A"),
        format!("NXDOMAIN aa; ; {SOA2}"),
        "the SOA's own TTL is lower"
    );
}

#[test]
fn the_apex_has_its_soa_and_its_ns_with_addresses() {
    assert_eq!(
        ask("org1.", "SOA"),
        "NOERROR aa; org1. 60 6 gw.org1. h.org1. 7 60 10 100 5"
    );
    assert_eq!(
        ask("org1.", "NS"),
        "NOERROR aa; org1. 5 2 gw.org1.; ; gw.org1. 5 1 10.1.0.1"
    );
}

#[test]
fn an_empty_non_terminal_exists() {
    assert_eq!(ask("ent.org1.", "A"), format!("NOERROR aa; ; {SOA1}"));
    assert_eq!(
        ask("other.ent.org1.", "A"),
        format!("NXDOMAIN aa; ; {SOA1}")
    );
}

#[test]
fn a_wildcard_applies_to_names_that_do_not_exist_only() {
    assert_eq!(
        ask("a.b.wild.org1.", "A"),
        "NOERROR aa; a.b.wild.org1. 5 1 10.1.0.30"
    );
    assert_eq!(
        ask("*.wild.org1.", "A"),
        "NOERROR aa; *.wild.org1. 5 1 10.1.0.30"
    );
    assert_eq!(ask("a.wild.org1.", "AAAA"), format!("NOERROR aa; ; {SOA1}"));
    assert_eq!(
        ask("there.wild.org1.", "TXT"),
        format!("NOERROR aa; ; {SOA1}")
    );
    assert_eq!(
        ask("x.there.wild.org1.", "A"),
        format!("NXDOMAIN aa; ; {SOA1}")
    );
    assert_eq!(
        ask("a.walias.org1.", "A"),
        format!("NOERROR aa; a.walias.org1. 5 5 peer0.org1., {PEER0}")
    );
}

#[test]
fn an_alias_is_followed_unless_the_question_is_for_the_alias() {
    assert_eq!(
        ask("alias.org1.", "A"),
        format!("NOERROR aa; alias.org1. 5 5 peer0.org1., {PEER0}")
    );
    assert_eq!(
        ask("alias.org1.", "CNAME"),
        "NOERROR aa; alias.org1. 5 5 peer0.org1."
    );
    assert_eq!(
        ask("chain.org1.", "TXT"),
        format!("NOERROR aa; chain.org1. 5 5 alias.org1., alias.org1. 5 5 peer0.org1.; {SOA1}")
    );
}

#[test]
fn aliases_are_followed_through_the_zones_of_the_consortium_only() {
    assert_eq!(
        ask("abroad.org1.", "A"),
        "NOERROR aa; abroad.org1. 5 5 peer0.org2., peer0.org2. 5 1 10.2.0.11"
    );
    assert_eq!(
        ask("back.org2.", "A"),
        format!("NOERROR aa; back.org2. 5 5 peer0.org1., {PEER0}")
    );
    assert_eq!(
        ask("away.org1.", "A"),
        "NOERROR aa; away.org1. 5 5 www.elsewhere."
    );
    assert_eq!(
        ask("dead.org1.", "A"),
        format!("NXDOMAIN aa; dead.org1. 5 5 nobody.org2.; {SOA2}")
    );
    assert_eq!(
        ask("late.org1.", "A"),
        "SERVFAIL aa; late.org1. 5 5 peer0.org3."
    );
}

#[test]
fn a_loop_of_aliases_ends() {
    assert_eq!(
        ask("loop.org1.", "A"),
        "NOERROR aa; loop.org1. 5 5 pool.org1., pool.org1. 5 5 loop.org1."
    );
    assert_eq!(
        ask("x.inward.org1.", "A"),
        "NOERROR aa; inward.org1. 5 39 in.inward.org1., x.inward.org1. 5 5 x.in.inward.org1."
    );
}

#[test]
fn a_delegated_name_gets_a_referral_with_glue_and_without_aa() {
    let referral = "NOERROR; ; sub.org1. 5 2 ns.sub.org1., sub.org1. 5 2 ns.elsewhere.; \
                    ns.sub.org1. 5 1 10.1.0.40";
    assert_eq!(ask("sub.org1.", "A"), referral);
    assert_eq!(ask("a.b.sub.org1.", "NS"), referral);
    assert_eq!(
        ask("ns.sub.org1.", "A"),
        referral,
        "glue is not authoritative data"
    );
    assert_eq!(
        ask("sub.org1.", "TYPE43"),
        "NOERROR aa; sub.org1. 5 43 AAEIAgA=",
        "a DS record belongs to the parent zone"
    );
}

#[test]
fn names_below_a_dname_are_renamed_and_its_owner_is_not() {
    assert_eq!(
        ask("x.old.org1.", "A"),
        "NOERROR aa; old.org1. 5 39 new.org1., x.old.org1. 5 5 x.new.org1., \
         x.new.org1. 5 1 10.1.0.50"
    );
    assert_eq!(ask("old.org1.", "A"), format!("NOERROR aa; ; {SOA1}"));
    assert_eq!(
        ask("peer0.far.org1.", "A"),
        "NOERROR aa; far.org1. 5 39 org2., peer0.far.org1. 5 5 peer0.org2., \
         peer0.org2. 5 1 10.2.0.11"
    );
    assert_eq!(
        ask("x.old.org1.", "CNAME"),
        "NOERROR aa; old.org1. 5 39 new.org1., x.old.org1. 5 5 x.new.org1."
    );
    let long = format!("{0}.{0}.{0}.{1}.", "x".repeat(60), "x".repeat(49));
    assert_eq!(
        ask(&format!("{long}inward.org1."), "A"),
        "YXDOMAIN aa; inward.org1. 5 39 in.inward.org1."
    );
}

#[test]
fn any_is_answered_with_one_rrset() {
    assert_eq!(ask("peer0.org1.", "ANY"), format!("NOERROR aa; {PEER0}"));
    assert_eq!(
        ask("alias.org1.", "ANY"),
        "NOERROR aa; alias.org1. 5 5 peer0.org1."
    );
}

#[test]
fn srv_records_come_with_the_addresses_of_their_hosts() {
    assert_eq!(
        ask("_peer._tcp.org1.", "SRV"),
        format!(
            "NOERROR aa; _peer._tcp.org1. 5 33 0 0 7051 peer0.org1., \
             _peer._tcp.org1. 5 33 0 0 7051 peer0.org2.; ; \
             {PEER0}, peer0.org1. 5 28 fd00:1::11, peer0.org2. 5 1 10.2.0.11"
        )
    );
}

#[test]
fn a_service_at_its_own_name_comes_with_the_addresses_of_that_name() {
    let text = "@ SOA gw h 7 60 10 100 5\nweb HTTPS 1 .\nweb A 10.1.0.60\nweb AAAA fd00:1::60\n";
    let zones = ZoneSet::of([zone("org1.example", text)]);
    let response = respond(
        &zones,
        &question("web.org1.example.", "HTTPS"),
        Transport::Udp,
    );

    let added: Vec<String> = response
        .additionals
        .iter()
        .map(|record| record.data.to_string())
        .collect();
    assert_eq!(added, ["10.1.0.60", "fd00:1::60"]);
}

#[test]
fn names_outside_are_refused_and_zones_without_a_copy_fail() {
    assert_eq!(ask("www.", "A"), "REFUSED");
    assert_eq!(ask("", "SOA"), "REFUSED");
    assert_eq!(ask("xorg1.", "A"), "REFUSED");
    assert_eq!(ask("peer0.org3.", "A"), "SERVFAIL");
    assert_eq!(ask("org3.", "SOA"), "SERVFAIL");
}

#[test]
fn a_response_repeats_the_id_and_the_case_of_the_question() {
    let question = question("PeEr0.oRg1.ExAmPlE.", "A");
    let response = respond(&zones(), &question, Transport::Udp);
    assert_eq!(response.metadata.id, 78);
    assert!(
        response.queries[0]
            .name
            .eq_case(&Name::from_ascii("PeEr0.oRg1.ExAmPlE.").unwrap())
    );
    assert_eq!(response.answers.len(), 2);
}

#[test]
fn a_response_copies_rd_and_clears_cd_and_ad() {
    let mut question = question("peer0.org1.example.", "A");
    question.metadata.recursion_desired = true;
    question.metadata.checking_disabled = true;
    question.metadata.authentic_data = true;
    let metadata = respond(&zones(), &question, Transport::Udp).metadata;
    assert_eq!(metadata.message_type, MessageType::Response);
    assert!(metadata.recursion_desired && !metadata.recursion_available);
    assert!(!metadata.checking_disabled && !metadata.authentic_data && !metadata.truncation);
}

#[test]
fn other_classes_are_refused_and_class_any_is_never_authoritative() {
    let mut question = question("peer0.org1.example.", "A");
    question.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(
        respond(&zones(), &question, Transport::Udp)
            .metadata
            .response_code,
        ResponseCode::Refused
    );
    question.queries[0].set_query_class(DNSClass::ANY);
    let response = respond(&zones(), &question, Transport::Udp);
    assert!(!response.metadata.authoritative && response.answers.len() == 2);
}

#[test]
fn zone_transfers_updates_and_obsolete_types_are_refused_by_their_codes() {
    let code = |question: &Message| {
        u16::from(
            respond(&zones(), question, Transport::Tcp)
                .metadata
                .response_code,
        )
    };
    assert_eq!(code(&question("org1.example.", "AXFR")), rcode::REFUSED);
    assert_eq!(code(&question("org1.example.", "TYPE253")), rcode::NOTIMP);
    assert_eq!(code(&question("org1.example.", "TYPE41")), rcode::FORMERR);
    let mut update = question("org1.example.", "SOA");
    update.metadata.op_code = OpCode::Update;
    assert_eq!(code(&update), rcode::NOTIMP);
}

#[test]
fn queries_with_edns_get_edns_and_only_version_0_is_supported() {
    let mut question = question("peer0.org1.example.", "A");
    assert!(respond(&zones(), &question, Transport::Udp).edns.is_none());
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_dnssec_ok(true);
    question.set_edns(edns.clone());
    let response = respond(&zones(), &question, Transport::Udp);
    let theirs = response.edns.unwrap();
    assert_eq!(
        (
            theirs.max_payload(),
            theirs.version(),
            theirs.flags().dnssec_ok
        ),
        (1232, 0, true)
    );
    edns.set_version(1);
    question.set_edns(edns);
    let response = respond(&zones(), &question, Transport::Udp);
    assert_eq!(u16::from(response.metadata.response_code), rcode::BADVERS);
    assert!(response.answers.is_empty());
}

#[test]
fn a_response_that_does_not_fit_has_tc_and_what_fits_of_its_answer() {
    let addresses: String = (0..200).map(|i| format!("many A 10.1.1.{i}\n")).collect();
    let zones = ZoneSet::of([zone(
        "org1.example",
        &format!("@ SOA gw h 1 1 1 1 5\n{addresses}"),
    )]);
    let mut question = question("many.org1.example.", "A");
    for (payload, limit) in [
        (None, 512),
        (Some(100), 512),
        (Some(700), 700),
        (Some(9000), MAX_UDP),
    ] {
        if let Some(payload) = payload {
            question.set_edns({
                let mut edns = Edns::new();
                edns.set_max_payload(payload);
                edns
            });
        }
        let response = respond(&zones, &question, Transport::Udp);
        assert!(response.metadata.truncation, "{limit}");
        // After header, question and OPT record; each has a pointer as its owner.
        let room = limit - 12 - 23 - if payload.is_some() { 11 } else { 0 };
        assert_eq!(response.answers.len(), room / 16, "{limit}");
        assert_eq!(
            (response.queries.len(), response.edns.is_some()),
            (1, payload.is_some())
        );
    }
    let whole = respond(&zones, &question, Transport::Tcp);
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 200);
}

#[test]
fn additional_addresses_are_left_out_silently_but_glue_is_not() {
    let hosts: String = (0..12)
        .map(|i| format!("@ NS n{i}.sub\nsub NS n{i}.sub\n"))
        .collect();
    let addresses: String = (0..12)
        .map(|i| format!("n{i}.sub AAAA fd00::{i}\nn{i}.sub A 10.0.0.{i}\n"))
        .collect();
    let text = format!("@ SOA gw h 1 1 1 1 5\n{hosts}{addresses}")
        .replace("sub NS", "cut NS")
        .replace("n0.sub", "n0.cut");
    let zones = ZoneSet::of([zone("org1.example", &text)]);
    let own = respond(&zones, &question("org1.example.", "NS"), Transport::Udp);
    assert!(!own.metadata.truncation && own.answers.len() == 12 && own.additionals.len() < 24);
    let referral = respond(
        &zones,
        &question("x.cut.org1.example.", "A"),
        Transport::Udp,
    );
    assert!(
        !referral.metadata.truncation,
        "one host is below the cut, and its glue comes first"
    );
    let inside = ZoneSet::of([zone("org1.example", &text.replace(".sub", ".cut"))]);
    let referral = respond(
        &inside,
        &question("x.cut.org1.example.", "A"),
        Transport::Udp,
    );
    assert!(referral.metadata.truncation && referral.authorities.is_empty());
}

const NAMES: &[&str] = &[
    "peer0.org1",
    "chain.org1",
    "x.old.org1",
    "a.sub.org1",
    "_peer._tcp.org1",
    "no.org3",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn no_message_panics_and_every_response_is_well_formed(
        name in prop::sample::select(NAMES),
        kind in prop::sample::select(vec!["A", "ANY", "SOA", "SRV", "NS"]),
        edns in any::<Option<u16>>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut question = question(&format!("{name}.example."), kind);
        question.edns = edns.map(|size| {
            let mut edns = Edns::new();
            edns.set_max_payload(size);
            edns
        });
        let mut bytes = question.to_vec().unwrap();
        for (index, value) in damage {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut response = Vec::new();
        match answer(&zones(), &bytes, Transport::Udp, &mut response) {
            Outcome::Silent => {
                prop_assert!(bytes.len() < 12 || bytes[2] & 0x80 != 0);
                prop_assert!(response.is_empty());
            }
            other @ (Outcome::Truncated | Outcome::Dropped | Outcome::Forward(_)) => {
                prop_assert!(false, "{other:?}")
            }
            Outcome::Answered(_) => {
                prop_assert!(bytes[2] & 0x80 == 0 && response[2] & 0x80 != 0);
                prop_assert_eq!(&response[..2], &bytes[..2]);
                prop_assert!(response.len() <= MAX_UDP);
                prop_assert!(Message::from_vec(&response).is_ok());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        answer(&zones(), &bytes, Transport::Tcp, &mut Vec::new());
    }
}
