//! A guard that the kernel refuses, after a change of the host and after a reload.

use std::collections::BTreeSet;
use std::time::Duration;

use ringway_config::Prefix;
use ringway_core::Settings;
use ringway_intent::{Address, HostRoute, Links};

use crate::incident::Incident;
use crate::model;
use crate::scenario::settled;

const SECOND: Duration = Duration::from_secs(1);

/// A host with an interface in the site of `gw.a`, which the guard names.
fn in_the_site() -> Links {
    let own = "10.0.0.17".parse().unwrap();
    let prefix = Prefix::holding(own, 28).unwrap();

    Links::from_addresses([Address {
        interface: "eth0".into(),
        own,
        network: prefix,
        preferred: true,
    }])
    .with_routes([HostRoute {
        prefix,
        interface: "eth0".into(),
        gateway: None,
        is_live: true,
    }])
}

#[test]
fn a_refused_guard_is_retried_every_five_seconds_until_it_is_in_force() {
    for refusals in [1, 3] {
        let mut world = settled(&["gw.a", "gw.b"], 12, Settings::default());
        let node = world.find("gw.a");
        let before = world.nodes[node].kernel.guard.clone();
        world.nodes[node].kernel.refuses_guards = refusals;
        Incident::HostChange(node, in_the_site(), BTreeSet::new()).strike(&mut world);

        for tried in 1..=refusals {
            world.run_for(5 * SECOND - SECOND / 2).unwrap();
            let gateway = &world.nodes[node];
            assert_eq!(gateway.kernel.guard, before, "the old one stays");
            assert_eq!(gateway.kernel.refuses_guards, refusals - tried, "in turn");
            assert!(gateway.findings.contains("guard"), "{:?}", gateway.findings);
            world.run_for(SECOND / 2 + SECOND / 5).unwrap();
        }

        // Now it is the one of the host as it is, and nothing is left to say.
        let gateway = &world.nodes[node];
        assert_ne!(gateway.kernel.guard, before);
        assert!(gateway.findings.is_empty(), "{:?}", gateway.findings);
        model::compare(&world, true).unwrap();

        // It is not put there again and again.
        let guard = gateway.kernel.guard.clone();
        world.nodes[node].kernel.refuses_guards = 1;
        world.run_for(20 * SECOND).unwrap();
        assert_eq!(world.nodes[node].kernel.guard, guard);
        assert_eq!(world.nodes[node].kernel.refuses_guards, 1, "nobody asked");
    }
}
