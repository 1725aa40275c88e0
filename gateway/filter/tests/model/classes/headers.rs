//! IP headers: options, extension headers, lengths that lie.

use super::Class;
use crate::course::Course;
use crate::ends::Ends;
use crate::packet::{
    ACK, DESTINATION_OPTIONS, HOP_BY_HOP, Packet, ROUTING, SYN, broken, cut, header_len,
    with_extensions,
};
use crate::world::PEER0;

pub(super) const CLASSES: &[Class] = &[
    ("options and extension headers", extensions),
    ("routing headers", routing),
    ("packets that are cut off", truncated),
    ("lengths that lie", lying),
];

fn extensions(course: &mut Course) {
    course.policy("fabric");
    let service = Ends::of(course, PEER0).with_our_port(7051);
    let denied = service.with_our_port(22);
    let chains: [&[u8]; 3] = [
        &[DESTINATION_OPTIONS],
        &[HOP_BY_HOP],
        &[HOP_BY_HOP, DESTINATION_OPTIONS],
    ];
    for chain in chains {
        for ends in [service, denied] {
            let plain = ends.tcp_in(SYN);
            course.arrives(ends.site, &with_extensions(&plain, chain));
            let plain = ends.udp_in();
            course.arrives(ends.site, &with_extensions(&plain, chain));
        }
    }
    let ours = Ends::any(course);
    course.leaves(&with_extensions(&ours.tcp_out(SYN), &[DESTINATION_OPTIONS]));
    course.arrives(ours.site, &ours.tcp_in(SYN | ACK));
    let reply = with_extensions(&ours.tcp_in(ACK), &[DESTINATION_OPTIONS]);
    course.arrives(ours.site, &reply);
}

fn routing(course: &mut Course) {
    course.policy("everything");
    let mut ends = Ends::of(course, PEER0).with_our_port(7051);
    while !ends.v6 {
        ends = Ends::of(course, PEER0).with_our_port(7051);
    }
    let plain = ends.tcp_in(SYN);
    let chains: [&[u8]; 2] = [&[ROUTING], &[DESTINATION_OPTIONS, ROUTING]];
    for chain in chains {
        let packet = with_extensions(&plain, chain);
        let packet = broken(&plain, packet.bytes);
        course.arrives(ends.site, &packet);
    }
    course.arrives(ends.site, &plain);
}

fn truncated(course: &mut Course) {
    course.policy("everything");
    let ends = Ends::of(course, PEER0).with_our_port(7051);
    ends.open(course);
    let header = header_len(ends.ours);
    let packets = [ends.tcp_in(ACK), ends.udp_in(), ends.echo_in()];
    for (packet, least) in packets.iter().zip([20, 8, 8]) {
        for len in [0, 1, 4, 7] {
            course.arrives(ends.site, &cut(packet, header + len));
        }
        course.arrives(ends.site, &cut(packet, header + least - 1));
        course.leaves(&cut(packet, header + 2));
        course.arrives(ends.site, packet);
    }
}

/// The bytes of `packet` with one replaced.
fn altered(packet: &Packet, at: usize, value: u8) -> Packet {
    let mut bytes = packet.bytes.clone();
    bytes[at] = value;
    broken(packet, bytes)
}

fn lying(course: &mut Course) {
    course.policy("everything");
    let ends = Ends::of(course, PEER0).with_our_port(7051);
    let plain = ends.tcp_in(SYN);
    let header = header_len(ends.ours);
    // A TCP header shorter than the least, and one longer than the packet.
    course.arrives(ends.site, &altered(&plain, header + 12, 0x40));
    course.arrives(ends.site, &altered(&plain, header + 12, 0xf0));
    course.arrives(ends.site, &altered(&plain, 0, 0x55));
    course.arrives(ends.site, &altered(&plain, 0, 0x05));
    let longer = [&plain.bytes[..], &[0]].concat();
    course.arrives(ends.site, &broken(&plain, longer));
    let shorter = plain.bytes[..plain.bytes.len() - 1].to_vec();
    course.arrives(ends.site, &broken(&plain, shorter));
    if !ends.v6 {
        course.arrives(ends.site, &altered(&plain, 0, 0x44));
        course.arrives(ends.site, &altered(&plain, 0, 0x4f));
    }
    course.arrives(ends.site, &plain);
}
