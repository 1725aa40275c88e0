//! Lowers the maximum segment size that a TCP SYN announces to what fits the path. Pure.
//!
//! Both gateways do so in both directions: segments that a SYN from this site allows come back
//! through the peer's tunnel, segments that a SYN from the peer's site allows go out through ours.
//! A connection is spared the loss by which it would find the path MTU, and works where ICMP is
//! filtered between a host and its gateway.

use crate::checksum::{add, sum};
use crate::header::Checksum;
use crate::ip::u16_at;
use crate::transport::tcp_flags::SYN;
use crate::transport::{Protocol, Transport};

/// Bytes of a TCP header without options (RFC 9293, section 3.1).
const HEADER: usize = 20;

// Options (RFC 9293, section 3.2).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// True for a SYN or SYN-ACK.
pub(crate) fn applies_to(packet: &[u8], transport: &Transport) -> bool {
    transport.protocol == Protocol::Tcp && transport.tcp_flags(packet) & SYN != 0
}

/// Lowers the maximum segment size in a SYN so that packets of its connection have at most `mtu`
/// bytes. A SYN without the option allows less than any path carries (RFC 9293, section 3.7.1).
pub(crate) fn clamp(packet: &mut [u8], transport: &Transport, checksum: Checksum, mtu: usize) {
    let ip = if transport.v6 { 40 } else { 20 };
    let Ok(limit) = u16::try_from(mtu.saturating_sub(ip + HEADER)) else {
        return;
    };
    let Some(offset) = mss_offset(&packet[transport.start..transport.payload]) else {
        return;
    };

    let at = transport.start + offset;
    if u16_at(packet, at) <= usize::from(limit) {
        return;
    }

    // The value may lie across two of the 16-bit words that the checksum is a sum of.
    let first_word = at - offset % 2;
    let end = (at + 2).next_multiple_of(2).max(first_word + 2);
    let words = first_word..end.min(packet.len());
    let before = sum(&packet[words.clone()]);
    packet[at..at + 2].copy_from_slice(&limit.to_be_bytes());

    // RFC 1624, section 3. A partial checksum is the pseudo-header's alone and stays.
    if checksum == Checksum::Complete {
        let field = transport.checksum_place().field;
        let old = !(u16_at(packet, field) as u16);
        let new = !add(add(old, !before), sum(&packet[words]));
        packet[field..field + 2].copy_from_slice(&new.to_be_bytes());
    }
}

/// Offset of the option's value in a TCP header, if there is a sound one.
fn mss_offset(header: &[u8]) -> Option<usize> {
    let mut at = HEADER;

    loop {
        match *header.get(at)? {
            END => return None,
            NO_OPERATION => at += 1,
            kind => {
                let len = usize::from(*header.get(at + 1)?);
                match (kind, len) {
                    (MAXIMUM_SEGMENT_SIZE, 4) if at + 4 <= header.len() => return Some(at + 2),
                    // An option shorter than its own header would loop forever.
                    (MAXIMUM_SEGMENT_SIZE, _) | (_, 0 | 1) => return None,
                    _ => at += len,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::craft::{self, Shape, any_shape};

    /// A SYN that has the value `mss` behind `before` in its options.
    fn syn(shape: Shape, before: &[u8], mss: u16) -> Vec<u8> {
        let [high, low] = mss.to_be_bytes();
        let mut options = [before, &[MAXIMUM_SEGMENT_SIZE, 4, high, low]].concat();
        options.resize(options.len().next_multiple_of(4), NO_OPERATION);
        Shape {
            tcp: true,
            flags: SYN,
            options,
            ..shape
        }
        .packet(&[])
    }

    proptest! {
        #[test]
        fn a_larger_value_is_lowered_and_the_checksum_stays_right(
            shape in any_shape(), mss: u16, mtu in 1228usize..1500, partial: bool,
            before in prop_oneof![
                Just(vec![]), Just(vec![1]), Just(vec![3, 3, 7]), Just(vec![4, 2, 1, 1])
            ],
        ) {
            let most = (mtu - if shape.v6 { 60 } else { 40 }) as u16;
            let mut packet = syn(shape.clone(), &before, mss);
            let mut expected = syn(shape, &before, mss.min(most));
            let checksum = if partial { Checksum::Partial } else { Checksum::Complete };
            if partial {
                craft::make_partial(&mut packet);
                craft::make_partial(&mut expected);
            }
            let transport = Transport::locate(&packet).unwrap();
            prop_assert!(applies_to(&packet, &transport));
            clamp(&mut packet, &transport, checksum, mtu);
            // 0 and 0xffff are the same sum.
            if !partial {
                prop_assert!(craft::is_right(&packet));
                craft::complete(&mut packet);
            }
            prop_assert_eq!(packet, expected);
        }

        #[test]
        fn whatever_the_options_are_only_one_value_and_the_checksum_change(
            shape in any_shape(), options in proptest::collection::vec(any::<u8>(), 0..10),
            mtu in 0usize..3000,
        ) {
            let options = options.repeat(4);
            let mut packet = Shape { tcp: true, flags: SYN, options, ..shape }.packet(b"data");
            let before = packet.clone();
            let transport = Transport::locate(&packet).unwrap();
            clamp(&mut packet, &transport, Checksum::Complete, mtu);
            let bytes = before.iter().zip(&packet);
            let changed = bytes.filter(|(before, after)| before != after).count();
            prop_assert!(changed <= 4 && craft::is_right(&packet));
        }
    }

    #[test]
    fn only_a_syn_is_touched() {
        for (flags, is) in [
            (0x02, true),
            (0x12, true),
            (0x10, false),
            (0x18, false),
            (0x04, false),
        ] {
            let shape = Shape {
                v6: false,
                tcp: true,
                options: vec![],
                flags,
                sequence: 1,
                id: 1,
                dont_fragment: true,
                traffic_class: 0,
                port: 1,
            };
            let packet = shape.packet(&[]);
            let transport = Transport::locate(&packet).unwrap();
            assert_eq!(applies_to(&packet, &transport), is, "{flags:#x}");
        }
    }
}
