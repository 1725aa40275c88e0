//! An etcd cluster with one member at each organization, of which one has two gateways: whatever
//! happens to the active one, the cluster keeps its leader or elects another at once.
//!
//! ```text
//!                            ┌─ gw.org0 ──┐
//!   etcd on orderer0.org0 ───┤            ├─┬─ wan
//!                            └─ gw2.org0 ─┘ │
//!   etcd on peer0.org1 ──────── gw.org1 ────┤
//!   etcd on peer0.org2 ──────── gw.org2 ────┘
//! ```

use std::time::Instant;

use anyhow::ensure;
use ringway_tests::Scene;
use ringway_tests::etcd::{Cluster, MEMBERS};
use ringway_tests::scene::{eventually, eventually_ok};
use ringway_tests::siblings::{Fault, active, other, wait_until_it_holds};

use crate::RINGWAY;
use crate::etcd::agreed_leader;

/// The member behind the two gateways.
const BEHIND: &str = MEMBERS[0];

#[test]
fn a_cluster_keeps_its_leader_or_elects_one_at_once_through_each_fault_of_a_gateway() {
    let mut scene = Scene::with_siblings("etcd-siblings", RINGWAY);
    let cluster = Cluster::start(&scene);
    eventually_ok("a leader that all members agree on", 30, || {
        agreed_leader(&scene, &cluster, &MEMBERS)
    });

    for fault in Fault::ALL {
        // The members' own timers run late on a machine that stands still for a second.
        let elections = elections(&mut scene, &cluster, fault);
        if elections > 1 {
            let again = self::elections(&mut scene, &cluster, fault);
            assert!(
                again <= 1,
                "{fault:?}: {again} after {elections}: {}",
                cluster.printed()
            );
        }
    }
    scene.close();
}

/// Lets `fault` happen to the active gateway while the member behind it leads, and takes it back.
/// Meanwhile all members write. Returns how many elections there were.
fn elections(scene: &mut Scene, cluster: &Cluster, fault: Fault) -> u64 {
    let term = lead_behind_the_gateways(scene, cluster);
    let gateway = active(scene).expect("one is active");
    wait_until_it_holds(scene, gateway);

    let struck = Instant::now();
    fault.strike(scene, gateway);
    let leader = eventually_ok("a leader that all agree on, and writes", 15, || {
        for member in MEMBERS {
            let written = format!("{fault:?}");
            cluster.ctl(scene, member, &["put", member, &written])?;
        }
        agreed_leader(scene, cluster, &MEMBERS)
    });
    let took = struck.elapsed();
    if fault.moves_the_role() {
        let successor = other(gateway);
        eventually("the role", 10, || active(scene) == Some(successor));
    }

    let elections = cluster.term(scene, BEHIND).expect("it answers") - term;
    println!("{fault:?}: {elections} elections, {leader} leads; all wrote after {took:.1?}");
    fault.repair(scene, gateway);
    elections
}

/// Has the member behind the two gateways lead; how many elections there have been by then.
fn lead_behind_the_gateways(scene: &Scene, cluster: &Cluster) -> u64 {
    eventually_ok("the member behind the gateways to lead", 30, || {
        cluster.have_lead(scene, BEHIND)?;
        let leader = agreed_leader(scene, cluster, &MEMBERS)?;
        ensure!(leader == BEHIND, "{leader} leads");
        cluster.term(scene, BEHIND)
    })
}
