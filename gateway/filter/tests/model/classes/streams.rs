//! Packets that open connections: services, flows of ours, and answers, which open nothing.

use std::time::Duration;

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{ACK, FIN, PSH, RST, SYN};
use crate::world::{GAMMA, HIGH, JOB0, PEER0, PEER1};

pub(super) const CLASSES: &[Class] = &[
    ("services", services),
    ("denied ports", denied_ports),
    ("flows of ours", flows_of_ours),
    ("SYN over the WAN", syn_over_the_wan),
    ("SYN as a reply", syn_as_a_reply),
    ("simultaneous open", simultaneous_open),
    ("answers open nothing", answers_open_nothing),
    ("segments of unknown flows", unknown_flows),
    ("segments of ours make flows", segments_of_ours),
    ("UDP both ways", udp),
    ("UDP first packets crossing", udp_crossing),
    ("UDP of theirs stays theirs", udp_of_theirs),
    ("echo ids", echo_ids),
    ("odd flags", odd_flags),
];

fn services(course: &mut Course) {
    course.policy("fabric");
    let port = 7050 + course.rng.below(5) as u16;
    let host = course.rng.pick(&[PEER0, PEER1]);
    let ends = Ends::of(course, host).with_our_port(port);
    ends.serve(course);
    for _ in 0..5 {
        ends.talk(course);
    }
    course.arrives(ends.site, &ends.tcp_in(ACK | PSH));
    ends.close(course);

    // Whatever is sent to a service passes, opened or not.
    let other = Ends::of(course, host).with_our_port(port);
    course.arrives(other.site, &other.tcp_in(ACK));
    course.arrives(other.site, &other.tcp_in(RST));
    course.leaves(&other.tcp_out(RST));
}

fn denied_ports(course: &mut Course) {
    course.policy("fabric");
    for port in [1, 22, 7049, 7055, 8443, 32768, 65535] {
        let ends = Ends::any(course).with_our_port(port);
        for flags in [SYN, SYN | ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK] {
            course.arrives(ends.site, &ends.tcp_in(flags));
        }
        course.arrives(ends.site, &ends.udp_in());
    }
    // The right port at the wrong host.
    let ends = Ends::of(course, JOB0).with_our_port(7051);
    course.arrives(ends.site, &ends.tcp_in(SYN));
}

fn flows_of_ours(course: &mut Course) {
    course.policy("empty");
    let ends = Ends::any(course);
    course.arrives(ends.site, &ends.tcp_in(SYN | ACK));
    ends.open(course);
    for _ in 0..5 {
        ends.talk(course);
    }
    // Another port, another host, another site: not this flow.
    let other_port = ends.with_our_port(ends.our_port + 1);
    let other_far_port = ends.with_their_port(ends.their_port + 1);
    for other in [other_port, other_far_port] {
        course.arrives(other.site, &other.tcp_in(ACK));
        course.arrives(other.site, &other.tcp_in(SYN | ACK));
    }
    course.arrives(ends.site, &ends.udp_in());
    ends.close(course);
    course.arrives(ends.site, &ends.tcp_in(ACK));
}

/// The SYN comes by another way than the tunnel, so that the filter never sees it.
fn syn_over_the_wan(course: &mut Course) {
    course.policy("fabric");
    let denied = Ends::any(course).with_our_port(22);
    let high = Ends::any(course).high(course);
    for ends in [denied, high] {
        course.leaves(&ends.tcp_out(SYN | ACK));
        for _ in 0..3 {
            course.arrives(ends.site, &ends.tcp_in(ACK));
            course.arrives(ends.site, &ends.tcp_in(ACK | PSH));
        }
        course.leaves(&ends.tcp_out(RST));
        course.leaves(&ends.tcp_out(RST | ACK));
        course.arrives(ends.site, &ends.tcp_in(ACK));
    }
    // An answer of the host from a low port makes no flow either.
    course.leaves(&denied.tcp_out(ACK));
    course.arrives(denied.site, &denied.tcp_in(ACK));
}

fn syn_as_a_reply(course: &mut Course) {
    course.policy("empty");
    let ends = Ends::any(course);
    course.leaves(&ends.tcp_out(SYN));
    for flags in [SYN, SYN | PSH, SYN | FIN, SYN | RST] {
        course.arrives(ends.site, &ends.tcp_in(flags));
    }
    course.arrives(ends.site, &ends.tcp_in(SYN | ACK));
    course.arrives(ends.site, &ends.tcp_in(SYN));
    course.leaves(&ends.tcp_out(ACK));
    course.arrives(ends.site, &ends.tcp_in(SYN));
}

/// Both ends send a SYN at once (RFC 9293, section 3.5): ours opens, theirs opens nothing.
fn simultaneous_open(course: &mut Course) {
    course.policy("fabric");
    let ends = Ends::any(course);
    course.leaves(&ends.tcp_out(SYN));
    course.arrives(ends.site, &ends.tcp_in(SYN));
    course.leaves(&ends.tcp_out(SYN | ACK));
    course.arrives(ends.site, &ends.tcp_in(SYN | ACK));
    course.leaves(&ends.tcp_out(ACK));
    course.arrives(ends.site, &ends.tcp_in(ACK));

    // To a service, by its own rule.
    let service = Ends::of(course, PEER0).with_our_port(7051);
    course.leaves(&service.tcp_out(SYN));
    course.arrives(service.site, &service.tcp_in(SYN));
    course.leaves(&service.tcp_out(SYN | ACK));
    course.arrives(service.site, &service.tcp_in(ACK));
}

fn answers_open_nothing(course: &mut Course) {
    course.policy("empty");
    for flags in [SYN | ACK, RST, RST | ACK] {
        let low = Ends::any(course);
        let high = Ends::any(course).high(course);
        for ends in [low, high] {
            course.leaves(&ends.tcp_out(flags));
            course.arrives(ends.site, &ends.tcp_in(ACK));
            course.arrives(ends.site, &ends.tcp_in(SYN | ACK));
        }
    }
    let ends = Ends::any(course);
    course.leaves(&ends.error_out());
    course.arrives(ends.site, &ends.udp_in());
    course.leaves(&ends.reply_out());
    course.arrives(ends.site, &ends.reply_in());
}

fn unknown_flows(course: &mut Course) {
    course.policy("fabric");
    for _ in 0..4 {
        let low = Ends::any(course);
        let high = Ends::any(course).high(course);
        for ends in [low, high] {
            for flags in [ACK, ACK | PSH, FIN | ACK, RST, SYN | ACK] {
                course.arrives(ends.site, &ends.tcp_in(flags));
            }
        }
    }
}

/// A connection of before a restart: our host's own segment makes it known again, from a port of
/// grace only.
fn segments_of_ours(course: &mut Course) {
    course.policy("empty");
    course.forget_former();
    for (port, flags) in [
        (HIGH, ACK),
        (HIGH + 1, ACK | PSH),
        (HIGH - 1, ACK),
        (65535, ACK),
        (443, ACK),
    ] {
        let ends = Ends::any(course).with_our_port(port);
        course.arrives(ends.site, &ends.tcp_in(ACK));
        course.leaves(&ends.tcp_out(flags));
        course.arrives(ends.site, &ends.tcp_in(ACK));
        course.arrives(ends.site, &ends.tcp_in(SYN));
    }
}

fn udp(course: &mut Course) {
    course.policy("fabric");
    let ends = Ends::any(course);
    course.arrives(ends.site, &ends.udp_in());
    for _ in 0..3 {
        course.leaves(&ends.udp_out());
        course.arrives(ends.site, &ends.udp_in());
    }
    course.arrives(ends.site, &ends.with_our_port(514).udp_in());
    course.arrives(ends.site, &ends.tcp_in(ACK));

    let syslog = Ends::of(course, PEER0).with_our_port(514);
    course.arrives(syslog.site, &syslog.udp_in());
    let gamma = syslog.at(GAMMA);
    course.arrives(gamma.site, &gamma.udp_in());
    course.leaves(&gamma.udp_out());
}

fn udp_crossing(course: &mut Course) {
    course.policy("fabric");
    let ends = Ends::any(course);
    course.arrives(ends.site, &ends.udp_in());
    course.leaves(&ends.udp_out());
    course.arrives(ends.site, &ends.udp_in());

    // Where a rule covers theirs, ours is taken for an answer.
    let gamma = Ends::of(course, PEER0).with_our_port(514).at(GAMMA);
    course.leaves(&gamma.udp_out());
    course.arrives(gamma.site, &gamma.udp_in());
    course.policy("empty");
    course.leaves(&gamma.udp_out());
    course.arrives(gamma.site, &gamma.udp_in());
}

fn udp_of_theirs(course: &mut Course) {
    course.policy("fabric");
    let gamma = Ends::of(course, PEER0).with_our_port(514).at(GAMMA);
    let gamma = gamma.with_their_port(10_000 + course.rng.below(50_000) as u16);
    course.arrives(gamma.site, &gamma.udp_in());
    course.leaves(&gamma.udp_out());
    course.policy("empty");
    course.forget_former();
    course.arrives(gamma.site, &gamma.udp_in());
    course.leaves(&gamma.udp_out());
    course.arrives(gamma.site, &gamma.udp_in());
    course.pass(Duration::from_secs(600));
    course.leaves(&gamma.udp_out());
    course.arrives(gamma.site, &gamma.udp_in());
}

fn echo_ids(course: &mut Course) {
    let policy = course.rng.pick(&["fabric", "empty", "absent"]);
    course.policy(policy);
    let ends = Ends::any(course);
    course.arrives(ends.site, &ends.reply_in());
    course.leaves(&ends.echo_out());
    course.arrives(ends.site, &ends.reply_in());
    let other = ends.with_our_port(ends.our_port + 1);
    course.arrives(ends.site, &other.reply_in());
    course.arrives(ends.site, &ends.echo_in());
    course.arrives(ends.site, &ends.udp_in());
}

/// Flags that no good host sends together.
fn odd_flags(course: &mut Course) {
    course.policy("fabric");
    let denied = Ends::any(course);
    let ours = Ends::any(course);
    let service = Ends::of(course, PEER1).with_our_port(7053);
    ours.open(course);
    for flags in [
        0,
        SYN | FIN,
        SYN | RST,
        FIN,
        PSH,
        FIN | PSH,
        FIN | RST | PSH,
    ] {
        for ends in [denied, service] {
            course.arrives(ends.site, &ends.tcp_in(flags));
        }
    }
    for flags in [0, SYN | FIN, SYN | RST, PSH] {
        course.arrives(ours.site, &ours.tcp_in(flags));
    }
}
