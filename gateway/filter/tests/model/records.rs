//! What the filter exports about its flows: acknowledgements for exact resets, records for the
//! site's other gateways.

use std::net::SocketAddr;

use ringway_filter::{FlowProtocol, FlowRecord};

use crate::course::Course;
use crate::ends::Ends;
use crate::model::Decision;
use crate::packet::{ACK, RST, SYN, segment, tcp};
use crate::world::{EAST, PEER0, address};

/// A connection of peer0 to east.
fn ends() -> Ends {
    Ends {
        v6: false,
        site: EAST,
        ours: address(1, PEER0, false),
        our_port: 40_000,
        theirs: address(EAST, 5, false),
        their_port: 7051,
    }
}

fn local(ends: &Ends) -> SocketAddr {
    SocketAddr::new(ends.ours, ends.our_port)
}

fn remote(ends: &Ends) -> SocketAddr {
    SocketAddr::new(ends.theirs, ends.their_port)
}

/// Our host acknowledges everything before `ack`.
fn acknowledge(course: &mut Course, ends: &Ends, ack: u32) {
    let mut segment = segment(ends.our_port, ends.their_port, ACK);
    segment.ack = ack;
    course.leaves(&tcp(ends.ours, ends.theirs, segment));
}

fn acknowledged(course: &Course, ends: &Ends) -> Option<u32> {
    let flow = course
        .filter()
        .tcp_flow(local(ends), remote(ends), course.now);
    flow.expect("the flow is known").ack
}

#[test]
fn the_highest_acknowledgement_since_the_syn_is_kept_in_serial_arithmetic() {
    let mut course = Course::new(1, "empty");
    let ends = ends();
    course.leaves(&ends.tcp_out(SYN));
    assert_eq!(acknowledged(&course, &ends), None);
    course.arrives(EAST, &ends.tcp_in(SYN | ACK));

    for (ack, highest) in [
        (0xffff_fff0, 0xffff_fff0),
        (0xffff_ff00, 0xffff_fff0),
        (0x10, 0x10),
        (0xffff_ffff, 0x10),
        (0x7000_0000, 0x7000_0000),
        (0x10, 0x7000_0000),
    ] {
        acknowledge(&mut course, &ends, ack);
        assert_eq!(acknowledged(&course, &ends), Some(highest), "{ack:x}");
    }

    course.leaves(&ends.tcp_out(SYN));
    assert_eq!(acknowledged(&course, &ends), None, "a new connection");
}

#[test]
fn a_flow_that_was_reset_for_its_host_stays_known_for_ten_minutes() {
    let mut course = Course::new(2, "empty");
    let ends = ends();
    ends.open(&mut course);
    course
        .filter()
        .mark_reset(local(&ends), remote(&ends), course.now);
    let known = |course: &mut Course, ends: &Ends| {
        let packet = ends.tcp_in(ACK);
        course.arrives(ends.site, &packet) == Decision::Pass
    };

    course.pass(std::time::Duration::from_secs(598));
    assert!(known(&mut course, &ends));
    course.pass(std::time::Duration::from_secs(4));
    assert!(!known(&mut course, &ends));
}

#[test]
fn each_new_flow_and_each_syn_makes_a_record() {
    let mut course = Course::new(3, "fabric");
    let ends = ends();
    course.filter().set_sharing(true);
    course.leaves(&ends.tcp_out(SYN));
    let record = course.filter().next_record().expect("it has appeared");
    assert_eq!(record.protocol, FlowProtocol::Tcp);
    assert_eq!((record.local, record.remote), (local(&ends), remote(&ends)));
    assert_eq!(course.filter().next_record(), None);

    course.arrives(EAST, &ends.tcp_in(SYN | ACK));
    course.leaves(&ends.tcp_out(ACK));
    course.leaves(&ends.tcp_out(SYN));
    assert!(course.filter().next_record().is_some(), "the SYN again");

    // What a rule let in makes none.
    let service = ends.with_our_port(7051).with_their_port(40_000);
    service.serve(&mut course);
    assert_eq!(course.filter().next_record(), None);
}

fn record(local: SocketAddr, remote: SocketAddr) -> FlowRecord {
    FlowRecord {
        protocol: FlowProtocol::Tcp,
        local,
        remote,
        ack: Some(7),
        idle: 0,
    }
}

#[test]
fn a_record_is_believed_about_our_addresses_alone() {
    let mut course = Course::new(4, "empty");
    let ends = ends();
    assert!(
        !course.import(&record(remote(&ends), local(&ends))),
        "turned"
    );
    assert!(!course.import(&record(local(&ends), local(&ends))));
    assert!(!course.import(&record(remote(&ends), remote(&ends))));
    let nowhere: SocketAddr = "192.0.2.9:7051".parse().unwrap();
    assert!(!course.import(&record(local(&ends), nowhere)));
    assert_eq!(course.arrives(EAST, &ends.tcp_in(ACK)), Decision::Drop);

    assert!(course.import(&record(local(&ends), remote(&ends))));
    assert_eq!(
        course.filter_arrives(EAST, &ends.tcp_in(ACK)),
        Decision::Pass
    );
    assert_eq!(
        course.filter_arrives(EAST, &ends.tcp_in(SYN)),
        Decision::Drop
    );
    assert_eq!(
        course.filter_arrives(EAST, &ends.tcp_in(RST)),
        Decision::Pass
    );
}
