//! An etcd cluster with one member at each organization, of which one has two gateways: whatever
//! happens to the active one, the cluster keeps its leader or elects another at once. The same with
//! a member on a host in a data centre that is attached to both.
//!
//! ```text
//!                            ┌─ gw.org0 ──┐
//!   etcd on orderer0.org0 ───┤            ├─┬─ wan
//!                            └─ gw2.org0 ─┘ │
//!   etcd on dc0.org0 ────────── nat ────────┤
//!   etcd on peer0.org1 ──────── gw.org1 ────┤
//!   etcd on peer0.org2 ──────── gw.org2 ────┘
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use ringway_lab::topology::Equipment;
use ringway_tests::Scene;
use ringway_tests::etcd::{Cluster, MEMBERS, WITH_ATTACHED};
use ringway_tests::scene::{eventually, eventually_ok};
use ringway_tests::siblings::{Fault, active, other, wait_until_it_holds};

use crate::RINGWAY;
use crate::etcd::agreed_leader;

/// `RINGWAY_SIBLING_ETCD_ROUNDS=N` has each fault happen N times.
#[test]
fn an_etcd_cluster_keeps_or_elects_a_leader_through_each_fault_of_a_gateway() {
    let mut scene = Scene::with_siblings("etcd-siblings", RINGWAY);
    let cluster = Cluster::start(&scene, MEMBERS);

    let faults: Vec<Fault> = match rounds("RINGWAY_SIBLING_ETCD_ROUNDS") {
        None => Fault::briefly().collect(),
        Some(rounds) => Fault::ALL.repeat(rounds),
    };
    endure(&mut scene, &cluster, &faults);
    scene.close();
}

/// `RINGWAY_ETCD_ROUNDS=N` has each fault happen N times; without it, the gateway is killed once.
#[test]
fn so_does_one_with_a_member_on_an_attached_host() {
    let mut scene = Scene::with_equipment("etcd-attached", RINGWAY, Equipment::ALL);
    let cluster = Cluster::start(&scene, WITH_ATTACHED);

    match rounds("RINGWAY_ETCD_ROUNDS") {
        None => endure(&mut scene, &cluster, &[Fault::Kill]),
        Some(rounds) => endure(&mut scene, &cluster, &Fault::ALL.repeat(rounds)),
    }
    scene.close();
}

fn rounds(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// What became of the cluster each time that one fault happened.
#[derive(Default)]
struct Outcome {
    times: usize,
    elections: u64,
    /// The longest time until all members had written again.
    slowest: Duration,
}

/// Lets each of `faults` happen in turn, and be repaired.
fn endure(scene: &mut Scene, cluster: &Cluster, faults: &[Fault]) {
    eventually_ok("a leader that all members agree on", 30, || {
        agreed_leader(scene, cluster, &cluster.members)
    });

    let mut outcomes: BTreeMap<Fault, Outcome> = BTreeMap::new();
    for fault in faults {
        // The members' own timers run late on a machine that stands still for a second.
        let (first, took) = elections(scene, cluster, *fault);
        let outcome = outcomes.entry(*fault).or_default();
        outcome.times += 1;
        outcome.elections += first;
        outcome.slowest = outcome.slowest.max(took);
        if first > 1 {
            let (again, _) = elections(scene, cluster, *fault);
            assert!(
                again <= 1,
                "{fault:?}: {again} after {first}: {}",
                cluster.printed()
            );
        }
    }
    report(&outcomes);
}

fn report(outcomes: &BTreeMap<Fault, Outcome>) {
    for (fault, outcome) in outcomes {
        println!(
            "result: {fault:?}: {} times, {} elections, all had written after {:.1?} at most",
            outcome.times, outcome.elections, outcome.slowest
        );
    }
}

/// Lets `fault` happen to the active gateway while the member behind it leads, and takes it back.
/// Then all members write. Returns how many elections there were, and how long all of it took.
fn elections(scene: &mut Scene, cluster: &Cluster, fault: Fault) -> (u64, Duration) {
    let term = lead_behind_the_gateways(scene, cluster);
    let gateway = active(scene).expect("one is active");
    wait_until_it_holds(scene, gateway);

    let struck = Instant::now();
    fault.strike(scene, gateway);
    let leader = eventually_ok("a leader that all agree on, and writes", 15, || {
        for member in cluster.members {
            let written = format!("{fault:?}");
            cluster.ctl(scene, member, &["put", member, &written])?;
        }
        agreed_leader(scene, cluster, &cluster.members)
    });
    let took = struck.elapsed();
    if fault.moves_the_role() {
        let successor = other(gateway);
        eventually("the role", 10, || active(scene) == Some(successor));
    }

    let behind = cluster.members[0];
    let elections = cluster.term(scene, behind).expect("it answers") - term;
    println!("{fault:?}: {elections} elections, {leader} leads; all wrote after {took:.1?}");
    fault.repair(scene, gateway);
    (elections, took)
}

/// Has the member behind the two gateways lead; how many elections there have been by then.
fn lead_behind_the_gateways(scene: &Scene, cluster: &Cluster) -> u64 {
    let behind = cluster.members[0];

    eventually_ok("the member behind the gateways to lead", 30, || {
        cluster.have_lead(scene, behind)?;
        let leader = agreed_leader(scene, cluster, &cluster.members)?;
        ensure!(leader == behind, "{leader} leads");
        cluster.term(scene, behind)
    })
}
