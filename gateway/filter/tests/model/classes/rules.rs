//! Rules: origins, names, protocols, egress, and changes in mid-stream.

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{ACK, Content, ESP, FIN, GRE, RST, SCTP, SYN, packet};
use crate::world::{
    EAST, GAMMA, GW, HERE, IDC, JOB0, JOB1, PEER0, PEER1, WEST, address, named_policy,
};

pub(super) const CLASSES: &[Class] = &[
    ("origins of rules", origins),
    ("names in rules", names),
    ("protocols by number", protocols),
    ("rule narrowed in mid-stream", narrowed),
    ("rule widened in mid-stream", widened),
    ("no policy", absent),
    ("empty policy", empty),
    ("everything allowed, then less", everything),
    ("egress of names only", egress_named),
    ("no egress", egress_none),
    ("egress narrowed in mid-stream", egress_narrowed),
    ("DNS and gateway addresses", gateway),
    ("tunnel in a tunnel", tunnel_port),
    ("member to member", member_to_member),
    ("sites that nobody knows", strangers),
    ("rejections", rejections),
];

fn origins(course: &mut Course) {
    course.policy("origins");
    let host = Ends::any(course);
    for site in [EAST, WEST, GAMMA, IDC] {
        for port in 9000..=9006 {
            let ends = host.at(site).with_our_port(port);
            course.arrives(ends.site, &ends.tcp_in(SYN));
            course.leaves(&ends.tcp_out(SYN | ACK));
        }
    }
    // Outside the prefix that a rule names, at the same site.
    let mut outside = host.at(EAST).with_our_port(9004);
    outside.theirs = if host.v6 {
        "fd00:2:0:1::9".parse().unwrap()
    } else {
        "10.2.1.9".parse().unwrap()
    };
    course.arrives(EAST, &outside.tcp_in(SYN));
}

fn names(course: &mut Course) {
    course.policy("fabric");
    for host in [PEER0, PEER1, JOB0, JOB1, GW] {
        let ends = Ends::of(course, host).with_our_port(7054);
        course.arrives(ends.site, &ends.tcp_in(SYN));
        course.arrives(ends.site, &ends.echo_in());
    }
}

fn protocols(course: &mut Course) {
    let policy = course.rng.pick(&["protocols", "everything", "fabric"]);
    course.policy(policy);
    let ends = Ends::any(course);
    for site in [GAMMA, EAST] {
        let ends = ends.at(site);
        for number in [GRE, ESP, SCTP, 4, 41, 88, 89] {
            let content = Content::Protocol(number);
            course.arrives(site, &packet(ends.theirs, ends.ours, content));
            course.leaves(&packet(ends.ours, ends.theirs, content));
            course.arrives(site, &packet(ends.theirs, ends.ours, content));
        }
    }
}

fn narrowed(course: &mut Course) {
    course.policy("fabric");
    let service = Ends::of(course, PEER0).with_our_port(7051);
    let high = Ends::any(course).high(course);
    service.serve(course);
    service.talk(course);
    high.open(course);
    let policy = course
        .rng
        .pick(&["empty", "origins", "absent", "protocols"]);
    course.policy(policy);
    for _ in 0..3 {
        service.talk(course);
    }
    course.arrives(service.site, &service.tcp_in(FIN | ACK));
    course.arrives(service.site, &service.tcp_in(RST));
    course.arrives(service.site, &service.tcp_in(SYN));
    course.leaves(&service.tcp_out(SYN | ACK));
    // What our own hosts opened goes on.
    high.talk(course);
}

fn widened(course: &mut Course) {
    course.policy("empty");
    let service = Ends::of(course, PEER1).with_our_port(7052);
    course.arrives(service.site, &service.tcp_in(SYN));
    course.leaves(&service.tcp_out(SYN | ACK));
    course.policy("fabric");
    course.arrives(service.site, &service.tcp_in(SYN));
    course.leaves(&service.tcp_out(SYN | ACK));
    service.talk(course);
}

fn absent(course: &mut Course) {
    course.policy("absent");
    let ends = Ends::any(course);
    course.arrives(ends.site, &ends.echo_in());
    course.leaves(&ends.reply_out());
    for port in [53, 80, 7051] {
        let gateway = Ends::gateway(course).with_our_port(port);
        course.arrives(gateway.site, &gateway.udp_in());
        course.leaves(&gateway.udp_out());
        course.arrives(gateway.site, &gateway.tcp_in(SYN));
        course.leaves(&gateway.tcp_out(SYN | ACK));
        let ends = ends.with_our_port(port);
        course.arrives(ends.site, &ends.udp_in());
        course.arrives(ends.site, &ends.tcp_in(SYN));
    }
}

fn empty(course: &mut Course) {
    course.policy("empty");
    for host in [GW, PEER0, JOB0] {
        let ends = Ends::of(course, host);
        course.arrives(ends.site, &ends.echo_in());
        for port in [53, 7051] {
            let ends = ends.with_our_port(port);
            course.arrives(ends.site, &ends.udp_in());
            course.arrives(ends.site, &ends.tcp_in(SYN));
        }
    }
}

/// Replies to our flows were allowed by a rule as well: the flows outlive it.
fn everything(course: &mut Course) {
    course.policy("everything");
    let ours = Ends::any(course);
    let theirs = Ends::any(course);
    ours.open(course);
    theirs.serve(course);
    course.policy("empty");
    course.arrives(ours.site, &ours.tcp_in(ACK));
    ours.talk(course);
    theirs.talk(course);
    course.arrives(theirs.site, &theirs.tcp_in(ACK));
}

fn egress_named(course: &mut Course) {
    course.policy("named-egress");
    for host in [PEER0, PEER1, JOB0, JOB1, GW] {
        let ends = Ends::of(course, host);
        ends.open(course);
        course.leaves(&ends.udp_out());
        course.arrives(ends.site, &ends.udp_in());
        course.leaves(&ends.echo_out());
        course.arrives(ends.site, &ends.reply_in());
        course.leaves(&ends.error_out());
    }
    // A segment from a port of grace makes no flow of a host that may not open one.
    let job = Ends::of(course, JOB0).high(course);
    course.leaves(&job.tcp_out(ACK));
    course.arrives(job.site, &job.tcp_in(ACK));
    // A service of a host without a name still answers.
    let service = Ends::of(course, JOB1).with_our_port(7051);
    service.serve(course);
    service.talk(course);
}

fn egress_none(course: &mut Course) {
    course.policy("no-egress");
    for host in [PEER0, JOB0, JOB1, GW] {
        for site in [EAST, GAMMA] {
            for port in [443, 444] {
                let ends = Ends::of(course, host).at(site).with_their_port(port);
                ends.open(course);
                course.leaves(&ends.udp_out());
                course.arrives(ends.site, &ends.udp_in());
            }
            let ends = Ends::of(course, host).at(site);
            course.leaves(&ends.echo_out());
            course.leaves(&ends.error_out());
        }
    }
    let service = Ends::of(course, PEER0).with_our_port(7051);
    service.serve(course);
    service.talk(course);
}

fn egress_narrowed(course: &mut Course) {
    course.policy("fabric");
    let job = Ends::of(course, JOB0);
    let peer = Ends::of(course, PEER0);
    job.open(course);
    peer.open(course);
    course.policy("named-egress");
    course.leaves(&job.tcp_out(ACK));
    course.leaves(&job.tcp_out(ACK));
    peer.talk(course);
    course.policy("fabric");
    job.talk(course);
}

fn gateway(course: &mut Course) {
    let policy = course
        .rng
        .pick(&["fabric", "empty", "named-egress", "no-egress", "absent"]);
    course.policy(policy);
    let ends = Ends::gateway(course);
    course.leaves(&ends.udp_out());
    course.arrives(ends.site, &ends.udp_in());
    ends.open(course);
    ends.talk(course);
    let dns = Ends::gateway(course).with_our_port(53);
    course.arrives(dns.site, &dns.udp_in());
    dns.serve(course);
    course.arrives(dns.site, &dns.with_our_port(22).tcp_in(SYN));
}

fn tunnel_port(course: &mut Course) {
    course.policy("everything");
    let gateway = Ends::gateway(course).with_our_port(4600);
    course.arrives(gateway.site, &gateway.udp_in());
    course.arrives(gateway.site, &gateway.tcp_in(SYN));
    course.leaves(&gateway.udp_out());
    // At another host it is a port like any other.
    let host = Ends::of(course, PEER0).with_our_port(4600);
    course.arrives(host.site, &host.udp_in());
    course.leaves(&host.udp_out());
}

/// `admit` lets no such packet through; the filter has nothing for it either.
fn member_to_member(course: &mut Course) {
    let policy = course.rng.pick(&["fabric", "empty", "origins"]);
    course.policy(policy);
    let v6 = course.rng.one_in(2);
    let ends = Ends {
        ours: address(GAMMA, 7, v6),
        theirs: address(EAST, 8, v6),
        v6,
        site: EAST,
        our_port: course.rng.pick(&[7051, 22]),
        their_port: 20_000,
    };
    course.arrives(EAST, &ends.tcp_in(SYN));
    course.arrives(EAST, &ends.tcp_in(ACK));
    course.arrives(EAST, &ends.udp_in());
}

fn strangers(course: &mut Course) {
    course.policy("everything");
    let ends = Ends::of(course, PEER0).with_our_port(7051);
    for site in [0, HERE, 6, 4_000_000_000] {
        course.arrives(site, &ends.tcp_in(SYN));
        course.arrives(site, &ends.echo_in());
        course.arrives(site, &ends.udp_in());
    }
}

/// Which denied packets are answered.
fn rejections(course: &mut Course) {
    let mut policy = named_policy("named-egress");
    policy.denied = ringway_config::OnDenied::Reject;
    course.reload(policy);
    let ends = Ends::of(course, JOB0);
    for flags in [SYN, ACK, RST, RST | ACK, FIN | ACK, SYN | ACK] {
        course.arrives(ends.site, &ends.tcp_in(flags));
        course.leaves(&ends.tcp_out(flags));
    }
    course.arrives(ends.site, &ends.udp_in());
    course.arrives(ends.site, &ends.error_about_tcp());
    course.arrives(ends.site, &ends.echo_in());
    course.leaves(&ends.udp_out());
}
