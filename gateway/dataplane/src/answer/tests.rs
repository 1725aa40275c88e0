use proptest::prelude::*;

use super::*;
use crate::craft::{self, Shape, any_shape};

/// A TCP packet, or one of UDP if `flags` is `None`.
fn shape(v6: bool, flags: Option<u8>) -> Shape {
    Shape {
        v6,
        tcp: flags.is_some(),
        options: Vec::new(),
        flags: flags.unwrap_or(0),
        sequence: 1000,
        id: 7,
        dont_fragment: true,
        traffic_class: 0,
        port: 40_000,
    }
}

fn answer(packet: &[u8]) -> Option<Vec<u8>> {
    let answer = Answer::to(packet)?;
    let (offload, packet) = answer.bytes().split_at(OFFLOAD_LEN);
    assert_eq!(offload, [0; OFFLOAD_LEN]);
    ip::parse(packet).expect("an answer is a sane packet");
    Some(packet.to_vec())
}

/// Flags, sequence and acknowledgement of the TCP header in `packet`.
fn tcp(packet: &[u8]) -> (u8, u32, u32) {
    let tcp = UpperLayer::of(packet).unwrap().tcp(packet).unwrap();
    (tcp.flags, tcp.sequence, tcp.acknowledgement)
}

fn assert_comes_from_where_it_went(packet: &[u8], answer: &[u8]) {
    let sent = ip::parse(packet).unwrap();
    let got = ip::parse(answer).unwrap();
    assert_eq!(got.source, sent.destination);
    assert_eq!(got.destination, sent.source);
}

#[test]
fn a_syn_gets_the_reset_that_its_connection_accepts() {
    for v6 in [false, true] {
        for (payload, acknowledged) in [(0, 1001), (5, 1006)] {
            let syn = shape(v6, Some(SYN)).packet(&vec![1; payload]);
            let reset = answer(&syn).unwrap();
            assert_eq!(tcp(&reset), (RST | ACK, 0, acknowledged));
            assert!(craft::is_right(&reset), "checksums");
            assert_comes_from_where_it_went(&syn, &reset);
        }
    }
}

#[test]
fn a_segment_with_ack_gets_a_reset_at_the_number_that_it_expects() {
    for v6 in [false, true] {
        for flags in [ACK, ACK | FIN, SYN | ACK] {
            let reset = answer(&shape(v6, Some(flags)).packet(b"x")).unwrap();
            // `Shape` acknowledges 1, 2, 3, 4.
            assert_eq!(tcp(&reset), (RST, 0x0102_0304, 0));
            assert!(craft::is_right(&reset), "checksums");
        }
        let fin = answer(&shape(v6, Some(FIN)).packet(b"xy")).unwrap();
        assert_eq!(tcp(&fin), (RST | ACK, 0, 1003));
    }
}

#[test]
fn other_packets_get_an_icmp_error_that_quotes_them() {
    for (v6, most, header, kind) in [(false, 576, 20, [3, 1]), (true, 1280, 40, [1, 3])] {
        for len in [0, 10, 4000] {
            let packet = shape(v6, None).packet(&vec![7; len]);
            let error = answer(&packet).unwrap();
            assert_eq!(error[header..header + 2], kind);
            assert_eq!(error.len(), (packet.len() + header + 8).min(most));
            assert_eq!(error[header + 8..], packet[..error.len() - header - 8]);
            assert_comes_from_where_it_went(&packet, &error);
            assert_icmp_checksum(&error);
        }
    }
}

fn assert_icmp_checksum(packet: &[u8]) {
    let sum = if packet[0] >> 4 == 4 {
        craft::sum(packet[20..].iter().copied())
    } else {
        let len = (packet.len() - 40) as u16;
        let pseudo = [&packet[8..40], &[0, ICMP_V6], &len.to_be_bytes()].concat();
        craft::sum(pseudo.into_iter().chain(packet[40..].iter().copied()))
    };
    assert_eq!(sum, 0);
}

#[test]
fn nothing_answers_a_reset_an_icmp_error_a_fragment_or_a_group() {
    for v6 in [false, true] {
        for flags in [RST, RST | ACK, SYN | RST] {
            assert_eq!(answer(&shape(v6, Some(flags)).packet(b"")), None);
        }
    }

    for kind in [3, 4, 5, 11, 12] {
        assert_eq!(answer(&icmp_v4(kind)), None, "type {kind}");
    }
    for kind in [1, 2, 3, 4, 127, 137] {
        assert_eq!(answer(&icmp_v6(kind)), None, "type {kind}");
    }
    // The control: what is no error is answered.
    for (packet, kind) in [(icmp_v4(8), 3), (icmp_v6(128), 1)] {
        let error = answer(&packet).unwrap();
        assert_eq!(error[error.len() - packet.len() - 8], kind);
    }

    for (at, value) in [(6, 0x20), (7, 9)] {
        let mut fragment = shape(false, None).packet(&[0; 8]);
        fragment[6] = 0;
        fragment[at] = value;
        assert_eq!(answer(&fragment), None);
    }
    for more in [0, 1] {
        let header = [17, 0, 0, more, 0, 0, 0, 1];
        let packet = v6_packet(ip::FRAGMENT, &[&header[..], &[0; 8]].concat());
        assert_eq!(answer(&packet), None, "more: {more}");
    }

    let mut group = shape(false, None).packet(b"");
    group[16] = 224;
    assert_eq!(answer(&group), None);
    let mut from_group = shape(true, None).packet(b"");
    from_group[8] = 0xff;
    assert_eq!(answer(&from_group), None);
}

#[test]
fn tcp_is_found_behind_extension_headers() {
    let syn = shape(true, Some(SYN)).packet(b"");
    let options = [6, 0, 1, 4, 0, 0, 0, 0];
    let packet = v6_packet(60, &[&options[..], &syn[40..]].concat());
    assert_eq!(tcp(&answer(&packet).unwrap()), (RST | ACK, 0, 1001));
}

fn icmp_v4(kind: u8) -> Vec<u8> {
    let mut packet = shape(false, None).packet(&[0; 8]);
    packet[9] = ICMP_V4;
    packet[20] = kind;
    packet
}

fn icmp_v6(kind: u8) -> Vec<u8> {
    v6_packet(ICMP_V6, &[kind, 0, 0, 0, 0, 0, 0, 0])
}

fn v6_packet(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = shape(true, None).packet(b"");
    packet.truncate(40);
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet[6] = next;
    packet.extend(payload);
    packet
}

proptest! {
    #[test]
    fn an_answer_to_any_packet_is_sane_short_and_not_answered_itself(
        shape in any_shape(), payload in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let packet = shape.packet(&payload);
        if let Some(first) = answer(&packet) {
            prop_assert!(first.len() <= 1280);
            prop_assert_eq!(answer(&first), None);
        }
    }

    #[test]
    fn any_bytes_are_answered_or_not(
        mut bytes in proptest::collection::vec(any::<u8>(), 40..200),
        first in proptest::sample::select(vec![0x45u8, 0x4f, 0x60]),
        next in proptest::sample::select(vec![0u8, 1, 6, 17, 43, 44, 51, 58, 59, 60]),
    ) {
        let len = bytes.len() as u16;
        bytes[0] = first;
        if first == 0x60 {
            bytes[4..6].copy_from_slice(&(len - 40).to_be_bytes());
            bytes[6] = next;
        } else {
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[9] = next;
        }
        let _ = answer(&bytes);
    }
}
