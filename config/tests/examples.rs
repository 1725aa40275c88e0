//! The annotated examples under deploy/examples load as they are and show every key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ringway_config::{
    Config, DnsData, Faults, Member, Origin, Policy, PortRange, Service, conflicts, fabric_services,
};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/examples")
        .join(name)
}

#[test]
fn the_example_gateway_loads_and_overlaps_nothing() {
    let config = Config::load(&example("gateway.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        config.id.spiffe(&config.own.domain),
        "spiffe://acme.consortium.example/gateway/gw"
    );
    assert_eq!(config.members.len(), 1);
    let records = &config.dns.records;
    assert_eq!((records.len(), config.dns.zone_files.len()), (9, 1));
    assert_eq!(
        records[4].name.as_str(),
        "_peer._tcp.peer0.acme.consortium.example"
    );
    assert_eq!(
        records[4].data,
        DnsData::Text {
            kind: "SRV".into(),
            data: "0 0 7051 peer0.acme.consortium.example.".into()
        }
    );
    assert_eq!(
        records[5].data,
        DnsData::Cname("orderer0.acme.consortium.example".parse().unwrap())
    );
    assert_eq!(conflicts(&config, &[], &BTreeSet::new()), Faults::default());
}

#[test]
fn the_example_policy_admits_fabric_and_echo() {
    let config = Config::load(&example("gateway.toml")).unwrap();
    let rules = config.policy.allow.expect("the example has a policy");
    let fabric = vec![
        PortRange {
            first: 7050,
            last: 7051,
        },
        PortRange::one(7054),
    ];
    assert_eq!(rules[0].services, [Service::Tcp(fabric)]);
    assert_eq!(rules[0].from, [Origin::All]);
    assert_eq!(rules[1].services, [Service::Icmp]);
    let east = Origin::Site("beta".parse().unwrap(), "east".parse().unwrap());
    assert_eq!(rules[2].from[0], east);
    assert_eq!(config.notes, Faults::default());
}

#[test]
fn the_example_node_loads_and_shows_every_key() {
    let config = Config::load(&example("node.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        config.id.spiffe(&config.own.domain),
        "spiffe://acme.consortium.example/node/db1"
    );
    let attach = config.attach.expect("it is a node's");
    assert_eq!(attach.accept, ringway_config::defaults::accept());
    assert_eq!(config.own.gateways.len(), 2, "a gateway and the node");

    let text = std::fs::read_to_string(example("node.toml")).unwrap();
    for key in [
        "version",
        "org",
        "node",
        "site",
        "addresses",
        "prefixes",
        "accept",
        "reserved",
        "listen",
        "state-dir",
        "socket",
        "socket-group",
    ] {
        let is_shown = text
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")));
        assert!(is_shown, "{key}");
    }
    for table in [
        "identity",
        "dns",
        "[gateway]",
        "tun",
        "routes",
        "tunnel",
        "crl",
        "http",
    ] {
        assert!(text.contains(&format!("\n[{table}]\n")), "{table}");
    }
}

#[test]
fn the_example_record_loads_and_shows_every_kind_of_endpoint() {
    let member =
        Member::load(&example("acme.member.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let endpoints: Vec<String> = member.gateways[0]
        .endpoints
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        endpoints,
        [
            "gw.acme.example:4600",
            "203.0.113.5:4600",
            "[2001:db8::5]:4600"
        ]
    );
    assert_eq!(member.roots.len(), 1);
    assert_eq!(
        (member.revoked.gateways.len(), member.revoked.keys.len()),
        (1, 1)
    );
}

#[test]
fn the_defaults_that_the_example_names_are_the_defaults() {
    let shown = Config::load(&example("gateway.toml")).unwrap();
    let dir = scratch();
    std::fs::create_dir_all(dir.join("members")).unwrap();
    std::fs::copy(example("acme.member.toml"), dir.join("acme.member.toml")).unwrap();
    let least = "version = 1\norg = \"acme\"\ngateway = \"gw\"\nsite = \"west\"\n\
                 listen = \"0.0.0.0:4600\"\n\
                 [identity]\nrecord = \"acme.member.toml\"\ncertificate = \"a\"\nkey = \"b\"\n";
    std::fs::write(dir.join("gateway.toml"), least).unwrap();
    let least = Config::load(&dir.join("gateway.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        (least.tun, least.routes, least.dns.ttl),
        (shown.tun, shown.routes, shown.dns.ttl)
    );
    assert_eq!(least.members_dir.file_name(), shown.members_dir.file_name());
    assert_eq!(least.state_dir.file_name(), shown.state_dir.file_name());
    assert_eq!(least.socket.file_name(), shown.socket.file_name());
    assert_eq!(least.dns.foreign_addresses, shown.dns.foreign_addresses);
    assert_eq!(least.dns.public_listen, shown.dns.public_listen);
    assert_eq!(
        (least.dns.hold, least.dns.query_log),
        (shown.dns.hold, None)
    );
    assert_eq!(least.dns.forward, [], "other names are refused");
    assert_eq!(least.tunnel, shown.tunnel);
    assert_eq!(least.ha.preference, shown.ha.preference);
    assert!(least.ha.is_idle() && shown.ha.addresses.len() == 2);
    assert_eq!((least.pools.len(), shown.pools.len()), (0, 1));
    assert_eq!(settings(&least.policy), settings(&shown.policy));
    assert_eq!(
        (least.policy, least.dns.listen.len(), least.reserved.len()),
        (Policy::default(), 0, 0)
    );
}

/// A policy without its blocks.
fn settings(policy: &Policy) -> Policy {
    Policy {
        denied: policy.denied,
        egress: policy.egress,
        flows: policy.flows,
        grace: policy.grace,
        grace_port: policy.grace_port,
        ..Policy::default()
    }
}

#[test]
fn the_example_shows_every_key_of_the_policy_the_tunnel_and_takeovers() {
    let text = std::fs::read_to_string(example("gateway.toml")).unwrap();
    for (table, next, keys) in [
        (
            "\n[policy]\n",
            "\n[[policy.allow]]\n",
            &["denied", "egress", "flows", "grace", "grace-ports"][..],
        ),
        (
            "\n[tunnel]\n",
            "\n[ha]\n",
            &["reset-after", "fail-fast", "held-syns"],
        ),
        (
            "\n[ha]\n",
            "\n[policy]\n",
            &[
                "addresses",
                "interface",
                "preference",
                "on-active",
                "on-standby",
            ],
        ),
        (
            "\n[[policy.allow]]\n",
            "\n[[policy.service]]\n",
            &["from", "to", "service", "proto"],
        ),
        (
            "\n[[policy.service]]\n",
            "\n[[policy.allow-egress]]\n",
            &["name", "proto", "ports"],
        ),
        (
            "\n[[policy.allow-egress]]\n",
            "\n[[policy.test]]\n",
            &["from", "to", "service"],
        ),
        (
            "\n[[policy.test]]\n",
            "\u{0}",
            &["from", "to", "service", "proto", "ports", "expect"],
        ),
    ] {
        let (_, block) = text.split_once(table).unwrap();
        let block = block.split(next).next().unwrap();
        for key in keys {
            let line = format!("\n{key} = ");
            assert!(format!("\n{block}").contains(&line), "{key} in {table}");
        }
    }
}

#[test]
fn the_example_names_every_service_that_is_known() {
    let text = std::fs::read_to_string(example("gateway.toml")).unwrap();
    for (name, services) in fabric_services() {
        let port = services[0].to_string().replace("tcp ", "");
        assert!(text.contains(&format!("{name} {port}")), "{name} {port}");
    }
}

/// A directory for one test.
fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("least")
}
