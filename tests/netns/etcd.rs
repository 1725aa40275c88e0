//! Real software: etcd, one member at each organization, keeps working while gateways come and go.
//!
//! ```text
//!   etcd on orderer0.org0 ── gw.org0 ──┐
//!   etcd on peer0.org1 ───── gw.org1 ──┼── wan        each member with its own certificate, addressed by name
//!   etcd on peer0.org2 ───── gw.org2 ──┘
//! ```

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use ringway_tests::Scene;
use ringway_tests::etcd::{Cluster, MEMBERS};
use ringway_tests::scene::eventually_ok;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");

#[test]
fn a_cluster_outlives_the_restart_of_its_leaders_gateway() {
    let mut scene = Scene::new("etcd", RINGWAY);
    let cluster = Cluster::start(&scene);
    let first = eventually_ok("a leader all members agree on", 30, || {
        agreed(&scene, &cluster, &MEMBERS)
    });
    for member in MEMBERS {
        cluster
            .ctl(&scene, member, &["put", "before", member])
            .expect("a write through every member");
    }

    let gateway = format!(
        "gw.{}",
        first
            .split('.')
            .nth(1)
            .expect("a node's name ends with its organization")
    );
    let others: Vec<_> = MEMBERS
        .into_iter()
        .filter(|member| *member != first)
        .collect();
    println!("{first} leads: {gateway} stops");
    scene.signal(&gateway, Signal::SIGTERM).expect("it runs");
    scene
        .process(&gateway)
        .expect("it ran")
        .wait(std::time::Duration::from_secs(10))
        .expect("it drains and ends");
    let successor = eventually_ok("another leader among the others", 30, || {
        let leader = agreed(&scene, &cluster, &others)?;
        ensure!(leader != first, "still {leader}");
        Ok(leader)
    });
    eventually_ok("a write without the old leader", 10, || {
        cluster.ctl(&scene, others[0], &["put", "during", "x"])
    });
    let copy = cluster
        .own_copy(&scene, first, "during")
        .expect("it answers for itself");
    assert_eq!(copy, "", "{first} is cut off");

    println!("{successor} leads: {gateway} starts again");
    scene.start(&gateway).expect("it starts");
    eventually_ok("the old leader to catch up", 20, || {
        let value = cluster.own_copy(&scene, first, "during")?;
        ensure!(value.trim() == "x", "it holds {value:?}");
        Ok(())
    });
    eventually_ok("a write through the old leader", 10, || {
        cluster.ctl(&scene, first, &["put", "after", "y"])
    });
    let read = cluster
        .ctl(&scene, others[1], &["get", "--print-value-only", "after"])
        .expect("a read elsewhere");
    assert_eq!(read.trim(), "y", "{}", cluster.printed());
    scene.close();
}

/// The leader that all of `members` name.
fn agreed(scene: &Scene, cluster: &Cluster, members: &[&str]) -> Result<&'static str> {
    let leaders: Result<Vec<_>> = members
        .iter()
        .map(|member| cluster.leader(scene, member))
        .collect();
    let leaders = leaders.with_context(|| cluster.printed())?;
    ensure!(
        leaders.iter().all(|leader| *leader == leaders[0]),
        "{leaders:?}"
    );
    Ok(leaders[0])
}
