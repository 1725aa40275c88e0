//! Everything that `doctor` can find names its command, or says why there is none.

use std::net::SocketAddr;
use std::path::Path;

use ringway_config::Config;
use ringway_dns::Name;
use ringway_host::obstacles::Obstacle;
use ringway_intent::{Finding, Remedy, absent_dns_address};
use serde_json::json;

use super::fix::Fix;
use super::place::{Place, rights, start};
use super::{Found, answers, isolation, masquerade, names, report, settings, text, tracking};
use crate::admin::attention::Kind;
use crate::cli::check::{files, host};
use crate::ipv6;
use crate::state::{REMEDY, space};

fn config() -> Config {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");

    Config::load(&Path::new(files).join("gateway.toml")).unwrap()
}

fn finding(remedy: impl Into<Remedy>) -> Finding {
    Finding {
        name: "x".into(),
        what: "something is wrong".into(),
        remedy: remedy.into(),
    }
}

/// One finding of each sort that `place` can have. A new place or obstacle has to be added here.
fn of_place(place: Place) -> Vec<Finding> {
    let listen: SocketAddr = "10.1.0.2:53".parse().unwrap();
    let apex = Name::from_text("acme.consortium.example").unwrap();

    match place {
        Place::Start => obstacles().iter().map(start).collect(),
        Place::Rights => vec![rights("not checked")],
        // What the kernel says comes with remedies of its own, which are tested where they are.
        Place::Host => vec![
            host::read_only_setting("net.ipv4.ip_forward", "0", "1"),
            absent_dns_address(listen.ip()),
        ],
        Place::Gateway => Vec::new(),
        Place::Disk => space::find(Path::new("/proc/ringway/state"))
            .into_iter()
            .collect(),
        Place::Masquerade => vec![masquerade::finding("ip nat POSTROUTING", "ringway0")],
        Place::Tracking => {
            let full = tracking::Table { count: 9, most: 9 };
            let rules = json!({"nftables": [{"chain": {"family": "inet", "table": "filter",
                "name": "input", "hook": "input", "type": "filter", "policy": "drop"}}]});
            let found = [full.nearly_full(), full.tracks(&rules, "ringway0", 4600)];
            found.into_iter().flatten().collect()
        }
        Place::Isolation => {
            let half = json!({"nftables": [{"table": {"family": "inet",
                "name": "ringway-chaincode-br-cc"}}]});
            isolation::find(&half)
        }
        Place::Names => vec![
            names::own(listen, &apex, "no answer"),
            names::of_host(listen.ip(), &apex, "no answer"),
        ],
        Place::Answers => vec![answers::finding(7, "ringway0")],
        Place::Ipv6 => [ipv6::State::Off, ipv6::State::Missing]
            .into_iter()
            .filter_map(ipv6::finding)
            .collect(),
        Place::Settings => vec![settings::bridged(), settings::unsynchronized()],
    }
}

fn device(is_foreign: bool) -> Obstacle {
    Obstacle::DeviceExists {
        key: "gateway.toml: [tun] name".to_owned(),
        reason: "device ringway0 exists".to_owned(),
        is_foreign,
    }
}

fn obstacles() -> Vec<Obstacle> {
    let all = [
        Obstacle::TunDenied,
        Obstacle::NoTun(std::io::ErrorKind::NotFound),
        Obstacle::NoNft,
        device(true),
        device(false),
        Obstacle::PortTaken("0.0.0.0:4600".parse().unwrap()),
        files::no_group("no-such-group", "there is no such group".to_owned()),
        files::no_place(Path::new("/nowhere/ringway.sock"), "/nowhere is missing"),
    ];

    for obstacle in &all {
        // One that is not in the list above does not compile here.
        match obstacle {
            Obstacle::TunDenied
            | Obstacle::NoTun(_)
            | Obstacle::NoNft
            | Obstacle::DeviceExists { .. }
            | Obstacle::PortTaken(_)
            | Obstacle::Socket { .. } => {}
        }
    }
    all.into()
}

#[test]
fn what_this_program_looks_for_is_found_with_its_command() {
    for place in Place::ALL {
        let found = of_place(place);
        assert_eq!(found.is_empty(), place == Place::Gateway, "{place:?}");
        for finding in found {
            assert!(finding.remedy.is_command(), "{place:?}: {finding:?}");
        }
    }
}

/// What of a kind has no command, and why.
enum Expected {
    Command,
    /// Others than this host's operator have to act.
    Others,
}

fn expected(kind: Kind) -> Expected {
    match kind {
        Kind::Clock
        | Kind::DuplicateIdentity
        | Kind::ReloadRefused
        | Kind::CertificateRefused
        | Kind::KernelState
        | Kind::ForeignFirewall
        | Kind::ForeignRoute
        | Kind::PolicyTest
        | Kind::OurZoneRefused
        | Kind::TunnelDown
        | Kind::NeverMeet
        | Kind::NotAnnounced
        | Kind::SiteNetwork
        | Kind::Drained
        | Kind::AddressMissing
        | Kind::Grace => Expected::Command,
        // Which program it is, is known; how it is stopped, is not.
        Kind::KernelDrift
        // The file that could not be read comes from a backup. What cannot be written has one.
        | Kind::State
        // Ours has one.
        | Kind::CertificateExpiry
        | Kind::RevocationList
        | Kind::ZoneRefused
        | Kind::ZoneStale
        | Kind::NamesLeftOut
        | Kind::AddressFailed
        | Kind::RecordsDiffer
        | Kind::RecordWithheld
        | Kind::NoEffect
        // The operator decides which of two programs goes.
        | Kind::Http
        | Kind::AdminSocket
        | Kind::Resolver
        // What must be done, is done in the cluster.
        | Kind::Kubernetes
        // What must be done, is done elsewhere in the site.
        | Kind::Takeover
        | Kind::SiteRefused
        | Kind::PrefixConflict
        | Kind::PrefixRefused
        | Kind::OurPrefixRefused
        | Kind::Other => Expected::Others,
    }
}

#[test]
fn every_kind_that_a_gateway_reports_has_a_command_or_a_reason() {
    let config = config();

    for kind in Kind::ALL {
        // Another version may name nothing.
        match (Fix::of_kind(*kind, &finding(""), &config), expected(*kind)) {
            (Fix::Command(command), Expected::Command) => {
                assert!(command.is_command(), "{kind:?}: {command}");
            }
            (Fix::NoCommand(reason), Expected::Others) => {
                assert!(reason.len() > 20, "{kind:?}: {reason}");
            }
            (other, _) => panic!("{kind:?}: {other:?}"),
        }
    }
}

#[test]
fn a_command_of_the_gateway_is_shown_as_it_is_and_a_sentence_as_the_reason() {
    let config = config();
    let commands = [
        (Kind::ForeignFirewall, "ufw allow 4600/udp"),
        (Kind::CertificateExpiry, "ringway cert renew"),
        (Kind::RecordsDiffer, "ringway member add beta.member.toml"),
        (Kind::State, "mount -o remount,rw /"),
        (Kind::Other, "ss -lunp"),
    ];
    for (kind, command) in commands {
        let command = Remedy::command(command);
        let fix = Fix::of_kind(kind, &finding(command.clone()), &config);
        assert_eq!(fix, Fix::Command(command), "{kind:?}");
    }
    for kind in [Kind::KernelDrift, Kind::ZoneRefused, Kind::RevocationList] {
        let fix = Fix::of_kind(kind, &finding("its operator must"), &config);
        let reason = Fix::NoCommand("its operator must".to_owned());
        assert_eq!(fix, reason, "{kind:?}");
    }

    let stored = Fix::of_kind(Kind::State, &finding(REMEDY), &config);
    assert!(matches!(&stored, Fix::Command(command) if command.to_string().starts_with("df -h ")));
}

#[test]
fn a_finding_without_a_command_says_so() {
    let found = |fix| Found {
        finding: finding(""),
        fix,
    };
    let all = [
        found(Fix::Command(Remedy::command("nft list ruleset"))),
        found(Fix::NoCommand("others must\u{1b}[2J".into())),
    ];

    assert_eq!(
        text(&all, Path::new("gateway.toml")),
        "something is wrong\n  to fix it: nft list ruleset\n\
         something is wrong\n  no command fixes it: others must\\u{1b}[2J\n"
    );
    let json = serde_json::to_value(report(&all, Path::new("gateway.toml"), true)).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["findings"][0]["remedy"], "nft list ruleset");
    assert_eq!(json["findings"][1]["remedy"], "");
    assert!(json["findings"][1]["no_command"].is_string());
}
