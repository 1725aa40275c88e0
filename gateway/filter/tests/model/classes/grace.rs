//! Grace: after a start, on a takeover, without end; and never for what was taken away.

use std::time::Duration;

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{ACK, FIN, PSH, RST, SYN};
use crate::world::{GRACE, HIGH, PEER0};

pub(super) const CLASSES: &[Class] = &[
    ("grace after a start", after_a_start),
    ("grace on a takeover", on_a_takeover),
    ("grace without end", without_end),
    ("no grace for what was taken away", taken_away),
    ("no grace for flows of theirs", of_theirs),
    ("a receive-only stream after a restart", receive_only),
];

/// Ends of nobody's flow, with this port.
fn unknown(course: &mut Course, port: u16) -> Ends {
    Ends::any(course).with_our_port(port)
}

fn try_every_segment(course: &mut Course, port: u16) {
    for flags in [ACK, ACK | PSH, FIN | ACK, SYN, SYN | ACK, RST] {
        let ends = unknown(course, port);
        course.arrives(ends.site, &ends.tcp_in(flags));
    }
    let ends = unknown(course, port);
    course.arrives(ends.site, &ends.udp_in());
    course.arrives(ends.site, &ends.reply_in());
    course.arrives(ends.site, &ends.error_about_tcp());
}

fn after_a_start(course: &mut Course) {
    course.policy("fabric");
    course.forget_former();
    course.restart();
    for port in [22, 7051, HIGH - 1, HIGH, 50_000, 65_535] {
        try_every_segment(course, port);
    }
    course.pass(GRACE - Duration::from_millis(1));
    try_every_segment(course, HIGH);
    course.pass(Duration::from_millis(1));
    try_every_segment(course, HIGH);
}

fn on_a_takeover(course: &mut Course) {
    course.policy("empty");
    course.forget_former();
    try_every_segment(course, HIGH + 7);
    course.begin_grace();
    try_every_segment(course, HIGH + 7);
    course.pass(GRACE);
    try_every_segment(course, HIGH + 7);
}

fn without_end(course: &mut Course) {
    course.policy("empty");
    course.forget_former();
    course.set_endless_grace(true);
    for port in [22, HIGH - 1, HIGH, 60_000] {
        let ends = unknown(course, port);
        for flags in [ACK, ACK | PSH, FIN | ACK, SYN, SYN | ACK, RST] {
            course.arrives(ends.site, &ends.tcp_in(flags));
        }
        course.arrives(ends.site, &ends.udp_in());
    }
    course.set_endless_grace(false);
    let ends = unknown(course, HIGH);
    course.arrives(ends.site, &ends.tcp_in(ACK));
    course.pass(Duration::from_secs(1));
}

/// A service on a high port that a rule of before allowed.
fn taken_away(course: &mut Course) {
    course.policy("everything");
    course.forget_former();
    let service = Ends::of(course, PEER0).high(course);
    service.serve(course);
    course.policy("fabric");
    course.restart();
    for _ in 0..3 {
        course.arrives(service.site, &service.tcp_in(ACK));
        course.leaves(&service.tcp_out(ACK));
    }
    course.pass(GRACE);
    course.forget_former();
}

/// Its rule goes while there is grace, and no former policy says what it was.
fn of_theirs(course: &mut Course) {
    course.policy("everything");
    course.forget_former();
    course.restart();
    let service = Ends::of(course, PEER0).high(course);
    service.serve(course);
    course.policy("fabric");
    course.forget_former();
    for _ in 0..3 {
        course.arrives(service.site, &service.tcp_in(ACK));
        course.leaves(&service.tcp_out(ACK));
    }
    course.arrives(service.site, &service.error_about_tcp());
    course.pass(GRACE);
}

/// The far end pushes, our host is silent; then its kernel acknowledges.
fn receive_only(course: &mut Course) {
    course.policy("fabric");
    course.forget_former();
    let ends = Ends::any(course).high(course);
    ends.open(course);
    course.restart();
    course.arrives(ends.site, &ends.tcp_in(ACK | PSH));
    course.leaves(&ends.tcp_out(ACK));
    course.pass(GRACE);
    for _ in 0..3 {
        course.arrives(ends.site, &ends.tcp_in(ACK | PSH));
    }
    // Without an acknowledgement it ends with the grace.
    let silent = Ends::any(course).high(course);
    silent.open(course);
    course.restart();
    course.arrives(silent.site, &silent.tcp_in(ACK | PSH));
    course.pass(GRACE);
    course.arrives(silent.site, &silent.tcp_in(ACK | PSH));
}
