//! Real software: an etcd cluster, one member at each organization, survives a gateway's restart.
//!
//! ```text
//!   etcd on orderer0.org0 ── gw.org0 ──┐
//!   etcd on peer0.org1 ───── gw.org1 ──┼── wan    each member has its own certificate and name
//!   etcd on peer0.org2 ───── gw.org2 ──┘
//! ```

use anyhow::{Context as _, Result, ensure};
use ringway_tests::Scene;
use ringway_tests::etcd::{Cluster, MEMBERS};
use ringway_tests::scene::eventually_ok;

use crate::RINGWAY;

#[test]
fn a_cluster_survives_the_restart_of_its_leaders_gateway() {
    let mut scene = Scene::new("etcd", RINGWAY);
    let cluster = Cluster::start(&scene, MEMBERS);
    let first = eventually_ok("a leader that all members agree on", 30, || {
        agreed_leader(&scene, &cluster, &MEMBERS)
    });
    for member in MEMBERS {
        cluster
            .ctl(&scene, member, &["put", "before", member])
            .expect("every member accepts a write");
    }

    let (_, org) = first
        .split_once('.')
        .expect("a node's name ends with its organization");
    let gateway = format!("gw.{org}");
    println!("{first} leads: {gateway} stops");
    scene.stop(&gateway);
    let others: Vec<_> = MEMBERS
        .into_iter()
        .filter(|member| *member != first)
        .collect();
    others_elect_another(&scene, &cluster, &others, first);

    println!("{gateway} starts again");
    scene.start(&gateway).expect("the gateway starts");
    eventually_ok("the old leader to catch up", 20, || {
        let value = cluster.stored_by(&scene, first, "during")?;
        ensure!(value.trim() == "x", "it holds {value:?}");
        Ok(())
    });
    eventually_ok("a write through the old leader", 10, || {
        cluster.ctl(&scene, first, &["put", "after", "y"])
    });
    let read = cluster
        .ctl(&scene, others[1], &["get", "--print-value-only", "after"])
        .expect("another member answers a read");
    assert_eq!(read.trim(), "y", "{}", cluster.printed());
    scene.close();
}

/// Waits until `others` have a leader other than `first`, and writes something that `first`, which
/// is cut off, does not get.
fn others_elect_another(scene: &Scene, cluster: &Cluster, others: &[&str], first: &str) {
    let successor = eventually_ok("another leader among the others", 30, || {
        let leader = agreed_leader(scene, cluster, others)?;
        ensure!(leader != first, "still {leader}");
        Ok(leader)
    });
    println!("{successor} leads");

    eventually_ok("a write without the old leader", 10, || {
        cluster.ctl(scene, others[0], &["put", "during", "x"])
    });
    let stored = cluster
        .stored_by(scene, first, "during")
        .expect("the old leader answers for itself");
    assert_eq!(stored, "", "{first} is cut off");
}

/// The leader according to all of `members`; an error if they do not agree.
pub(crate) fn agreed_leader(
    scene: &Scene,
    cluster: &Cluster,
    members: &[&str],
) -> Result<&'static str> {
    let leaders: Result<Vec<_>> = members
        .iter()
        .map(|member| cluster.leader(scene, member))
        .collect();
    let leaders = leaders.with_context(|| cluster.printed())?;

    let agree = leaders.iter().all(|leader| *leader == leaders[0]);
    ensure!(agree, "{leaders:?}");
    Ok(leaders[0])
}
