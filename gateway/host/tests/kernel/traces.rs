//! Objects that an earlier run has left are removed, and none of the present run.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_config::Routes as Numbers;
use ringway_host::firewall::{Nft, Surroundings};
use ringway_host::routes::KernelRoutes;
use ringway_host::traces::Traces;
use ringway_host::tun::open_tun;
use ringway_intent::RouteState;

use crate::namespace::Namespace;
use crate::site::spec;
use crate::tun_name;

/// The routes through a device go with it.
const DOWN: RouteState = RouteState::Down { prefsrc: None };

/// What a daemon with this device and these numbers leaves, and has in the kernel here.
async fn run(tun: &str, table: u32, protocol: u8, state: RouteState, index: u32) -> Traces {
    let traces = Traces {
        tun: tun.parse().unwrap(),
        routes: Numbers {
            table,
            protocol,
            mark: 0x1057,
        },
        own: ["10.1.0.0/16".parse().unwrap()].into(),
        held: [].into(),
    };

    let surroundings = Surroundings::default();
    let mut nft = Nft::new(&traces.tun);
    nft.apply(&spec(), &surroundings).await.unwrap();
    let plan = BTreeMap::from([("10.1.0.0/16", RouteState::Site), ("10.2.0.0/16", state)]);
    let plan = plan
        .into_iter()
        .map(|(prefix, state)| (prefix.parse().unwrap(), state))
        .collect();
    let mut routes = KernelRoutes::open(traces.routes, Arc::new(index.into())).unwrap();
    routes.sync(&plan).await.unwrap();
    traces
}

/// Rules, the routes of both tables, and the tables of nftables.
fn kernel(namespace: &Namespace) -> String {
    let commands = [
        "ip rule",
        "ip route show table 4600",
        "ip route show table 4601",
        "nft list tables",
    ];

    let texts = commands.map(|command| namespace.run(command).1);
    // A table exists from its first route on.
    let lines = texts.iter().flat_map(|text| text.lines());
    lines
        .filter(|line| !line.contains("does not exist") && !line.contains("terminated"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_an_earlier_run_with_other_names_and_numbers_has_left_is_removed() {
    for (tun, table, protocol) in [
        ("ringway1", 4600, 146),
        ("ringway0", 4601, 146),
        ("ringway0", 4600, 150),
        // The second number of one is the first of the other.
        ("ringway0", 4600, 145),
        ("ringway0", 4600, 147),
    ] {
        let namespace = Namespace::new("gw");
        let (_tun, index) = namespace.enter(|| open_tun(&tun_name(), 1420, 1)).unwrap();
        namespace.wait(|| async {
            let current = run("ringway0", 4600, 146, DOWN, index).await;
            let right = kernel(&namespace);
            assert!(
                right.contains("4600") && right.contains("ringway0"),
                "{right}"
            );
            current.clear(&current).await;
            assert_eq!(kernel(&namespace), right, "the same names and numbers");

            let earlier = run(tun, table, protocol, RouteState::Unreachable, index).await;
            // As at a start: what is needed is in place before the rest goes.
            let current = run("ringway0", 4600, 146, DOWN, index).await;
            assert_ne!(kernel(&namespace), right, "{tun} {table} {protocol}");
            earlier.clear(&current).await;
            assert_eq!(kernel(&namespace), right, "{tun} {table} {protocol}");
        });
    }
}

#[test]
fn the_guard_of_a_daemon_that_runs_is_left_alone() {
    let namespace = Namespace::new("gw");
    namespace.nic("ringway1");
    let (_tun, index) = namespace.enter(|| open_tun(&tun_name(), 1420, 1)).unwrap();
    namespace.wait(|| async {
        let earlier = run("ringway1", 4600, 146, RouteState::Unreachable, index).await;
        let current = run("ringway0", 4600, 146, DOWN, index).await;
        earlier.clear(&current).await;
    });
    assert!(kernel(&namespace).contains("ringway1"));
}
