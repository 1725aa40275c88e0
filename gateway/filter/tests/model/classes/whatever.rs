//! Random packets between few hosts, so that they match flows, rules and fragments of other
//! packets.

use std::time::Duration;

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{
    ACK, Content, FIN, GRE, PSH, RST, SYN, fragments, later, packet, with_extensions,
};
use crate::world::{EAST, GAMMA, GW, HIGH, JOB0, JOB1, PEER0, PEER1, WEST, address};

pub(super) const CLASSES: &[Class] = &[("anything", anything), ("anything, restarted", restarted)];

const STEPS: u32 = 60;

const POLICIES: &[&str] = &[
    "absent",
    "empty",
    "fabric",
    "everything",
    "origins",
    "protocols",
    "named-egress",
    "no-egress",
];

fn anything(course: &mut Course) {
    let policy = course.rng.pick(POLICIES);
    course.policy(policy);
    for _ in 0..STEPS {
        step(course);
    }
    // Long enough for every flow to be forgotten.
    course.pass(Duration::from_secs(3 * 3600));
}

fn restarted(course: &mut Course) {
    let policy = course.rng.pick(POLICIES);
    course.policy(policy);
    course.forget_former();
    course.restart();
    for _ in 0..STEPS {
        step(course);
    }
    course.pass(Duration::from_secs(3 * 3600));
}

fn ends(course: &mut Course) -> Ends {
    let v6 = course.rng.one_in(2);
    let site = course.rng.pick(&[EAST, WEST, GAMMA]);
    let host = course.rng.pick(&[PEER0, PEER1, JOB0, JOB1, GW]);
    let port = course.rng.pick(&[53, 514, 7051, 9001, 20_000, HIGH + 1]);
    Ends {
        v6,
        site,
        ours: address(1, host, v6),
        our_port: port,
        theirs: address(site, 5, v6),
        their_port: course.rng.pick(&[443, 7051, 40_000]),
    }
}

fn step(course: &mut Course) {
    let ends = ends(course);
    let flags = course
        .rng
        .pick(&[SYN, SYN | ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK]);
    match course.rng.below(14) {
        0 | 1 => _ = course.arrives(ends.site, &ends.tcp_in(flags)),
        2 | 3 => _ = course.leaves(&ends.tcp_out(flags)),
        4 => _ = course.leaves(&ends.udp_out()),
        5 => _ = course.arrives(ends.site, &ends.udp_in()),
        6 => _ = course.leaves(&ends.echo_out()),
        7 => _ = course.arrives(ends.site, &ends.reply_in()),
        8 => _ = course.arrives(ends.site, &ends.error_about_tcp()),
        9 => _ = course.arrives(ends.site, &ends.error_about_udp()),
        10 => _ = course.arrives(ends.site, &ends.echo_in()),
        11 => fragmented(course, &ends),
        12 => {
            let content = Content::Protocol(GRE);
            course.arrives(ends.site, &packet(ends.theirs, ends.ours, content));
            let plain = ends.tcp_in(flags);
            course.arrives(ends.site, &with_extensions(&plain, &[60]));
        }
        _ => time_or_rules(course),
    }
}

fn fragmented(course: &mut Course, ends: &Ends) {
    let id = course.rng.below(65_536) as u32;
    let whole = ends.udp_in();
    let [first, last] = fragments(&whole, id, 4);
    course.arrives(ends.site, &first);
    course.arrives(ends.site, &last);
    course.arrives(ends.site, &later(&whole, id, 9, true));
}

fn time_or_rules(course: &mut Course) {
    if course.rng.one_in(3) {
        let policy = course.rng.pick(POLICIES);
        course.policy(policy);
    } else {
        let millis = course.rng.below(900);
        course.pass(Duration::from_millis(millis));
    }
}
