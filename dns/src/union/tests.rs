//! Laws of unions, and the cases of each rule.

use proptest::prelude::*;

use super::*;
use crate::tree::Found;
use crate::zone::tests::zone;

const APEX: &str = "org1.example";

fn apex() -> Name {
    Name::from_text(APEX).unwrap()
}

fn name(text: &str) -> Name {
    Name::from_text(&format!("{text}.{APEX}")).unwrap()
}

/// A fragment with these records besides its SOA and NS.
fn fragment(gateway: &str, records: &str) -> (GatewayName, Arc<Zone>) {
    let text = format!("@ SOA {gateway} h 0 1 1 1 5\n@ NS {gateway}\n{records}");
    (gateway.parse().unwrap(), Arc::new(zone(APEX, &text)))
}

fn all(fragments: &BTreeMap<GatewayName, Arc<Zone>>) -> BTreeMap<GatewayName, AllowedAddresses> {
    let allowed = fragments.keys().cloned();
    allowed.map(|name| (name, AllowedAddresses::All)).collect()
}

fn union_of(fragments: impl IntoIterator<Item = (GatewayName, Arc<Zone>)>) -> Union {
    let fragments: BTreeMap<_, _> = fragments.into_iter().collect();
    unite(&apex(), &fragments, &all(&fragments)).unwrap()
}

/// The union of two fragments with these records.
fn two(a: &str, b: &str) -> Union {
    union_of([fragment("a", a), fragment("b", b)])
}

/// Every record but the SOA and the NS of the apex, as text.
fn records(zone: &Zone) -> Vec<String> {
    let mut lines = Vec::new();
    zone.rrsets(|owner, set| {
        if set.kind() == kind::SOA || (set.kind() == kind::NS && *owner == apex()) {
            return;
        }
        for data in set.data() {
            let line = crate::text::record_text(owner, set.ttl(), set.kind(), data);
            let words: Vec<&str> = line.split_whitespace().collect();
            lines.push(words.join(" ").replace(&format!(".{APEX}."), "."));
        }
    });
    lines
}

fn servers(zone: &Zone) -> Vec<String> {
    let data = zone.ns().into_iter().flat_map(|set| set.data());
    data.map(|data| Name::from_wire(data).unwrap().0.to_string())
        .collect()
}

fn left_out(union: &Union) -> Vec<String> {
    union.left_out.iter().map(LeftOut::to_string).collect()
}

#[test]
fn equal_names_and_types_unite_with_the_lowest_ttl() {
    let union = two(
        "x 60 A 10.0.0.1\nx TXT a\nonly-a A 10.0.0.3",
        "x 30 A 10.0.0.1\nx 30 A 10.0.0.2\nonly-b A 10.0.0.4",
    );
    assert_eq!(
        records(&union.zone),
        [
            "only-a. 5 IN A 10.0.0.3",
            "only-b. 5 IN A 10.0.0.4",
            "x. 30 IN A 10.0.0.1",
            "x. 30 IN A 10.0.0.2",
            "x. 5 IN TXT \"a\"",
        ]
    );
    assert_eq!(left_out(&union), [""; 0]);
}

#[test]
fn other_data_beats_a_cname_and_of_two_cnames_the_lower_gateways_stands() {
    for (a, b) in [("x CNAME y", "x A 10.0.0.1"), ("x A 10.0.0.1", "x CNAME y")] {
        let union = two(a, b);
        assert_eq!(records(&union.zone), ["x. 5 IN A 10.0.0.1"]);
        assert_eq!(union.left_out_count, 1);
    }

    let union = two("x CNAME y", "x CNAME z");
    assert_eq!(records(&union.zone), ["x. 5 IN CNAME y."]);
    assert_eq!(
        left_out(&union),
        ["x.org1.example CNAME of b: a has other data for this name"]
    );
    let same = two("x 9 CNAME y", "x 7 CNAME y");
    assert_eq!(records(&same.zone), ["x. 7 IN CNAME y."]);
    assert_eq!(same.left_out_count, 0);
}

#[test]
fn a_dname_or_delegation_that_would_cover_another_fragments_name_is_left_out() {
    for covering in ["d NS ns.d\nns.d A 10.0.0.9", "d DNAME e\nns.d A 10.0.0.9"] {
        let union = two(covering, "x.d A 10.0.0.1\nother A 10.0.0.2");
        assert_eq!(
            records(&union.zone),
            ["x.d. 5 IN A 10.0.0.1", "other. 5 IN A 10.0.0.2"].map(str::to_owned),
            "{covering}"
        );
        // What it hid in its own fragment goes with it.
        assert_eq!(union.left_out_count, 2, "{:?}", left_out(&union));

        let alone = two(covering, "other A 10.0.0.2");
        assert_eq!(alone.left_out_count, 0, "{covering}");
        assert!(records(&alone.zone).contains(&"ns.d. 5 IN A 10.0.0.9".to_owned()));
    }

    let at_the_cut = two("d NS ns.far.example.", "d A 10.0.0.1");
    assert_eq!(records(&at_the_cut.zone), ["d. 5 IN A 10.0.0.1"]);
}

#[test]
fn two_gateways_with_the_same_delegation_both_keep_it() {
    let shared = "d NS ns.d\nns.d A 10.0.0.9";
    let union = two(shared, shared);
    assert_eq!(records(&union.zone).len(), 2);
    assert_eq!(union.left_out_count, 0);

    let union = two("d DNAME e", "d DNAME f");
    assert_eq!(records(&union.zone), ["d. 5 IN DNAME e."]);
}

#[test]
fn a_wildcard_covers_no_name_of_another_fragment() {
    let union = two("* A 10.0.0.9", "x TXT b");
    let found = name("x");
    assert!(matches!(
        union.zone.find(&found.labels(), kind::A),
        Found::Exact(_)
    ));
    assert_eq!(union.left_out_count, 0);
}

#[test]
fn servers_are_the_gateways_with_an_address_for_their_own_name() {
    let union = two("a A 10.0.0.1", "x A 10.0.0.2");
    assert_eq!(servers(&union.zone), ["a.org1.example"]);
    let both = two("a A 10.0.0.1", "b A 10.0.0.2");
    assert_eq!(servers(&both.zone), ["a.org1.example", "b.org1.example"]);
    // Of another gateway's fragment, the address counts for nothing.
    let other = two("a A 10.0.0.1\nb A 10.0.0.2", "");
    assert_eq!(servers(&other.zone), ["a.org1.example"]);
    let none = two("", "@ NS ns.far.example.");
    assert_eq!(
        servers(&none.zone),
        ["a.org1.example", "b.org1.example", "ns.far.example"]
    );
}

#[test]
fn the_soa_is_the_lowest_gateways_with_serial_0() {
    let a = "a".parse().unwrap();
    let text = "@ SOA a h 77 1 2 3 4\n@ NS a\na A 10.0.0.1";
    let union = union_of([
        (a, Arc::new(zone(APEX, text))),
        fragment("b", "b A 10.0.0.2"),
    ]);
    assert_eq!(union.zone.serial(), 0);
    assert_eq!(union.zone.negative_ttl(), 4);
}

#[test]
fn addresses_outside_the_organizations_prefixes_are_left_out_for_every_type() {
    let svcb = "x SVCB 1 . ipv4hint=10.0.0.1\ny SVCB 1 . ipv4hint=10.0.0.1,169.254.169.254";
    let records_of_a = format!(
        "m A 169.254.169.254\nm A 10.0.0.1\nl A 127.0.0.1\nv AAAA fd00::1\n\
         w AAAA fd99::1\n{svcb}\np TYPE42 \\# 6 00011802a9fe\n"
    );
    let fragments = BTreeMap::from([fragment("a", &records_of_a)]);
    let within = ["10.0.0.0/24", "fd00::/64"].map(|text| text.parse().unwrap());
    let allowed = AllowedAddresses::Within(within.to_vec());
    let allowed = BTreeMap::from([("a".parse().unwrap(), allowed)]);
    let union = unite(&apex(), &fragments, &allowed).unwrap();

    let found = records(&union.zone);
    assert_eq!(found[0], "m. 5 IN A 10.0.0.1");
    assert_eq!(found[1], "v. 5 IN AAAA fd00::1");
    assert!(found[2].starts_with("x. 5 IN SVCB"), "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(union.left_out_count, 5, "{:?}", left_out(&union));

    let nothing = unite(&apex(), &fragments, &BTreeMap::new()).unwrap();
    assert!(records(&nothing.zone).is_empty(), "without any prefixes");
}

#[test]
fn ttls_are_at_most_a_day() {
    let union = union_of([fragment("a", "x 604800 A 10.0.0.1")]);
    assert_eq!(records(&union.zone), ["x. 86400 IN A 10.0.0.1"]);
}

#[test]
fn the_caps_of_a_zone_hold_for_the_union() {
    let hosts = |prefix: &str, count: usize| {
        (0..count)
            .map(|i| format!("{prefix}{i} A 10.0.0.1\n"))
            .collect::<String>()
    };
    let union = two(&hosts("a", 60_000), &hosts("b", 60_000));
    assert_eq!(union.zone.records(), MAX_RECORDS);
    // Besides the SOA and two NS.
    assert_eq!(union.left_out_count, 20_000 + 3);
    assert_eq!(union.left_out.len(), MAX_LISTED);
    assert!(union.left_out.iter().all(|out| out.gateway.as_str() == "b"));

    let texts = |of: &str| {
        (0..120)
            .map(|i| format!("t TXT {of}{}{i}\n", "x".repeat(240)))
            .collect::<String>()
    };
    let union = two(&texts("a"), &texts("b"));
    assert_eq!(records(&union.zone).len(), 120, "the set of one of them");
    assert_eq!(
        left_out(&union),
        ["t.org1.example TXT of b: the zone would be too large"]
    );
}

/// A fragment of random records under few names, so that they meet.
fn any_fragment() -> impl Strategy<Value = Arc<Zone>> {
    let label = prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")];
    let owner = prop::collection::vec(label, 1..4);
    let record = (owner, 0u8..8, 0u8..3, 1u32..90_000);
    prop::collection::vec(record, 0..14).prop_map(|records| {
        let mut draft = Draft::new(apex());
        let soa = crate::own::soa(&name("gw"), &apex(), 5).unwrap();
        draft.add(&apex(), kind::SOA, 5, &soa).unwrap();
        draft
            .add(&apex(), kind::NS, 5, name("ns").as_wire())
            .unwrap();
        for (owner, which, data, ttl) in records {
            let owner = name(&owner.join("."));
            let target = name(["a", "b", "x.c"][usize::from(data)]);
            let (kind, data) = match which {
                0..=2 => (kind::A, vec![10, 0, 0, data]),
                3 => (kind::TXT, vec![1, data]),
                4 | 5 => (kind::CNAME, target.as_wire().to_vec()),
                6 => (kind::DNAME, target.as_wire().to_vec()),
                _ => (kind::NS, target.as_wire().to_vec()),
            };
            // What the rules of a zone refuse is simply not in it.
            _ = draft.add(&owner, kind, ttl, &data);
        }
        Arc::new(draft.finish().unwrap())
    })
}

fn any_fragments() -> impl Strategy<Value = BTreeMap<GatewayName, Arc<Zone>>> {
    let gateway = "[a-d]".prop_map(|text| text.parse().unwrap());
    prop::collection::btree_map(gateway, any_fragment(), 1..4)
}

proptest! {
    #[test]
    fn a_fragment_alone_is_its_own_union(fragment in any_fragment()) {
        let mut short = true;
        fragment.rrsets(|_, set| short &= set.ttl() <= MAX_TTL);
        let union = union_of([("gw".parse().unwrap(), fragment.clone())]);
        prop_assert_eq!(union.left_out_count, 0);
        if short {
            let alone = Zone::clone(&fragment).with_serial(0);
            prop_assert_eq!(union.zone.encode(), alone.encode());
        }
    }

    #[test]
    fn uniting_again_changes_nothing(fragments in any_fragments()) {
        let once = union_of(fragments.clone());
        let zone = Arc::new(once.zone.clone());
        let again = union_of([("a".parse().unwrap(), zone.clone())]);
        prop_assert_eq!(again.zone.encode(), once.zone.encode());

        // Several gateways that contribute the same are as one.
        let same = union_of([("a".parse().unwrap(), zone.clone()), ("b".parse().unwrap(), zone)]);
        prop_assert_eq!(same.zone.encode(), once.zone.encode());
        prop_assert_eq!(same.left_out_count, 0, "{:?}", left_out(&same));
    }

    #[test]
    fn what_a_fragment_answers_with_data_the_union_answers_too(fragments in any_fragments()) {
        let union = union_of(fragments.clone());
        for fragment in fragments.values() {
            fragment.rrsets(|owner, set| {
                let labels = owner.labels();
                let is_alias = matches!(set.kind(), kind::CNAME | kind::DNAME | kind::NS);
                let Found::Exact(_) = fragment.find(&labels, set.kind()) else { return };
                if is_alias || set.kind() == kind::SOA {
                    return;
                }

                let Found::Exact(node) = union.zone.find(&labels, set.kind()) else {
                    panic!("{owner} is covered: {:?}", records(&union.zone));
                };
                let united = node.rrset(set.kind()).expect("the type is there");
                assert!(united.ttl() <= set.ttl());
                for data in set.data() {
                    assert!(united.data().any(|other| other == data), "{owner}");
                }
            });
        }
    }

    #[test]
    fn nothing_is_in_the_union_that_no_fragment_has(fragments in any_fragments()) {
        let union = union_of(fragments.clone());
        union.zone.rrsets(|owner, set| {
            for data in set.data() {
                let is_there = fragments.values().any(|fragment| {
                    let node = fragment.exact(&owner.labels());
                    let theirs = node.and_then(|node| node.rrset(set.kind()));
                    theirs.is_some_and(|theirs| theirs.data().any(|other| other == data))
                });
                assert!(is_there || set.kind() == kind::SOA, "{owner} {}", set.kind());
            }
        });
    }
}
