//! Lifetimes of flows, in virtual time.

use std::time::Duration;

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{ACK, FIN, RST, SYN};

pub(super) const CLASSES: &[Class] = &[
    ("idle TCP", idle_tcp),
    ("half-closed TCP", half_closed),
    ("closed TCP", closed),
    ("idle UDP", idle_udp),
    ("idle echo", idle_echo),
    ("who refreshes a flow", refreshing),
    ("a port used again", used_again),
];

/// As short before and after a limit as no clock of a filter need tell apart.
const MARGIN: Duration = Duration::from_secs(2);

/// Waits until shortly before the limit, looks, and looks again shortly after it.
fn look_around(course: &mut Course, limit: u64, mut look: impl FnMut(&mut Course)) {
    let limit = Duration::from_secs(limit);
    course.pass(limit - MARGIN);
    look(course);
    course.pass(2 * MARGIN);
    look(course);
}

fn idle_tcp(course: &mut Course) {
    course.policy("empty");
    let ends = Ends::any(course);
    ends.open(course);
    look_around(course, 2 * 3600 + 240, |course| {
        course.arrives(ends.site, &ends.tcp_in(ACK));
    });
}

fn half_closed(course: &mut Course) {
    course.policy("empty");
    for ours in [true, false] {
        let ends = Ends::any(course);
        ends.open(course);
        if ours {
            course.leaves(&ends.tcp_out(FIN | ACK));
        } else {
            course.arrives(ends.site, &ends.tcp_in(FIN | ACK));
            course.leaves(&ends.tcp_out(ACK));
        }
        look_around(course, 600, |course| {
            course.arrives(ends.site, &ends.tcp_in(ACK));
        });
    }
}

fn closed(course: &mut Course) {
    course.policy("empty");
    for way in 0..3 {
        let ends = Ends::any(course);
        ends.open(course);
        match way {
            0 => ends.close(course),
            1 => _ = course.leaves(&ends.tcp_out(RST)),
            _ => _ = course.arrives(ends.site, &ends.tcp_in(RST | ACK)),
        }
        look_around(course, 60, |course| {
            course.arrives(ends.site, &ends.tcp_in(ACK));
        });
    }
}

fn idle_udp(course: &mut Course) {
    course.policy("empty");
    let ends = Ends::any(course);
    course.leaves(&ends.udp_out());
    look_around(course, 180, |course| {
        course.arrives(ends.site, &ends.udp_in());
    });
}

fn idle_echo(course: &mut Course) {
    course.policy("empty");
    let ends = Ends::any(course);
    course.leaves(&ends.echo_out());
    look_around(course, 60, |course| {
        course.arrives(ends.site, &ends.reply_in());
    });
}

/// Our host does; the far end does not.
fn refreshing(course: &mut Course) {
    course.policy("empty");
    let kept = Ends::any(course);
    let lost = Ends::any(course);
    course.leaves(&kept.udp_out());
    course.leaves(&lost.udp_out());
    for _ in 0..4 {
        course.pass(Duration::from_secs(50));
        course.leaves(&kept.udp_out());
        course.arrives(lost.site, &lost.udp_in());
        course.arrives(kept.site, &kept.udp_in());
    }
    course.arrives(lost.site, &lost.udp_in());
    course.arrives(kept.site, &kept.udp_in());
}

fn used_again(course: &mut Course) {
    course.policy("empty");
    let ends = Ends::any(course);
    ends.open(course);
    ends.close(course);
    course.pass(Duration::from_secs(10));
    course.leaves(&ends.tcp_out(SYN));
    course.arrives(ends.site, &ends.tcp_in(SYN | ACK));
    course.pass(Duration::from_secs(90));
    course.arrives(ends.site, &ends.tcp_in(ACK));
}
