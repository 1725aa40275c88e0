//! More flows than there are places for: what is given up, and what must stay.

use ringway_config::Policy;

use crate::course::Course;
use crate::ends::Ends;
use crate::model::Decision;
use crate::packet::{ACK, SYN};
use crate::world::{EAST, GAMMA, HIGH, JOB0, PEER0, PEER1, WEST, address, named_policy};

/// Places for flows.
const FLOWS: u32 = 4096;

/// A course whose filter has few places.
fn crowded(policy: &str) -> Course {
    let policy = Policy {
        flows: FLOWS,
        ..named_policy(policy)
    };
    let mut course = Course::with(11, policy);
    course.forget_former();
    course
}

/// Ends with these ports, over IPv4.
fn ends(host: u8, our_port: u16, site: u32, their_port: u16) -> Ends {
    Ends {
        v6: false,
        site,
        ours: address(1, host, false),
        our_port,
        theirs: address(site, 5, false),
        their_port,
    }
}

/// `count` connections of peer0, accepted by the far end.
fn established(course: &mut Course, count: u16) -> Vec<Ends> {
    let all: Vec<_> = (0..count)
        .map(|at| ends(PEER0, 10_000 + at, EAST, 7051))
        .collect();
    for ends in &all {
        assert_eq!(ends.open(course), Decision::Pass);
    }
    all
}

fn assert_all_alive(course: &mut Course, connections: &[Ends]) {
    let dead = connections
        .iter()
        .filter(|ends| course.arrives(ends.site, &ends.tcp_in(ACK)) != Decision::Pass)
        .count();
    assert_eq!(dead, 0, "of {} connections", connections.len());
}

#[test]
fn a_hosts_flood_of_udp_takes_no_connection_of_another_host() {
    let mut course = crowded("empty");
    let connections = established(&mut course, 40);
    for port in 1..=60_000 {
        course.leaves(&ends(JOB0, 9, WEST, port).udp_out());
    }
    assert_all_alive(&mut course, &connections);

    let counts = course.filter().counts();
    assert!(counts.evicted + counts.unrecorded > 0, "{counts:?}");
    assert!(counts.ours <= u64::from(FLOWS), "{counts:?}");
}

#[test]
fn no_address_of_ours_holds_more_than_a_quarter() {
    let mut course = crowded("empty");
    for port in 1..=60_000 {
        course.leaves(&ends(JOB0, 9, WEST, port).tcp_out(SYN));
    }
    let ours = course.filter().counts().ours;
    assert!(ours <= u64::from(FLOWS) / 4, "{ours} of {FLOWS}");
    assert!(ours > u64::from(FLOWS) / 8, "{ours} of {FLOWS}");
}

#[test]
fn unanswered_connections_give_way_to_answered_ones_of_the_same_host() {
    let mut course = crowded("empty");
    let connections = established(&mut course, 100);
    for port in 1..=60_000 {
        course.leaves(&ends(PEER0, 9, WEST, port).tcp_out(SYN));
    }
    assert_all_alive(&mut course, &connections);
}

#[test]
fn new_connections_find_a_place_in_a_full_table() {
    let mut course = crowded("empty");
    for host in 100..116 {
        for port in 1..=1_000 {
            course.leaves(&ends(host, 9, WEST, port).udp_out());
        }
    }
    let connections = established(&mut course, 20);
    assert_all_alive(&mut course, &connections);
}

#[test]
fn a_members_flood_takes_no_flow_of_ours_and_none_of_another_member() {
    let mut course = crowded("everything");
    let connections = established(&mut course, 40);
    let syslog = ends(PEER1, 514, EAST, 20_000);
    course.arrives(EAST, &syslog.udp_in());
    for port in 1..=60_000 {
        course.arrives(GAMMA, &ends(PEER1, 514, GAMMA, port).udp_in());
    }

    // The rule goes; an answer to what east sent must not open the way for more.
    course.policy_crowded("empty", FLOWS);
    course.forget_former();
    assert_all_alive(&mut course, &connections);
    course.leaves(&syslog.udp_out());
    assert_eq!(course.arrives(EAST, &syslog.udp_in()), Decision::Drop);
}

#[test]
fn nothing_passes_under_pressure_that_the_model_would_not_let_in() {
    let mut course = crowded("fabric");
    for round in 0..60_000_u32 {
        let host = course.rng.pick(&[PEER0, PEER1, JOB0]);
        let port = 1 + course.rng.below(60_000) as u16;
        let ends = ends(host, 9, WEST, port);
        if round % 3 == 0 {
            course.leaves(&ends.udp_out());
            course.leaves(&ends.tcp_out(SYN));
        } else {
            course.arrives(WEST, &ends.udp_in());
            course.arrives(WEST, &ends.tcp_in(ACK));
            course.arrives(WEST, &ends.error_about_tcp());
        }
    }
    let wrong = &course.tally.wrong_deliveries;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn grace_is_a_thousand_segments_a_second_for_each_site() {
    let mut course = Course::new(5, "empty");
    course.restart();
    let passed = burst(&mut course, EAST);
    assert!((500..=1_100).contains(&passed), "{passed} of 3000");
    // East has used up its own share, not that of west.
    let passed = burst(&mut course, WEST);
    assert!((500..=1_100).contains(&passed), "{passed} of 3000");

    course.pass(std::time::Duration::from_secs(2));
    let passed = burst(&mut course, EAST);
    assert!((500..=2_100).contains(&passed), "{passed} of 3000");
    assert!(course.tally.wrong_deliveries.is_empty());
}

/// Sends 3,000 segments of unknown flows at once; how many passed.
fn burst(course: &mut Course, site: u32) -> usize {
    (0..3_000)
        .filter(|at| {
            let ends = ends(PEER0, HIGH, site, 1 + at);
            course.arrives(site, &ends.tcp_in(ACK)) == Decision::Pass
        })
        .count()
}
