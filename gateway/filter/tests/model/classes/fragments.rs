//! Fragments: the first decides, none may overwrite its header.

use std::time::Duration;

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{
    ACK, Content, Packet, SYN, first_with_options, first_without_header, fragments, inside_header,
    inside_options, later, packet,
};
use crate::world::{GAMMA, PEER0};

pub(super) const CLASSES: &[Class] = &[
    ("fragments in order", in_order),
    ("later fragments first", out_of_order),
    ("fragments that overlap headers", overlapping),
    ("fragments of our hosts", of_our_hosts),
    ("fragments that come late", late),
];

fn id(course: &mut Course) -> u32 {
    course.rng.below(65_536) as u32
}

/// A packet that the policy "fabric" lets in, and one that it does not.
fn allowed_and_denied(course: &mut Course) -> [(u32, Packet); 2] {
    let service = Ends::of(course, PEER0).at(GAMMA);
    let (good, bad) = if course.rng.one_in(2) {
        let allowed = service.with_our_port(7051).tcp_in(ACK);
        (allowed, service.with_our_port(22).tcp_in(SYN))
    } else {
        let allowed = service.with_our_port(514).udp_in();
        (allowed, service.with_our_port(515).udp_in())
    };
    [(GAMMA, good), (GAMMA, bad)]
}

fn in_order(course: &mut Course) {
    course.policy("fabric");
    for (site, whole) in allowed_and_denied(course) {
        let id = id(course);
        let [first, last] = fragments(&whole, id, 4);
        course.arrives(site, &first);
        course.arrives(site, &later(&whole, id, 10, true));
        course.arrives(site, &last);
        course.arrives(site, &later(&whole, id ^ 1, 4, false));
    }
    let gre = Ends::any(course).at(GAMMA);
    course.policy("protocols");
    let whole = packet(gre.theirs, gre.ours, Content::Protocol(47));
    let id = id(course);
    for piece in fragments(&whole, id, 4) {
        course.arrives(GAMMA, &piece);
    }
}

fn out_of_order(course: &mut Course) {
    course.policy("fabric");
    for (site, whole) in allowed_and_denied(course) {
        let id = id(course);
        let [first, last] = fragments(&whole, id, 4);
        course.arrives(site, &last);
        course.arrives(site, &first);
        course.arrives(site, &last);
    }
}

fn overlapping(course: &mut Course) {
    course.policy("everything");
    let ends = Ends::of(course, PEER0).with_our_port(7051);
    let whole = ends.tcp_in(ACK);
    let first_id = id(course);
    course.arrives(ends.site, &first_without_header(&whole, first_id, 8));
    course.arrives(ends.site, &later(&whole, first_id, 3, false));
    let second_id = first_id ^ 2;
    let [first, last] = fragments(&whole, second_id, 4);
    course.arrives(ends.site, &first);
    course.arrives(ends.site, &inside_header(&whole, second_id));
    course.arrives(ends.site, &last);
    let with_options = first_id ^ 8;
    course.arrives(ends.site, &first_with_options(&whole, with_options));
    course.arrives(ends.site, &inside_options(&whole, with_options));
    let third_id = first_id ^ 4;
    course.arrives(ends.site, &first_without_header(&whole, third_id, 16));
}

fn of_our_hosts(course: &mut Course) {
    course.policy("fabric");
    let ends = Ends::any(course);
    let id = id(course);
    for piece in fragments(&ends.udp_out(), id, 4) {
        course.leaves(&piece);
    }
    course.arrives(ends.site, &ends.udp_in());
    for piece in fragments(&ends.udp_in(), id, 4) {
        course.arrives(ends.site, &piece);
    }
}

fn late(course: &mut Course) {
    course.policy("fabric");
    let [(site, good), _] = allowed_and_denied(course);
    let id = id(course);
    let [first, last] = fragments(&good, id, 4);
    course.arrives(site, &first);
    course.pass(Duration::from_millis(4_900));
    course.arrives(site, &last);
    course.pass(Duration::from_secs(6));
    course.arrives(site, &last);
}
