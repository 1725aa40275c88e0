//! A guard for unit tests.

use ringway_intent::GuardSpec;

/// Organization beta has 10.2.0.0/16; this site has 10.1.0.0/16.
pub(crate) fn spec() -> GuardSpec {
    let own = vec!["10.1.0.0/16".parse().unwrap()];
    let beta: ringway_config::Prefix = "10.2.0.0/16".parse().unwrap();

    GuardSpec {
        tun: "ringway0".parse().unwrap(),
        inside: own.clone(),
        own,
        members: [beta].into(),
        site: ["eth1".to_owned()].into(),
        has_siblings: false,
        tunnel_port: 4600,
        wireguard: None,
        is_dialled: true,
        mark: 1,
        marks_arrivals: false,
    }
}
