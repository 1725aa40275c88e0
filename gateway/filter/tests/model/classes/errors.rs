//! ICMP errors: only about what their receiver sent to the sending site.

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{ACK, Content, Quoted, QuotedPorts, SYN, echo, error, packet, with_extensions};
use crate::world::{EAST, GAMMA, HIGH, PEER0, PEER1, WEST, address};

pub(super) const CLASSES: &[Class] = &[
    ("ICMP errors about our flows", about_our_flows),
    ("forged ICMP errors", forged),
    ("ICMP errors about answers", about_answers),
    ("ICMP errors that quote too little", short_quotes),
    ("errors of our hosts", of_our_hosts),
    ("other ICMP", other_icmp),
];

fn about_our_flows(course: &mut Course) {
    course.policy("empty");
    let tcp = Ends::any(course);
    let udp = Ends::any(course);
    let ping = Ends::any(course);
    course.arrives(tcp.site, &tcp.error_about_tcp());
    course.leaves(&tcp.tcp_out(SYN));
    course.leaves(&udp.udp_out());
    course.leaves(&ping.echo_out());
    course.arrives(tcp.site, &tcp.error_about_tcp());
    course.arrives(udp.site, &udp.error_about_udp());
    course.arrives(ping.site, &ping.error_in(QuotedPorts::Echo(ping.our_port)));
    // The other protocol, another port.
    course.arrives(tcp.site, &tcp.error_about_udp());
    course.arrives(udp.site, &udp.error_about_tcp());
    let other = tcp.with_our_port(tcp.our_port ^ 1);
    course.arrives(other.site, &other.error_about_tcp());
    let id = ping.our_port ^ 1;
    course.arrives(ping.site, &ping.error_in(QuotedPorts::Echo(id)));
}

/// Another member's gateway, or the wrong host of ours.
fn forged(course: &mut Course) {
    course.policy("fabric");
    let ends = Ends::of(course, PEER0).at(EAST);
    ends.open(course);
    course.leaves(&ends.udp_out());
    let quoted = |ports| Quoted {
        source: ends.ours,
        destination: ends.theirs,
        ports,
    };
    let ports = [
        QuotedPorts::Tcp(ends.our_port, ends.their_port),
        QuotedPorts::Udp(ends.our_port, ends.their_port),
    ];
    for ports in ports {
        for site in [WEST, GAMMA] {
            let router = address(site, 1, ends.v6);
            course.arrives(site, &error(router, ends.ours, quoted(ports)));
        }
        let router = address(EAST, 1, ends.v6);
        course.arrives(EAST, &error(router, ends.ours, quoted(ports)));
        let bystander = address(1, PEER1, ends.v6);
        course.arrives(EAST, &error(router, bystander, quoted(ports)));
        // What the far end sent is not what our host sent.
        let turned = Quoted {
            source: ends.theirs,
            destination: ends.ours,
            ports,
        };
        course.arrives(EAST, &error(router, ends.ours, turned));
    }
}

fn about_answers(course: &mut Course) {
    course.policy("fabric");
    let service = Ends::of(course, PEER0).with_our_port(7050);
    service.serve(course);
    course.arrives(service.site, &service.error_about_tcp());
    let reply = QuotedPorts::EchoReply(7);
    course.arrives(service.site, &service.error_in(reply));
    let denied = service.with_our_port(22);
    course.arrives(denied.site, &denied.error_about_tcp());
    let gamma = service.at(GAMMA).with_our_port(514);
    course.arrives(gamma.site, &gamma.error_about_udp());
    let east = gamma.at(EAST);
    course.arrives(east.site, &east.error_about_udp());

    course.policy("protocols");
    for site in [EAST, GAMMA] {
        let ends = service.at(site);
        course.arrives(site, &ends.error_in(QuotedPorts::Protocol(47)));
        course.arrives(site, &ends.error_in(QuotedPorts::Protocol(132)));
    }
}

fn short_quotes(course: &mut Course) {
    course.policy("everything");
    let ends = Ends::any(course).with_our_port(HIGH);
    ends.open(course);
    course.arrives(ends.site, &ends.error_in(QuotedPorts::Missing));
}

fn of_our_hosts(course: &mut Course) {
    let policy = course.rng.pick(&["empty", "no-egress", "named-egress"]);
    course.policy(policy);
    let ends = Ends::any(course);
    course.leaves(&ends.error_out());
    course.arrives(ends.site, &ends.udp_in());
}

fn other_icmp(course: &mut Course) {
    course.policy("everything");
    let ends = Ends::any(course);
    let inward = packet(ends.theirs, ends.ours, Content::OtherIcmp);
    let outward = packet(ends.ours, ends.theirs, Content::OtherIcmp);
    course.arrives(ends.site, &inward);
    course.leaves(&outward);
    course.arrives(ends.site, &inward);
    ends.open(course);
    course.arrives(ends.site, &inward);
    course.arrives(ends.site, &ends.tcp_in(ACK));
    let plain = echo(ends.theirs, ends.ours, 9);
    course.arrives(ends.site, &with_extensions(&plain, &[60]));
}
