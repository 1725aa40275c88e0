//! What exceeds a limit is refused with its number, what just meets it is not.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use ringway_config::{Config, Member, limits};

const HEAD: &str = r#"version = 2
serial = 1
org = "acme"
domain = "consortium.example"
ca = """
-----BEGIN CERTIFICATE-----
MIIB
-----END CERTIFICATE-----
"""
"#;

const END: &str = "[end]\n";

/// The faults of a record with `rest` after what every record says.
fn faults(rest: &str) -> String {
    match Member::parse(&format!("{HEAD}{rest}{END}"), Path::new("acme")) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string(),
    }
}

fn repeat(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

#[test]
fn a_record_has_so_many_sites() {
    let sites = |count| repeat(count, |n| format!("[[site]]\nname = \"s{n}\"\n"));
    assert_eq!(faults(&sites(limits::SITES)), "");
    assert!(
        faults(&sites(limits::SITES + 1)).contains("257 elements; at most 256 are allowed here")
    );
}

#[test]
fn a_site_has_so_many_prefixes() {
    let prefix = |n: usize| format!("\"10.{}.{}.0/24\",", n / 256, n % 256);
    let site = |count| {
        format!(
            "[[site]]\nname = \"s\"\nprefixes = [{}]\n",
            repeat(count, prefix)
        )
    };
    assert_eq!(faults(&site(limits::PREFIXES)), "");
    assert!(
        faults(&site(limits::PREFIXES + 1)).contains("acme:12:12: 1025 elements; at most 1024")
    );
}

#[test]
fn a_site_has_so_many_gateways() {
    let gateway = |n| format!("[[gateway]]\nname = \"gw{n}\"\nsite = \"s\"\n");
    let gateways = |count| format!("[[site]]\nname = \"s\"\n{}", repeat(count, gateway));
    assert_eq!(faults(&gateways(limits::GATEWAYS_OF_A_SITE)), "");
    assert!(
        faults(&gateways(limits::GATEWAYS_OF_A_SITE + 1))
            .contains("site s has more than 64 gateways")
    );
}

#[test]
fn a_zone_leaves_room_for_names_below_it() {
    let domain = |labels| format!("{}.example", vec!["a".repeat(60); labels].join("."));
    let parse = |labels| {
        let text = HEAD.replace("consortium.example", &domain(labels)) + END;
        Member::parse(&text, Path::new("acme")).map_err(|faults| faults.to_string())
    };
    assert!(parse(2).is_ok());
    assert!(
        parse(3)
            .unwrap_err()
            .contains("choose a domain of fewer characters")
    );
}

#[test]
fn a_consortium_has_so_many_members() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crowd");
    fs::create_dir_all(dir.join("members")).unwrap();
    for n in 0..=limits::MEMBERS {
        fs::write(dir.join(format!("members/org{n}.member.toml")), "").unwrap();
    }
    fs::write(dir.join("gateway.toml"), "version = 1\n").unwrap();
    let faults = Config::load(&dir.join("gateway.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        faults.contains("1001 member records; at most 1000 are allowed"),
        "{faults}"
    );
    assert!(
        !faults.contains("org0.member.toml"),
        "no record is read then"
    );
}

#[test]
fn the_longest_line_is_read_in_good_time() {
    let mut sites = String::from("site = [");
    for site in 0..50u32 {
        write!(sites, "{{ name = \"s{site}\", prefixes = [").unwrap();
        sites.extend((0..1000).map(|n| format!("\"fd00:{site:x}:{n:x}::/48\",")));
        sites.push_str("]},");
    }
    sites.push_str("]\n");
    let start = Instant::now();
    assert_eq!(faults(&sites), "");
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
