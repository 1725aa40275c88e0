//! What `ringway org init` writes loads without faults, and takes blocks appended at its end.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};

use ringway_config::{
    Config, DnsData, Member, NewGateway, NewMember, PortRange, Prefix, Service, Target,
    gateway_text, member_text,
};

const CA: &str =
    "Subject: CN = acme \\ CA\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

fn new_gateway() -> NewGateway {
    NewGateway {
        id: "gw.acme".parse().unwrap(),
        site: "west".parse().unwrap(),
        prefixes: prefixes(),
        listen: "[::]:4600".parse().unwrap(),
        dns_listen: vec![
            "10.1.0.1:53".parse().unwrap(),
            "[fd00:1::1]:5353".parse().unwrap(),
        ],
    }
}

fn new_member() -> NewMember {
    NewMember {
        org: "acme".parse().unwrap(),
        domain: "consortium.example".parse().unwrap(),
        serial: 1,
        ca_pem: format!("{CA}{CA}"),
        sites: vec![
            ("west".parse().unwrap(), prefixes()),
            ("spare".parse().unwrap(), Vec::new()),
        ],
        gateways: vec![
            (
                "gw".parse().unwrap(),
                "west".parse().unwrap(),
                vec!["[2001:db8::5]:4600".parse().unwrap()],
            ),
            ("gw2".parse().unwrap(), "west".parse().unwrap(), Vec::new()),
        ],
    }
}

fn prefixes() -> Vec<Prefix> {
    vec![
        "10.1.0.0/16".parse().unwrap(),
        "fd00:1::/48".parse().unwrap(),
    ]
}

/// Writes both files and an empty members directory, loads them.
fn load(name: &str, gateway: &str) -> Config {
    let dir: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(dir.join("members")).unwrap();
    fs::write(dir.join("acme.member.toml"), member_text(&new_member())).unwrap();
    fs::write(dir.join("gateway.toml"), gateway).unwrap();
    Config::load(&dir.join("gateway.toml")).unwrap_or_else(|faults| panic!("{faults}\n{gateway}"))
}

#[test]
fn a_fresh_gateway_file_loads_and_says_what_was_asked() {
    let new = new_gateway();
    let config = load("fresh", &gateway_text(&new));
    assert_eq!(
        (&config.id, &config.site, config.listen),
        (&new.id, &new.site, new.listen)
    );
    assert_eq!(config.dns.listen, new.dns_listen);
    let rules = config.policy.allow.unwrap();
    let to: Vec<Target> = new.prefixes.into_iter().map(Target::Prefix).collect();
    assert_eq!(rules[0].to, to);
    let ports = vec![
        PortRange {
            first: 7050,
            last: 7051,
        },
        PortRange::one(7054),
    ];
    assert_eq!(rules[0].services, [Service::Tcp(ports)]);
    assert_eq!(rules[1].services, [Service::Icmp]);
    assert_eq!(rules.len(), 2);
}

#[test]
fn a_fresh_record_loads_and_says_what_was_asked() {
    let new = new_member();
    let member = Member::parse(&member_text(&new), Path::new("acme.member.toml")).unwrap();
    assert_eq!(
        (&member.org, member.serial, member.roots.len()),
        (&new.org, new.serial, 2)
    );
    let sites = member.sites.iter().map(|site| {
        (
            site.name.clone(),
            site.prefixes
                .iter()
                .map(|placed| placed.prefix)
                .collect::<Vec<_>>(),
        )
    });
    assert_eq!(sites.collect::<Vec<_>>(), new.sites);
    let gateways = member
        .gateways
        .into_iter()
        .map(|gateway| (gateway.name, gateway.site, gateway.endpoints));
    assert_eq!(gateways.collect::<Vec<_>>(), new.gateways);
}

#[test]
fn a_gateway_without_prefixes_and_dns_gets_an_empty_policy() {
    let config = load(
        "bare",
        &gateway_text(&NewGateway {
            prefixes: vec![],
            dns_listen: vec![],
            ..new_gateway()
        }),
    );
    assert_eq!(config.policy.allow, Some(vec![]));
    assert_eq!(config.dns.listen, []);
}

#[test]
fn the_commented_blocks_are_accepted_without_their_hash() {
    let fresh = gateway_text(&new_gateway());
    let start = fresh.find("# [[dns.host]]").unwrap();
    let (head, rest) = fresh.split_at(start);
    let (blocks, tail) = rest.split_once("\n\n").unwrap();
    let blocks: Vec<&str> = blocks.lines().map(|line| line[1..].trim()).collect();

    let config = load(
        "uncommented",
        &format!("{head}{}\n\n{tail}", blocks.join("\n")),
    );
    let records = &config.dns.records;
    assert_eq!(
        records[0].data,
        DnsData::Address("10.1.0.80".parse().unwrap())
    );
    assert_eq!(records.len(), 2);
}

#[test]
fn records_and_rules_may_be_appended_in_any_order() {
    let record = "\n[[dns.record]]\nname = \"peer0\"\ntype = \"A\"\ndata = \"10.1.0.11\"\n";
    let rule =
        "\n[[policy.allow]]\nfrom = \"all\"\nto = \"10.1.0.11\"\nproto = \"udp\"\nports = 514\n";
    let fresh = gateway_text(&new_gateway());
    let config = load(
        "appended",
        &format!(
            "{fresh}{record}{rule}{}{rule}",
            record.replace("peer0", "peer1")
        ),
    );
    assert_eq!(config.policy.allow.unwrap().len(), 4);
    let names: Vec<&str> = config
        .dns
        .records
        .iter()
        .map(|record| record.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "peer0.acme.consortium.example",
            "peer1.acme.consortium.example"
        ]
    );
    assert_eq!(
        config.dns.records[0].data,
        DnsData::Address("10.1.0.11".parse().unwrap())
    );
}

#[test]
fn sites_and_gateways_may_be_appended_to_a_fresh_record() {
    let site = "\n[[site]]\nname = \"office\"\nprefixes = [\"192.168.40.0/24\"]\n";
    let gateway = "\n[[gateway]]\nname = \"gw3\"\nsite = \"office\"\n";
    let end = "\n# The last line";
    let text = member_text(&new_member()).replace(end, &format!("{site}{gateway}{end}"));
    let member = Member::parse(&text, Path::new("acme.member.toml")).unwrap();
    assert_eq!((member.sites.len(), member.gateways.len()), (3, 3));
}
