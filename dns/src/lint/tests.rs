use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::scratch::Scratch;
use crate::zone::tests::zone;

const SOA: &str = "@ SOA gw h 1 2 3 4 5\n@ NS gw\ngw A 10.1.0.1\n";

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

/// A zone file of `org1.example` with these records.
fn read(records: &str) -> Result<(Zone, Sources), Vec<Fault>> {
    let scratch = Scratch::new();
    let path: PathBuf = scratch.path().join("org1.zone");
    std::fs::create_dir_all(scratch.path()).unwrap();
    std::fs::write(&path, format!("{SOA}{records}")).unwrap();
    Zone::from_file(&path, Some(&name("org1.example")))
}

/// Line and message of each mistake in a zone with these records, which begin in line 4.
fn found(records: &str) -> Vec<String> {
    let (zone, sources) = read(records).unwrap();
    let mut known = Known::new(Some(name("example")));
    known.add(Arc::new(zone.clone()));
    known.add(Arc::new(crate::zone::tests::zone(
        "org2.example",
        "@ SOA gw h 1 2 3 4 5\npeer0 A 10.2.0.1\n",
    )));
    known.add_unknown(&name("org3.example"));

    lint(&zone, &sources, &known)
        .iter()
        .map(|fault| {
            let line = fault.place.position.map_or(0, |position| position.line);
            format!("{line}: {}", fault.message)
        })
        .collect()
}

/// That there is one mistake, in the first line of `records`, whose message has this in it.
fn assert_found(records: &str, part: &str) {
    let found = found(records);
    assert_eq!(found.len(), 1, "{records:?}: {found:?}");
    assert!(found[0].starts_with("4: "), "{records:?}: {found:?}");
    assert!(found[0].contains(part), "{records:?}: {found:?}");
}

#[test]
fn targets_that_do_not_exist_are_found_with_their_line() {
    for data in [
        "SRV 0 0 7051 missing",
        "MX 10 missing",
        "CNAME missing",
        "DNAME missing",
        "PTR missing",
        "SVCB 1 missing alpn=h2",
        "HTTPS 0 missing",
        "NAPTR 1 1 s \"\" \"\" missing",
    ] {
        assert_found(&format!("x {data}\n"), "missing.org1.example");
        assert_found(&format!("x {data}\n"), "does not exist");
    }
    assert_found("@ NS missing\n", "does not exist");
    assert_found("x CNAME peer1.org2.example.\n", "does not exist");
    assert_found("x CNAME peer0.org4.example.\n", "belongs to no member");
}

#[test]
fn targets_that_exist_or_are_not_known_are_no_mistakes() {
    let good = "x SRV 0 0 7051 host\ny MX 10 host\nz CNAME host\nhost A 10.1.0.2\n\
        far SRV 0 0 7051 peer0.org2.example.\nun CNAME any.org3.example.\n\
        out CNAME www.elsewhere.\nnone SRV 0 0 0 .\nnull MX 0 .\nsame HTTPS 1 .\n\
        wild CNAME a.w\n*.w A 10.1.0.3\nover AAAA fd00::1\nm MX 1 over\n\
        tree DNAME host\ntwo CNAME z\n";
    assert_eq!(found(good), Vec::<String>::new());
}

#[test]
fn a_server_that_is_an_alias_or_has_no_address_is_found() {
    for data in ["SRV 0 0 7051 other", "MX 10 other"] {
        assert_found(&format!("x {data}\nother CNAME gw\n"), "is an alias");
        assert_found(&format!("x {data}\nother TXT text\n"), "has no address");
    }
    assert_found("x CNAME b\na.b A 10.1.0.2\n", "has no record");
}

#[test]
fn a_circle_of_aliases_is_found_at_each_of_its_names_alone() {
    assert_found("x CNAME x\n", "leads back to itself (x.org1.example)");

    let found = found("a CNAME b\nb CNAME c\nc CNAME b\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("5: this CNAME leads back"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("6: this CNAME leads back"),
        "{found:?}"
    );
}

#[test]
fn a_wildcard_that_leads_to_itself_and_a_long_chain_are_found() {
    assert_found("*.w CNAME a.w\n", "leads back to itself");

    let chain: String = (0..20)
        .map(|i| format!("c{i} CNAME c{}\n", i + 1))
        .collect();
    let found = found(&format!("{chain}c20 A 10.1.0.2\n"));
    assert!(found[0].contains("more than 16 names"), "{found:?}");
}

#[test]
fn records_below_a_dname_are_found() {
    assert_found("a.x A 10.1.0.2\nx DNAME gw\n", "never answered");
}

#[test]
fn records_below_a_delegation_are_found_and_glue_is_not() {
    let text = "@ SOA gw h 1 2 3 4 5\nsub NS ns.sub\nns.sub A 10.1.0.2\nother.sub A 10.1.0.3\n";
    let zone = zone("org1.example", text);
    let record = |owner: &str, kind| Record {
        owner: name(owner),
        kind,
        ttl: 5,
        data: vec![10, 1, 0, 2],
        place: ringway_config::Place::whole(std::path::Path::new("zone")),
    };

    assert_eq!(
        occlusion(&zone, &record("ns.sub.org1.example", kind::A)),
        None
    );
    assert_eq!(
        occlusion(&zone, &record("sub.org1.example", kind::NS)),
        None
    );
    for (owner, kind) in [
        ("other.sub.org1.example", kind::A),
        ("ns.sub.org1.example", kind::TXT),
        ("sub.org1.example", kind::TXT),
    ] {
        assert!(occlusion(&zone, &record(owner, kind)).is_some(), "{owner}");
    }
}

#[test]
fn a_delegation_is_refused_with_its_line() {
    let faults = read("sub NS ns.sub\nns.sub A 10.1.0.2\n").unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let text = faults[0].to_string();
    assert!(text.contains("org1.zone:4:"), "{text}");
    assert!(text.contains("sub.org1.example is delegated"), "{text}");
}

#[test]
fn a_target_that_another_gateway_may_have_is_reported_as_such() {
    let (zone, sources) = read("x CNAME missing\n").unwrap();
    let mut known = Known::new(None);
    known.add_part(Arc::new(zone.clone()), "gw2".to_owned());

    let found = lint(&zone, &sources, &known);
    assert!(found[0].message.contains("unless gw2 has it"), "{found:?}");
}

#[test]
fn many_mistakes_are_listed_up_to_a_limit() {
    let records: String = (0..80).map(|i| format!("x{i} CNAME missing\n")).collect();
    let found = found(&records);
    assert_eq!(found.len(), MAX_LISTED);
    assert!(
        found[MAX_LISTED - 1].ends_with("and 30 more such records"),
        "{found:?}"
    );
}
