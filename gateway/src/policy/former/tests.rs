use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use ringway_config::{Origin, Place, Target};
use ringway_filter::{Filter, RemoteSite, Settings, Verdict};

use super::*;

const NOW: u64 = 1_800_000_000;
const IDLE: u64 = TCP_IDLE.as_secs();

/// A directory that is removed with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let dir = env::temp_dir().join(format!("ringway-former-{test}-{}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    /// The rules of `spec` are in force; what was allowed before, as text.
    fn follow(&self, spec: &RulesSpec, now: u64) -> Vec<String> {
        let former = self.start(spec, now);
        let rules = former
            .iter()
            .flat_map(|policy| policy.allow.iter().flatten());
        let texts = rules.flat_map(|rule| {
            let ends = rule.from.iter().flat_map(|from| {
                let to = rule.to.iter();
                to.map(move |to| format!("{from} to {to}"))
            });
            let services = rule.services.iter();
            let pairs = ends.flat_map(move |ends| {
                services
                    .clone()
                    .map(move |service| format!("{ends}: {service}"))
            });
            pairs.collect::<Vec<_>>()
        });
        texts.collect()
    }

    fn start(&self, spec: &RulesSpec, now: u64) -> Vec<Policy> {
        let (former, stored) = replace_stored(&self.0, spec, now);
        stored.unwrap();
        former
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ports(port: u16) -> Vec<PortRange> {
    vec![PortRange::one(port)]
}

fn rule(from: Origin, to: &str, service: Service) -> Allow {
    Allow {
        from: vec![from],
        to: vec![
            to.parse()
                .map_or_else(|_| Target::Name(to.parse().unwrap()), Target::Prefix),
        ],
        services: vec![service],
        place: Place::whole(Path::new("gateway.toml")),
    }
}

fn spec(allow: Vec<Allow>) -> RulesSpec {
    let site = |number, org: &str, prefix: &str| RemoteSite {
        number,
        org: org.parse().unwrap(),
        site: "east".parse().unwrap(),
        prefixes: vec![prefix.parse().unwrap()],
        has_gateways: true,
        via: None,
    };

    RulesSpec {
        policy: Policy {
            allow: Some(allow),
            ..Policy::default()
        },
        former: Vec::new(),
        site: 0,
        own: vec![prefix("10.1.0.0/16")],
        sites: vec![
            site(1, "beta", "10.2.0.0/16"),
            site(2, "gamma", "10.3.0.0/16"),
        ],
        names: [(
            "db.acme.example".parse().unwrap(),
            vec!["10.1.0.5".parse().unwrap()],
        )]
        .into(),
        dns: Vec::new(),
        gateway: Vec::new(),
        tunnel_port: 4600,
    }
}

fn of_port(port: u16) -> RulesSpec {
    spec(vec![rule(
        Origin::All,
        "10.1.0.0/16",
        Service::Tcp(ports(port)),
    )])
}

#[test]
fn a_start_knows_exactly_what_was_taken_away_before_it() {
    let dir = Scratch::new("exact");
    let none: [&str; 0] = [];
    assert_eq!(dir.follow(&of_port(1), NOW), none, "a first start");
    assert_eq!(dir.follow(&of_port(1), NOW + 10), none);

    // Changed by a restart or by a reload: the next restart knows it too.
    let first = ["all to 10.1.0.0/16: tcp 1"];
    assert_eq!(dir.follow(&of_port(2), NOW + 20), first);
    assert_eq!(dir.follow(&of_port(2), NOW + 30), first);
    assert_eq!(
        dir.follow(&of_port(3), NOW + 40),
        ["all to 10.1.0.0/16: tcp 1", "all to 10.1.0.0/16: tcp 2"]
    );
    assert_eq!(dir.follow(&of_port(3), NOW + 20 + IDLE - 1).len(), 2);
    assert_eq!(
        dir.follow(&of_port(3), NOW + 20 + IDLE),
        ["all to 10.1.0.0/16: tcp 2"]
    );

    // What is back in force has not ended.
    assert_eq!(
        dir.follow(&of_port(2), NOW + IDLE),
        ["all to 10.1.0.0/16: tcp 3"]
    );
    // The clock was set back.
    assert_eq!(dir.follow(&of_port(2), 7), ["all to 10.1.0.0/16: tcp 3"]);

    let mode = fs::metadata(path(&dir.0)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_names_organizations_and_our_dns_meant_is_remembered_in_addresses() {
    let dir = Scratch::new("meant");
    let beta = Origin::Org("beta".parse().unwrap());
    let mut before = spec(vec![
        rule(beta, "db.acme.example", Service::Udp(ports(5000))),
        rule(
            Origin::Prefix(prefix("10.3.1.0/24")),
            "10.1.0.9/32",
            Service::Protocol(6),
        ),
        rule(Origin::All, "nobody.acme.example", Service::Tcp(Vec::new())),
    ]);
    before.dns = vec!["10.1.0.1:53".parse().unwrap()];
    assert_eq!(before.meaning().len(), 3, "a rule for nobody says nothing");
    dir.follow(&before, NOW);

    // The name has moved, and so has beta.
    let mut after = before.clone();
    after.dns = Vec::new();
    after.names.insert(
        "db.acme.example".parse().unwrap(),
        vec!["10.1.0.6".parse().unwrap()],
    );
    after.sites[0].prefixes = vec![prefix("10.4.0.0/16")];
    assert_eq!(
        dir.follow(&after, NOW + 1),
        [
            "10.2.0.0/16 to 10.1.0.5: udp 5000",
            "all to 10.1.0.1: udp 53",
            "all to 10.1.0.1: tcp 53",
        ]
    );
}

#[test]
fn nothing_but_what_the_operator_opened_is_remembered_of_a_closed_gateway() {
    let mut closed = spec(Vec::new());
    closed.dns = vec!["10.1.0.1:53".parse().unwrap()];
    assert!(closed.meaning().is_empty());

    closed.policy.allow = None;
    assert_eq!(closed.meaning().len(), 1, "our DNS");
}

#[test]
fn a_file_that_cannot_be_read_counts_as_everything() {
    let whole = ["all to 10.1.0.0/16: tcp", "all to 10.1.0.0/16: udp 1-32767"];
    let mut too_long = br#"{"rules":[]}"#.to_vec();
    too_long.resize(LONGEST + 1, b' ');
    for bytes in [
        &b"{"[..],
        br#"{"rules":"sha256:00","changed":null}"#,
        &too_long,
    ] {
        let dir = Scratch::new("broken");
        fs::write(path(&dir.0), bytes).unwrap();
        assert_eq!(dir.follow(&of_port(1), NOW), whole);
        assert_eq!(dir.follow(&of_port(1), NOW + 1), whole);
        assert!(dir.follow(&of_port(1), NOW + IDLE).is_empty());
    }
}

fn has_everything(former: &[String]) -> bool {
    former.iter().any(|rule| rule == "all to 10.1.0.0/16: tcp")
}

#[test]
fn too_much_to_remember_counts_as_everything_and_stays_within_its_bound() {
    let dir = Scratch::new("much");
    let ports = |first: u16| {
        let odd = (first..).step_by(2).take(30_000).map(PortRange::one);
        Service::Tcp(odd.collect())
    };
    let many = |first| spec(vec![rule(Origin::All, "10.1.0.0/16", ports(first))]);
    for first in 1..4 {
        let former = dir.follow(&many(first), NOW);
        assert!(former.len() <= 2, "{}", former.len());
        assert!(fs::metadata(path(&dir.0)).unwrap().len() <= LONGEST as u64);
    }
    assert!(has_everything(&dir.follow(&of_port(1), NOW)));

    // Rules that are too many by themselves are everything from the first.
    let dir = Scratch::new("more");
    let more = spec(
        (0..4)
            .map(|n| rule(Origin::All, "10.1.0.0/16", ports(n)))
            .collect(),
    );
    assert!(dir.follow(&more, NOW).is_empty());
    assert!(dir.follow(&more, NOW + 1).is_empty());
    assert!(has_everything(&dir.follow(&of_port(1), NOW + 2)));
}

/// A filter that has just started with these rules, and with what was allowed before.
fn started(spec: &RulesSpec, former: Vec<Policy>, now: Instant) -> (Filter, Rules) {
    let settings = Settings {
        flows: 1024,
        grace: Duration::from_secs(120),
        grace_port: 32768,
    };
    let spec = RulesSpec {
        former,
        ..spec.clone()
    };
    (Filter::new(&settings, [7; 16], now), Rules::compile(&spec))
}

/// What becomes of the middle of a connection from beta to `port`, after a start.
fn middle(filter: &Filter, rules: &Rules, port: u16, now: Instant) -> Verdict {
    filter.arrives(
        rules,
        1,
        &packet([10, 2, 0, 9], [10, 1, 0, 9], 6, (1000, port)),
        now,
    )
}

/// An IPv4 packet with nothing but an ACK if it is TCP.
fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, ports: (u16, u16)) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
    bytes.extend(from);
    bytes.extend(to);
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    match protocol {
        6 => bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0, 0, 0, 0, 0, 0]),
        _ => bytes.extend([0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    }
    bytes
}

#[test]
fn after_a_change_and_a_restart_only_what_was_taken_away_has_no_grace() {
    let dir = Scratch::new("grace");
    let udp = |port| rule(Origin::All, "10.1.0.0/16", Service::Udp(ports(port)));
    let tcp = |port| rule(Origin::All, "10.1.0.0/16", Service::Tcp(ports(port)));
    dir.follow(&spec(vec![tcp(40000), tcp(50000), udp(5000)]), NOW);

    let narrower = spec(vec![tcp(50000)]);
    let now = Instant::now();
    let (filter, rules) = started(&narrower, dir.start(&narrower, NOW + 9), now);
    assert_ne!(
        middle(&filter, &rules, 40000, now),
        Verdict::Pass,
        "taken away"
    );
    assert_eq!(
        middle(&filter, &rules, 50000, now),
        Verdict::Pass,
        "allowed"
    );
    assert_eq!(
        middle(&filter, &rules, 40001, now),
        Verdict::Pass,
        "by grace"
    );

    // An answer of the service that was taken away opens nothing; another packet does.
    for (port, expected) in [(5000, false), (5001, true)] {
        let out = packet([10, 1, 0, 9], [10, 2, 0, 9], 17, (port, 1000));
        assert_eq!(filter.leaves(&rules, &out, now), Verdict::Pass);
        let back = packet([10, 2, 0, 9], [10, 1, 0, 9], 17, (1000, port));
        let verdict = filter.arrives(&rules, 1, &back, now);
        assert_eq!(verdict == Verdict::Pass, expected, "{port}");
    }
}
