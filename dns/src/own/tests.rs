//! This organization's zone, from records in the configuration and from zone files on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use ringway_config::{
    Dns, DnsData, DnsRecord, Faults, Identity, Member, PlacedPrefix, Policy, Revoked, Routes, Site,
    Tunnel, ZoneFile,
};

use super::*;
use crate::scratch::Scratch;

fn place(line: u32) -> Place {
    Place::at(PathBuf::from("gateway.toml").into(), line, 1)
}

fn config(listen: &[&str], records: Vec<DnsRecord>) -> Config {
    let prefixes = ["10.0.0.0/15", "fd00:1::/48"];
    let placed = |text: &str| PlacedPrefix {
        prefix: text.parse().unwrap(),
        place: Place::whole(Path::new("gateway.toml")),
    };
    let own = Member {
        serial: 1,
        org: "org1".parse().unwrap(),
        domain: "consortium.example".parse().unwrap(),
        roots: Vec::new(),
        sites: vec![Site {
            name: "east".parse().unwrap(),
            prefixes: prefixes.map(placed).into(),
            via: None,
        }],
        gateways: Vec::new(),
        transit: Vec::new(),
        revoked: Revoked::default(),
        digest: Digest::of(b""),
        place: Place::whole(Path::new("gateway.toml")),
    };
    Config {
        path: "gateway.toml".into(),
        id: "gw.org1".parse().unwrap(),
        site: "east".parse().unwrap(),
        listen: "0.0.0.0:4600".parse().unwrap(),
        identity: Identity {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        },
        own,
        members: Vec::new(),
        members_dir: PathBuf::new(),
        state_dir: PathBuf::new(),
        socket: PathBuf::new(),
        socket_group: None,
        is_state_beside: false,
        withheld: Default::default(),
        pools: Vec::new(),
        tun: "ringway0".parse().unwrap(),
        lanes: std::num::NonZeroU32::MIN,
        routes: Routes {
            table: 4600,
            protocol: 146,
            mark: 1,
        },
        reserved: Vec::new(),
        announce: Vec::new(),
        dns: Dns {
            listen: listen.iter().map(|l| l.parse().unwrap()).collect(),
            ttl: 5,
            records,
            checks: Vec::new(),
            zone_files: Vec::new(),
            foreign_addresses: false,
            public_listen: false,
            apex: ringway_config::ApexMode::Closed,
            query_log: None,
            rate_limit: ringway_config::RateLimit {
                site: 0,
                members: 0,
            },
            hold: std::time::Duration::from_secs(604_800),
            forward: Vec::new(),
            kubernetes: None,
        },
        policy: Policy::default(),
        tunnel: Tunnel::default(),
        ha: ringway_config::Ha::default(),
        http: None,
        nodes: Default::default(),
        wireguard: None,
        attach: None,
        crl: ringway_config::CrlPolicy::default(),
        places: Default::default(),
        notes: Faults::default(),
    }
}

fn record(line: u32, name: &str, data: DnsData) -> DnsRecord {
    DnsRecord {
        name: format!("{name}org1.consortium.example").parse().unwrap(),
        ttl: 30,
        data,
        place: place(line),
    }
}

fn address(line: u32, name: &str, address: &str) -> DnsRecord {
    record(line, name, DnsData::Address(address.parse().unwrap()))
}

fn alias(line: u32, name: &str, target: &str) -> DnsRecord {
    record(line, name, DnsData::Cname(target.parse().unwrap()))
}

/// The faults of the zone, as `ringway check` prints them.
fn faults(config: &Config) -> Vec<String> {
    let faults = Faults::from(Zone::from_config(config, 9).unwrap_err());
    faults.0.iter().map(ToString::to_string).collect()
}

/// Each RRset as owner, TTL, type number and data in wire form; the apex is written `@`.
fn lines(zone: &Zone) -> Vec<String> {
    let mut lines = Vec::new();
    zone.rrsets(|owner, set| {
        let owner = owner.to_string().replace("org1.consortium.example", "@");
        let mut line = format!("{owner} {} {}", set.ttl(), set.kind());
        for data in set.data() {
            line.push_str(&format!(" {}", data.escape_ascii()));
        }
        lines.push(line);
    });
    lines
}

const SOA: &str = concat!(
    r"@ 5 6 \x02gw\x04org1\nconsortium\x07example\x00",
    r"\nhostmaster\x04org1\nconsortium\x07example\x00",
    r"\x00\x00\x00\t\x00\x00\x00<\x00\x00\x00\n\x00\x12u\x00\x00\x00\x00\x05",
);
const NS: &str = r"@ 5 2 \x02gw\x04org1\nconsortium\x07example\x00";

#[test]
fn a_zone_has_its_records_an_soa_and_this_gateway_as_its_name_server() {
    let records = vec![
        address(1, "peer0.", "10.1.0.11"),
        address(2, "peer0.", "10.1.0.12"),
        address(3, "peer0.", "fd00:1::11"),
        alias(4, "ca.", "peer0.org2.consortium.example"),
    ];
    let zone = Zone::from_config(&config(&["10.1.0.1:53", "127.0.0.1:53"], records), 9).unwrap();
    let expected = [
        NS,
        SOA,
        r"ca.@ 30 5 \x05peer0\x04org2\nconsortium\x07example\x00",
        r"gw.@ 5 1 \n\x01\x00\x01",
        r"peer0.@ 30 1 \n\x01\x00\x0b \n\x01\x00\x0c",
        r"peer0.@ 30 28 \xfd\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11",
    ];
    assert_eq!(lines(&zone), expected);
}

#[test]
fn configured_addresses_of_the_gateway_replace_those_it_listens_on() {
    let records = vec![address(1, "gw.", "10.1.0.9")];
    let zone = Zone::from_config(&config(&["10.1.0.1:53"], records), 9).unwrap();
    assert_eq!(lines(&zone), [NS, SOA, r"gw.@ 30 1 \n\x01\x00\t"]);
}

#[test]
fn every_fault_is_reported_at_its_place() {
    let records = vec![
        alias(1, "", "elsewhere.example"),
        address(2, "peer0.", "10.1.0.11"),
        alias(3, "peer0.", "elsewhere.example"),
        address(4, "peer1.x", "10.1.0.12"),
    ];
    assert_eq!(
        faults(&config(&[], records)),
        [
            "gateway.toml:1:1: org1.consortium.example has a CNAME and can have no other record",
            "gateway.toml:3:1: peer0.org1.consortium.example has another record at \
             gateway.toml:2:1; a CNAME must be its only one",
            "gateway.toml:4:1: peer1.xorg1.consortium.example is outside the zone \
             org1.consortium.example",
        ]
    );
}

#[test]
fn the_serial_changes_only_with_the_content() {
    let scratch = Scratch::new();
    let mut serials = SerialStore::open(&scratch.path().join("serial")).unwrap();
    let mut serial_at = |seconds, records| {
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let zone = Zone::own(&config(&[], records), &mut serials, now).unwrap();
        zone.serial()
    };

    assert_eq!(serial_at(1000, vec![]), 1000);
    assert_eq!(serial_at(1001, vec![]), 1000);
    let record = address(1, "a.", "10.0.0.1");
    assert_eq!(serial_at(1000, vec![record]), 1001);
}

/// Writes zone files, given by name and text, to `dir`. The configuration names only the first.
fn with_files(dir: &Path, files: &[(&str, &str)], records: Vec<DnsRecord>) -> Config {
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
    let mut config = config(&[], records);
    let path = dir.join(files[0].0);
    config.dns.zone_files = vec![ZoneFile {
        path,
        place: place(9),
    }];
    config
}

fn text(line: u32, name: &str, kind: &str, data: &str) -> DnsRecord {
    record(
        line,
        name,
        DnsData::Text {
            kind: kind.into(),
            data: data.into(),
        },
    )
}

#[test]
fn a_zone_has_the_records_of_every_source_and_knows_where_each_was_written() {
    let scratch = Scratch::new();
    let records = vec![
        address(1, "peer0.", "10.1.0.11"),
        text(2, "_peer._tcp.peer0.", "SRV", "0 0 7051 peer0"),
        text(3, "", "TXT", "\"two words\" one"),
        text(4, "x.", "TYPE65280", "\\# 2 0a0b"),
    ];
    let files = [
        (
            "acme.zone",
            "$ORIGIN west\n$INCLUDE more.zone\nb A 10.1.0.13\n",
        ),
        (
            "more.zone",
            "$TTL 60\n@ MX 10 a\n$ORIGIN lab\na A 10.1.0.12\n",
        ),
    ];
    let (zone, sources) = Zone::with_sources(&with_files(scratch.path(), &files, records)).unwrap();
    let soa_with_serial_0 = SOA.replace("\\x00\\t\\x00\\x00\\x00<", "\\x00\\x00\\x00\\x00\\x00<");
    let mut expected = [
        NS,
        &soa_with_serial_0,
        r"@ 30 16 \ttwo words\x03one",
        concat!(
            r"_peer._tcp.peer0.@ 30 33 \x00\x00\x00\x00\x1b\x8b",
            r"\x05peer0\x04org1\nconsortium\x07example\x00",
        ),
        r"a.lab.west.@ 60 1 \n\x01\x00\x0c",
        r"b.west.@ 5 1 \n\x01\x00\r",
        r"peer0.@ 30 1 \n\x01\x00\x0b",
        r"west.@ 60 15 \x00\n\x01a\x04west\x04org1\nconsortium\x07example\x00",
        r"x.@ 30 65280 \n\x0b",
    ];
    expected.sort();
    let mut found = lines(&zone);
    found.sort();
    assert_eq!(found, expected);

    let place = |owner: &str, kind, data: &[u8]| {
        let owner = parse_name(&format!("{owner}org1.consortium.example")).unwrap();
        let place = sources.place(&owner, kind, data)?.to_string();
        Some(place.replace(&format!("{}/", scratch.path().display()), ""))
    };
    assert_eq!(
        place("peer0.", kind::A, &[10, 1, 0, 11]).unwrap(),
        "gateway.toml:1:1"
    );
    assert_eq!(
        place("a.lab.west.", kind::A, &[10, 1, 0, 12]).unwrap(),
        "more.zone:4:1"
    );
    assert_eq!(
        place("b.west.", kind::A, &[10, 1, 0, 13]).unwrap(),
        "acme.zone:3:1"
    );
    assert_eq!(place("b.west.", kind::A, &[10, 1, 0, 14]), None);
}

#[test]
fn faults_of_contradicting_records_name_both_places() {
    let scratch = Scratch::new();
    let file = "\
        @ SOA a b 1 2 3 4 5\n\
        @ SOA a b 1 2 3 4 6\n\
        peer0 A 10.1.0.11\n\
        peer1 CNAME peer0\n\
        peer2 A 10.1.0.1\n\
        d DNAME x\n\
        d DNAME y\n\
        peer3 A 10.9.0.1\n\
        www.org2.consortium.example. A 10.1.0.1\n";
    let records = vec![
        address(1, "peer0.", "10.1.0.11"),
        address(2, "peer1.", "10.1.0.12"),
        alias(3, "peer2.", "peer0.org1.consortium.example"),
        text(4, "peer4.", "WHAT", "10.1.0.1"),
        text(5, "peer4.", "MX", "mail"),
        text(6, "peer4.", "TXT", "a\nb"),
    ];
    let config = with_files(scratch.path(), &[("acme.zone", file)], records);

    let mut found = faults_without(scratch.path(), &config);
    found.sort();
    let apex = "org1.consortium.example";
    assert_eq!(
        found,
        [
            format!("acme.zone:2:1: {apex} has another SOA at acme.zone:1:1; remove one of them"),
            format!(
                "acme.zone:3:1: peer0.{apex} has this record already at gateway.toml:1:1; \
                 remove one of them"
            ),
            format!(
                "acme.zone:4:1: peer1.{apex} has another record at gateway.toml:2:1; \
                 a CNAME must be its only one"
            ),
            format!(
                "acme.zone:5:1: peer2.{apex} has another record at gateway.toml:3:1; \
                 a CNAME must be its only one"
            ),
            format!(
                "acme.zone:7:1: d.{apex} has another DNAME at acme.zone:6:1; remove one of them"
            ),
            "acme.zone:8:1: 10.9.0.1 is in no site of this organization; \
             write an address in 10.0.0.0/15, fd00:1::/48, or foreign-addresses = true in \
             [dns] for a name that this site alone is to have: other members leave such addresses \
             out"
            .into(),
            format!("acme.zone:9:1: www.org2.consortium.example is outside the zone {apex}"),
            "gateway.toml:4:1: \"WHAT\" is no record type; write TYPE and its number if it is new"
                .into(),
            "gateway.toml:5:1: this is no number up to 65535".into(),
            "gateway.toml:6:1: the data goes on in a second line; join them by parentheses".into(),
        ]
    );
}

/// As [`faults`], with file names relative to `dir`.
fn faults_without(dir: &Path, config: &Config) -> Vec<String> {
    let dir = format!("{}/", dir.display());
    let faults = faults(config);
    faults.iter().map(|fault| fault.replace(&dir, "")).collect()
}

#[test]
fn foreign_addresses_are_accepted_only_if_the_configuration_allows_them() {
    let mut config = config(
        &[],
        vec![
            address(1, "peer0.", "192.0.2.1"),
            address(2, "peer0.", "2001:db8::1"),
        ],
    );
    assert_eq!(faults(&config).len(), 2);
    config.dns.foreign_addresses = true;
    assert_eq!(Zone::from_config(&config, 9).unwrap().records(), 4);
}

#[test]
fn addresses_outside_our_sites_are_refused_in_every_type() {
    let scratch = Scratch::new();
    let text = "web HTTPS 1 . ipv4hint=169.254.169.254\nl L32 10 169.254.169.254\n\
        list APL 1:10.9.0.0/16\nall APL 1:0.0.0.0/0\n\
        ok HTTPS 1 . ipv4hint=10.1.0.9\nours APL 1:10.1.0.0/24\n";
    let mut config = with_files(scratch.path(), &[("acme.zone", text)], vec![]);

    let faults = faults_without(scratch.path(), &config);
    assert_eq!(faults.len(), 4, "{faults:?}");
    for (line, fault) in (1..).zip(&faults) {
        assert!(fault.starts_with(&format!("acme.zone:{line}:")), "{fault}");
        assert!(
            fault.contains("is in no site of this organization"),
            "{fault}"
        );
    }
    config.dns.foreign_addresses = true;
    assert!(Zone::from_config(&config, 0).is_ok());
}

#[test]
fn a_zone_file_states_names_of_our_addresses_and_of_no_others() {
    let scratch = Scratch::new();
    let good = "web A 10.1.0.11\n11.0.1.10.in-addr.arpa. PTR web\n\
        $ORIGIN 1.10.in-addr.arpa.\n12.0 PTR www.elsewhere.\n";
    let config = with_files(scratch.path(), &[("acme.zone", good)], vec![]);
    let (zone, sources) = Zone::with_sources(&config).unwrap();
    let stated: Vec<String> = lines(&zone)
        .into_iter()
        .filter(|line| line.contains("in-addr.arpa.@ 5 12 "))
        .collect();
    assert_eq!(stated.len(), 2, "{stated:?}");
    assert_eq!(sources.targets().count(), 2);

    for (record, part) in [
        ("11.0.9.10.in-addr.arpa. PTR web", "10.9.0.11 is in no site"),
        (
            "11.0.1.10.in-addr.arpa. PTR a.org2.consortium.example.",
            "another member's host",
        ),
        ("0.1.10.in-addr.arpa. PTR web", "is outside the zone"),
        ("11.0.1.10.in-addr.arpa. TXT web", "is outside the zone"),
    ] {
        let scratch = Scratch::new();
        let text = format!("{record}\n");
        let config = with_files(scratch.path(), &[("acme.zone", &text)], vec![]);
        let faults = faults(&config);
        assert!(
            faults.len() == 1 && faults[0].contains(part),
            "{record}: {faults:?}"
        );
    }
}

#[test]
fn a_delegation_is_refused_wherever_it_is_written() {
    let scratch = Scratch::new();
    let text = "@ NS other\nother A 10.1.0.11\nsub NS other\n";
    let config = with_files(scratch.path(), &[("acme.zone", text)], vec![]);
    let faults = faults_without(scratch.path(), &config);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("acme.zone:3:1: sub."), "{faults:?}");
    assert!(faults[0].contains("is delegated"), "{faults:?}");
}

#[test]
fn the_soa_of_a_zone_file_is_used_but_for_its_serial() {
    let scratch = Scratch::new();
    let config = with_files(
        scratch.path(),
        &[("acme.zone", "@ 9 SOA ns admin 77 1 2 3 4\n")],
        vec![],
    );
    let zone = Zone::from_config(&config, 9).unwrap();
    assert_eq!(zone.serial(), 9);
    assert_eq!(zone.negative_ttl(), 4);
    assert_eq!(zone.soa().ttl(), 9);
    assert_eq!(
        Zone::from_config(&config, 0).unwrap().encode(),
        zone.with_serial(0).encode()
    );
}

#[test]
fn a_zone_file_includes_no_file_outside_its_directory() {
    let scratch = Scratch::new();
    let inner = scratch.path().join("zones");
    fs::create_dir(&inner).unwrap();
    fs::write(scratch.path().join("secret"), "key\n").unwrap();
    std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
    let secret = scratch.path().join("secret").display().to_string();
    let file = format!(
        "$INCLUDE ../secret\n\
         $INCLUDE {secret}\n\
         $INCLUDE link\n\
         $INCLUDE .\n\
         $INCLUDE gone\n\
         $INCLUDE\n\
         $INCLUDE loop\n"
    );
    let files = [("acme.zone", &*file), ("loop", "$INCLUDE loop\n")];
    let config = with_files(&inner, &files, vec![]);

    let found = faults_without(&inner, &config);
    assert_eq!(
        found,
        [
            "acme.zone:1:10: ../secret is not in the directory of this file; move it there",
            &format!(
                "acme.zone:2:10: {secret} is not in the directory of this file; move it there"
            ),
            "acme.zone:3:10: link is not in the directory of this file; move it there",
            "acme.zone:4:10: . is not in the directory of this file; move it there",
            "acme.zone:5:10: gone: cannot read the file: No such file or directory (os error 2)",
            "acme.zone:6:1: only $ORIGIN <name>, $TTL <time>, $INCLUDE <file> [<name>] \
             and $GENERATE <range> <record> can stand here",
            "loop:1:10: files may include each other 8 deep; does one include itself?",
        ]
    );
}

#[test]
fn a_zone_file_that_is_missing_is_a_fault() {
    let scratch = Scratch::new();
    let config = with_files(scratch.path(), &[("acme.zone", "")], vec![]);
    fs::remove_file(scratch.path().join("acme.zone")).unwrap();

    let found = faults(&config);
    let expected = "acme.zone: cannot read the file: No such file or directory (os error 2)";
    assert!(found[0].ends_with(expected), "{found:?}");
}

#[test]
fn octets_that_are_not_utf_8_are_reported_by_line_and_column() {
    let scratch = Scratch::new();
    let file = scratch.path().join("acme.zone");
    fs::write(&file, b"; caf\xc3\xa9\nb\xc3\xa9 \xff A 10.0.0.1\n").unwrap();
    let faults = Zone::from_file(&file, None).unwrap_err();
    let expected = format!(
        "{}:2:4: this is no UTF-8 text; save the file as such",
        file.display()
    );
    assert_eq!(faults[0].to_string(), expected);
}

#[test]
fn the_size_of_all_files_of_a_zone_together_is_limited() {
    let scratch = Scratch::new();
    let config = with_files(scratch.path(), &[("acme.zone", "$INCLUDE big\n")], vec![]);
    fs::File::create(scratch.path().join("big"))
        .unwrap()
        .set_len(crate::replica::MAX_SIZE as u64)
        .unwrap();

    let found = faults(&config);
    let expected = "big: the files of a zone may have at most 16777216 octets together";
    assert!(found[0].ends_with(expected), "{found:?}");
}

#[test]
fn the_example_configuration_has_a_valid_zone() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/gateway.toml");
    let config = Config::load(&example).unwrap_or_else(|faults| panic!("{faults}"));
    let (zone, _) = Zone::with_sources(&config).unwrap();
    let text = zone.to_text();
    for line in [
        "_peer._tcp.peer0.acme.consortium.example. 30 IN SRV 0 0 7051 \
         peer0.acme.consortium.example.",
        "acme.consortium.example. 5 IN TXT \"the zone of acme\"",
        "peer1.acme.consortium.example. 60 IN AAAA fd00:1::21",
        "gw.acme.consortium.example. 5 IN A 10.1.0.1",
    ] {
        assert!(
            text.lines().any(|written| written == line),
            "{line}\nis not in\n{text}"
        );
    }
}
