//! Courses of events that matter by themselves, among few gateways.

use std::rc::Rc;
use std::time::Duration;

use ringway_config::{Endpoint, GatewayId, Host, Prefix};
use ringway_core::{GatewayInfo, Settings, TunnelState};
use ringway_intent::RouteState;
use ringway_shell::{Input, OutageCause};

use crate::consortium::{Record, Records};
use crate::incident::Incident;
use crate::model;
use crate::network::Network;
use crate::node::Node;
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// One site per gateway, `10.<n>.0.0/16`; twins (`gw0.b`, `gw1.b`) share one. A name in brackets
/// has no endpoints.
pub(crate) fn records(gateways: &[&str]) -> Records {
    let mut records = Records::new();
    for (number, text) in gateways.iter().enumerate() {
        let name = text.trim_matches(['[', ']']);
        let id: GatewayId = name.parse().unwrap();
        let fresh = Record {
            org: id.org.clone(),
            version: 0,
            sites: [("site".parse().unwrap(), vec![range(number)])].into(),
            gateways: [].into(),
            via: [].into(),
            transit: [].into(),
            nodes: [].into(),
        };
        let record = Rc::make_mut(
            records
                .entry(id.org.clone())
                .or_insert_with(|| Rc::new(fresh)),
        );
        let endpoint = Endpoint {
            host: Host::Name(name.parse().unwrap()),
            port: 4600,
        };
        let endpoints = if *text == name {
            vec![endpoint]
        } else {
            vec![]
        };
        record.gateways.insert(
            id,
            GatewayInfo {
                site: "site".parse().unwrap(),
                endpoints,
            },
        );
    }
    records
}

fn range(number: usize) -> Prefix {
    format!("10.{number}.0.0/16").parse().unwrap()
}

/// A world of these gateways, all started and settled.
pub(crate) fn settled(gateways: &[&str], seed: u64, settings: Settings) -> World {
    let mut world = World::new(seed, settings, Network::calm());
    world.populate(&records(gateways));
    world.start_all();
    world.run_for(3 * SECOND).unwrap();
    model::compare(&world, false).unwrap();
    world
}

/// Runs until `done`; how long that took.
pub(crate) fn time_until(world: &mut World, done: impl Fn(&World) -> bool) -> Duration {
    let start = world.now;
    while !done(world) {
        world.run_for(Duration::from_millis(5)).unwrap();
        assert!(world.now - start < 60 * SECOND, "never");
    }
    world.now - start
}

pub(crate) fn is_up(world: &World, node: usize) -> bool {
    let shell = &world.nodes[node].running().shell;

    shell
        .status(world.now)
        .tunnels
        .iter()
        .all(|tunnel| tunnel.state == TunnelState::Up)
}

#[test]
fn two_gateways_that_dial_each_other_at_once_agree_on_one_session_and_keep_it() {
    for seed in 0..50 {
        let mut world = World::new(seed, Settings::default(), Network::calm());
        // Slow enough that each has dialled before it hears of the other's dial.
        world.network.delay = world.rng.millis(200, 350);
        world.populate(&records(&["gw.a", "gw.b"]));
        world.start_all();
        world.run_for(30 * SECOND).unwrap();
        assert_eq!(
            world.wires.len(),
            2,
            "seed {seed}: they did not dial at once"
        );
        assert_eq!(
            [world.nodes[0].ups, world.nodes[1].ups],
            [1, 1],
            "seed {seed}: a tunnel went down"
        );
        model::compare(&world, true).unwrap();
    }
}

#[test]
fn a_dead_peer_is_unreachable_within_two_seconds_and_back_within_two_of_its_return() {
    // Both can dial; only the survivor can; only the returning one can.
    for gateways in [["gw.a", "gw.b"], ["[gw.a]", "gw.b"], ["gw.a", "[gw.b]"]] {
        for seed in 0..40 {
            let mut world = settled(&gateways, seed, Settings::default());
            let (survivor, victim) = (world.find("gw.a"), world.find("gw.b"));
            let moment = world.rng.millis(0, 500);
            world.run_for(moment).unwrap();
            world.kill(victim);
            let noticed = time_until(&mut world, |world| {
                world.nodes[survivor].fib().routes.is_empty()
            });
            assert!(
                noticed < 2 * SECOND,
                "seed {seed}: {gateways:?}: noticed after {noticed:?}"
            );
            let outage = world.rng.millis(0, 20_000);
            world.run_for(outage).unwrap();
            world.start(victim);
            let back = time_until(&mut world, |world| {
                is_up(world, survivor) && is_up(world, victim)
            });
            assert!(
                back < 2 * SECOND,
                "seed {seed}: {gateways:?}: back after {back:?}"
            );
        }
    }
}

#[test]
fn a_restart_that_nobody_noticed_takes_the_tunnel_over_at_once() {
    let mut world = settled(&["gw.a", "gw.b"], 1, Settings::default());
    let (survivor, restarted) = (world.find("gw.a"), world.find("gw.b"));
    world.kill(restarted);
    world.start(restarted);
    let back = time_until(&mut world, |world| is_up(world, restarted));
    assert!(back < SECOND / 2, "back after {back:?}");
    assert!(is_up(&world, survivor));
    world.run_for(2 * SECOND).unwrap();
    model::compare(&world, true).unwrap();
}

/// Packets lost while one gateway sends to the other and their session is renewed every two
/// seconds.
fn lost_in_renewals(drain: Duration) -> usize {
    let settings = Settings {
        rekey_after: 2 * SECOND,
        drain,
        ..Settings::default()
    };
    let mut world = settled(&["gw.a", "gw.b"], 3, settings);
    // Packets and streams overtake each other.
    world.network.jitter = 40;
    let (sender, target) = (world.find("gw.a"), range(1));
    let before = world.nodes[sender].fib().routes[&target].1;
    let mut sent = 0;
    for _ in 0..4000 {
        assert!(world.send_data(sender, &target), "no route");
        sent += 1;
        world.run_for(Duration::from_millis(5)).unwrap();
    }
    world.run_for(SECOND).unwrap();
    assert_ne!(
        world.nodes[sender].fib().routes[&target].1,
        before,
        "never renewed"
    );
    sent - world.delivered
}

#[test]
fn renewing_a_session_loses_no_packet() {
    assert_eq!(lost_in_renewals(10 * SECOND), 0);
}

#[test]
fn without_draining_renewals_would_lose_packets() {
    assert_ne!(lost_in_renewals(Duration::ZERO), 0);
}

#[test]
fn two_daemons_of_one_identity_raise_the_alarm_and_do_not_flap() {
    let mut world = settled(&["gw.a", "gw.b", "gw.c"], 4, Settings::default());
    let peer = world.find("gw.a");
    let (ups, twin) = (world.nodes[peer].ups, world.nodes.len());
    let (id, site) = (world.nodes[1].id.clone(), world.nodes[1].site.clone());
    assert_eq!(id.to_string(), "gw.b");
    let held = world.nodes[1].records().clone();
    world.nodes.push(Node::new(id, site, held));
    // Nobody's endpoint leads to the copy: it dials.
    world.nodes[twin].host = "copy".into();
    world.start(twin);
    world.run_for(60 * SECOND).unwrap();
    let alarms = &world.nodes[peer].alarms;
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm == "two daemons use the identity gw.b"),
        "{alarms:?}"
    );
    assert!(alarms.len() <= 2, "one a minute: {alarms:?}");
    assert!(
        world.nodes[peer].ups <= ups + 2,
        "flaps: {} times up",
        world.nodes[peer].ups - ups
    );
    assert!(is_up(&world, world.find("gw.c")));
}

#[test]
fn a_gateway_that_stops_hands_its_routes_to_its_twin_without_a_gap() {
    let mut world = settled(&["gw.a", "gw0.b", "gw1.b"], 5, Settings::default());
    let (sender, first, target) = (world.find("gw.a"), world.find("gw0.b"), range(1));
    let by = |world: &World| world.nodes[sender].fib().routes[&target].0.to_string();
    let used = by(&world);
    let used = world.find(&used);
    world.input(used, Input::Shutdown);
    for _ in 0..400 {
        assert!(world.send_data(sender, &target), "no route");
        world.run_for(Duration::from_millis(5)).unwrap();
    }
    world.run_for(SECOND).unwrap();
    assert_eq!(world.delivered, 400);
    assert!(!world.nodes[used].runs());
    let other = by(&world);
    assert_ne!(world.find(&other), used);
    // The one that comes back does not pull the route over.
    world.start(used);
    world.run_for(3 * SECOND).unwrap();
    assert_eq!(by(&world), other);
    assert!(is_up(&world, first));
}

#[test]
fn an_organization_joins_and_leaves_without_a_packet_lost_between_the_others() {
    let all = records(&["gw.a", "gw.b", "gw.c"]);
    let two = records(&["gw.a", "gw.b"]);
    let mut world = World::new(6, Settings::default(), Network::calm());
    world.populate(&all);
    let [a, b, c] = ["gw.a", "gw.b", "gw.c"].map(|id| world.find(id));
    for node in [a, b] {
        world.nodes[node].disk.records = two.clone();
    }
    world.start_all();
    world.run_for(2 * SECOND).unwrap();
    for step in 0..600 {
        let records = match step {
            100 => Some(&all),
            400 => Some(&two),
            _ => None,
        };
        for (node, records) in [a, b].into_iter().zip(records.into_iter().cycle()) {
            Incident::Records(node, records.clone()).strike(&mut world);
        }
        if step == 399 {
            assert!(is_up(&world, c) && world.nodes[a].fib().routes.contains_key(&range(2)));
        }
        assert!(world.send_data(a, &range(1)), "no route");
        world.run_for(Duration::from_millis(10)).unwrap();
    }
    world.run_for(SECOND).unwrap();
    assert_eq!(world.delivered, 600);
    model::compare(&world, true).unwrap();
}

/// A waiting revocation does not wait: the reload is refused for what is wrong elsewhere, and what
/// the records add stays out.
#[test]
fn a_refused_reload_takes_away_at_once_and_adds_nothing() {
    let gateways = ["gw.a", "gw0.b", "gw1.b", "gw.c"];
    for seed in 0..20 {
        let mut world = settled(&gateways, seed, Settings::default());
        let [node, revoked] = ["gw.a", "gw1.b"].map(|id| world.find(id));
        let bystander = world.nodes[node].fib().routes[&range(3)].1;

        let mut records = world.nodes[node].disk.records.clone();
        let b = Rc::make_mut(records.get_mut(&"b".parse().unwrap()).unwrap());
        b.version = 1;
        b.gateways.remove(&"gw1.b".parse().unwrap());
        b.sites.values_mut().next().unwrap().push(range(77));
        records.extend(self::records(&["gw.new"]));
        world.nodes[node].disk.is_faulty = true;
        Incident::Records(node, records).strike(&mut world);

        let gone = time_until(&mut world, |world| {
            let peers = world.nodes[node].running().shell.status(world.now).tunnels;
            peers
                .iter()
                .all(|tunnel| tunnel.peer != world.nodes[revoked].id)
        });
        assert!(gone < SECOND, "seed {seed}: after {gone:?}");
        world.run_for(2 * SECOND).unwrap();

        let shell = &world.nodes[node].running().shell;
        let config = &shell.current().config;
        assert!(config.record(&"new".parse().unwrap()).is_none());
        assert!(
            !shell
                .membership()
                .authorized
                .values()
                .flatten()
                .any(|own| *own == range(77))
        );
        assert_eq!(world.nodes[node].fib().routes[&range(3)].1, bystander);
        model::compare(&world, false).unwrap();
    }
}

#[test]
fn a_gateway_that_was_suspended_is_back_at_once() {
    let mut world = settled(&["gw.a", "gw.b"], 7, Settings::default());
    let (suspended, peer) = (world.find("gw.b"), world.find("gw.a"));
    world.run_for(2 * SECOND).unwrap();
    Incident::ClockJump(suspended).strike(&mut world);
    let back = time_until(&mut world, |world| {
        is_up(world, suspended) && is_up(world, peer)
    });
    assert!(back < SECOND / 2, "back after {back:?}");
}

#[test]
fn removed_kernel_objects_are_restored_within_a_second_without_a_notification() {
    let mut world = settled(&["gw.a", "gw.b"], 8, Settings::default());
    let node = world.find("gw.a");

    for is_told in [true, false] {
        Incident::Meddle { node, is_told }.strike(&mut world);
        let back = time_until(&mut world, |world| {
            let kernel = &world.nodes[node].kernel;
            kernel.guard.is_some() && !kernel.routes.is_empty()
        });
        // A port answers within 60 ms.
        let limit = if is_told { SECOND / 5 } else { SECOND * 6 / 5 };
        assert!(back < limit, "back after {back:?}");
        world.run_for(2 * SECOND).unwrap();
    }
    model::compare(&world, true).unwrap();
}

/// After ten restorations in a minute the filter is put back once a second at most, and until then
/// the forwarding that the daemon has switched on is off.
#[test]
fn a_program_that_removes_the_filter_again_and_again_ends_forwarding_for_a_second() {
    const STEP: Duration = Duration::from_millis(200);
    let mut world = settled(&["gw.a", "gw.b"], 9, Settings::default());
    let node = world.find("gw.a");
    let mut closed = Duration::ZERO;
    let mut longest = closed;
    let mut restorations = 0;

    for _ in 0..300 {
        world.nodes[node].kernel.guard = None;
        world.input(node, Input::KernelChanged);
        world.run_for(STEP).unwrap();
        restorations += usize::from(world.nodes[node].kernel.guard.is_some());
        if world.nodes[node].kernel.forwards {
            closed = Duration::ZERO;
        } else {
            closed += STEP;
        }
        longest = longest.max(closed);
    }
    assert!(
        (40..75).contains(&restorations),
        "{restorations} restorations"
    );
    assert!(
        longest <= SECOND * 6 / 5,
        "forwarding was off for {longest:?}"
    );

    world.run_for(SECOND * 90).unwrap();
    model::compare(&world, true).unwrap();
}

#[test]
fn a_long_outage_counts_as_one_and_keeps_the_route_to_the_tun_device() {
    let mut world = settled(&["gw.a", "gw.b"], 5, Settings::default());
    let (here, there) = (world.find("gw.a"), world.find("gw.b"));
    let outage = |world: &World| {
        let outages = &world.nodes[here].running().tables.outages;
        outages.get(&range(1)).copied()
    };
    assert_eq!(outage(&world), None);

    let cut = world.now;
    world.network.cut(here, there);
    time_until(&mut world, |world| outage(world).is_some());
    let begun = outage(&world).unwrap();
    assert_eq!(begun.cause, OutageCause::Lost);
    assert!(begun.since - cut < 2 * SECOND);

    while world.now - cut < 14 * 60 * SECOND {
        world.run_for(7 * SECOND).unwrap();
        assert_eq!(outage(&world), Some(begun), "after {:?}", world.now - cut);
        let route = world.nodes[here].kernel.routes[&range(1)];
        assert!(matches!(route, RouteState::Down { .. }), "{route:?}");
    }

    world.network.heal();
    let back = time_until(&mut world, |world| outage(world).is_none());
    assert!(back < 32 * SECOND, "back after {back:?}");
    world.run_for(2 * SECOND).unwrap();
    model::compare(&world, true).unwrap();
}

#[test]
fn the_host_is_inspected_soon_after_another_program_has_changed_it() {
    let mut world = settled(&["gw.a", "gw.b"], 3, Settings::default());
    world.run_for(10 * SECOND).unwrap();
    let asked = world.nodes[0].asked;
    assert!(asked > 0, "soon after the start");

    world.input(0, Input::KernelChanged);
    world.run_for(3 * SECOND).unwrap();
    assert_eq!(world.nodes[0].asked, asked + 1);
}
