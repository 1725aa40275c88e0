//! Segmenting what was joined gives back the packets that came.

use proptest::prelude::*;

use super::*;
use crate::craft::{self, Shape, any_shape};
use crate::split::Split;
use crate::transport::tcp_flags::ACK;

/// One call of `write`: the bytes behind the offload header, and how many packets they are said to
/// be.
struct Written {
    offload: Offload,
    packet: Vec<u8>,
    count: usize,
}

fn coalesce(packets: &[(Vec<u8>, Checksum)]) -> Vec<Written> {
    let mut buffers: Vec<Vec<u8>> = packets
        .iter()
        .map(|(packet, _)| [&[0xee; OFFLOAD_LEN][..], packet].concat())
        .collect();
    let mut written = Vec::new();
    let mut joined = Coalesce::new(true, |parts: &[IoSlice<'_>], count| {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let (head, packet) = bytes.split_first_chunk().unwrap();
        written.push(Written {
            offload: Offload::decode(head).unwrap(),
            packet: packet.to_vec(),
            count,
        });
    });
    for (buffer, (packet, checksum)) in buffers.iter_mut().zip(packets) {
        joined.push(buffer, *checksum, Transport::locate(packet));
    }
    joined.flush();
    written
}

/// The packets that the kernel makes of one write, with complete checksums.
fn segment(written: Written) -> Vec<Vec<u8>> {
    let Written {
        offload,
        mut packet,
        ..
    } = written;
    let Some(gso) = offload.gso else {
        if offload.checksum.is_some() {
            craft::complete(&mut packet);
        }
        return vec![packet];
    };
    let mut split = Split::new(&mut packet, &gso, usize::MAX).unwrap();
    let mut segments = Vec::new();
    for at in 0..split.count() {
        let mut segment = vec![0; split.len(at)];
        split.write(at, &mut segment);
        craft::complete(&mut segment);
        segments.push(segment);
    }
    segments
}

/// With Don't Fragment set the identification means nothing (RFC 6864, section 4.1).
fn without_id(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 && craft::is_right(&packet) {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

/// How a packet differs from the one before.
#[derive(Debug, Clone)]
struct Step {
    /// Bytes of payload: the flow's usual, or others.
    len: Option<usize>,
    same_id: bool,
    gap: bool,
    flags: Option<u8>,
    class: Option<u8>,
    port: Option<u16>,
    partial: bool,
    /// A bit to turn, in a packet with a complete checksum.
    damage: Option<(usize, u8)>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let rare = |percent: u8| (0u8..100).prop_map(move |roll| roll < percent);
    let some = |percent: f64| proptest::option::weighted(percent, any::<u8>());
    (
        proptest::option::weighted(0.1, 0usize..200),
        (rare(5), rare(3), rare(80)),
        some(0.05),
        some(0.03),
        proptest::option::weighted(0.03, 1u16..4),
        proptest::option::weighted(0.05, (0usize..120, 0u8..8)),
    )
        .prop_map(
            |(len, (same_id, gap, partial), flags, class, port, damage)| Step {
                len,
                same_id,
                gap,
                flags,
                class,
                port,
                partial,
                damage,
            },
        )
}

/// Packets of a flow that goes on as the steps say.
fn flow(mut shape: Shape, usual: usize, steps: &[Step]) -> Vec<(Vec<u8>, Checksum)> {
    shape.flags = ACK;
    let packet = |step: &Step| {
        let len = step.len.unwrap_or(usual);
        shape.traffic_class = step.class.unwrap_or(shape.traffic_class);
        shape.port = step.port.unwrap_or(shape.port);
        shape.sequence = shape.sequence.wrapping_add(u32::from(step.gap));
        let now = Shape {
            flags: step.flags.unwrap_or(ACK),
            ..shape.clone()
        };
        let mut packet = now.packet(&vec![len as u8 ^ now.id as u8; len]);
        shape.sequence = shape.sequence.wrapping_add(len as u32);
        shape.id = shape.id.wrapping_add(u16::from(!step.same_id));
        if step.partial {
            craft::make_partial(&mut packet);
            return (packet, Checksum::Partial);
        }
        if let Some((at, bit)) = step.damage
            && let Some(byte) = packet.get_mut(at)
            // The version, lengths and protocols are `ip`'s to judge.
            && ![0, 2, 3, 4, 5, 6, 9].contains(&at)
        {
            *byte ^= 1 << bit;
        }
        (packet, Checksum::Complete)
    };
    steps.iter().map(packet).collect()
}

proptest! {
    #[test]
    fn segmenting_what_was_joined_gives_back_what_came(
        shape in any_shape(), usual in 1usize..150,
        steps in proptest::collection::vec(any_step(), 1..150),
    ) {
        let packets = flow(shape, usual, &steps);
        let mut came = packets.clone().into_iter();
        for written in coalesce(&packets) {
            let group: Vec<_> = came.by_ref().take(written.count).collect();
            prop_assert!(group.iter().all(|(_, checksum)| *checksum == group[0].1), "mixed");
            let joined = group.len() > 1;
            let segments = segment(written);
            prop_assert_eq!(segments.len(), group.len());
            for (out, (mut packet, checksum)) in segments.into_iter().zip(group) {
                if checksum == Checksum::Partial {
                    craft::complete(&mut packet);
                }
                prop_assert!(!joined || craft::is_right(&packet), "a wrong checksum was joined");
                prop_assert_eq!(without_id(out), without_id(packet));
            }
        }
        prop_assert_eq!(came.count(), 0);
    }

    #[test]
    fn a_steady_flow_is_joined(
        mut shape in any_shape(), usual in 100usize..1400, count in 2usize..200, partial: bool,
    ) {
            shape.flags = ACK;
        let step = Step {
            len: None, same_id: false, gap: false, flags: None, class: None, port: None, partial,
            damage: None,
        };
        let packets = flow(shape.clone(), usual, &vec![step; count]);
        let in_one = MAX_PACKETS.min((MAX_LEN - shape.headers()) / usual);
        prop_assert_eq!(coalesce(&packets).len(), count.div_ceil(in_one));
    }
}
