//! The Internet checksum (RFC 1071): of IPv4 headers, of TCP and UDP, and of their pseudo-headers.
//! Pure.
//!
//! Sums are kept folded to 16 bits, in network byte order; 0xffff and 0 are the same sum.

use crate::transport::{Protocol, Transport};

/// One's complement sum of two sums.
pub(crate) fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

/// One's complement sum of `bytes`, padded with a zero to an even number.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();

    // Four bytes at a time, in the CPU's byte order: it does not matter until the end (RFC 1071,
    // section 2 (B)). The carries of 64 KiB stay far below 64 bits.
    let wide: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();

    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    fold(wide + u64::from(u32::from_ne_bytes(last)))
}

fn fold(mut wide: u64) -> u16 {
    while wide > 0xffff {
        wide = (wide & 0xffff) + (wide >> 16);
    }
    u16::from_be(wide as u16)
}

/// The sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1) without the length.
pub(crate) fn pseudo_header(packet: &[u8], transport: &Transport) -> u16 {
    let addresses = if transport.v6 {
        &packet[8..40]
    } else {
        &packet[12..20]
    };

    add(sum(addresses), u16::from(transport.protocol.number()))
}

/// True if the checksum of the IPv4 header is right; IPv6 has none.
pub(crate) fn is_header_right(packet: &[u8], transport: &Transport) -> bool {
    transport.v6 || sum(&packet[..transport.start]) == 0xffff
}

/// True if the complete TCP or UDP checksum is there and right.
pub(crate) fn is_transport_right(packet: &[u8], transport: &Transport) -> bool {
    let at = transport.start + transport.protocol.checksum_at();

    // RFC 768: zero means that there is none.
    if transport.protocol == Protocol::Udp && packet[at..at + 2] == [0, 0] {
        return false;
    }

    let segment = &packet[transport.start..];
    // The caller has found the packet to be as long as an IP packet says.
    add(
        add(pseudo_header(packet, transport), segment.len() as u16),
        sum(segment),
    ) == 0xffff
}

/// Completes a partial checksum. At `field` lies the sum of the pseudo-header, and all bytes from
/// `start` on are covered. False if they do not lie in the packet.
pub(crate) fn complete(packet: &mut [u8], start: usize, field: usize) -> bool {
    if start > field || field + 2 > packet.len() {
        return false;
    }

    let checksum = never_zero(!sum(&packet[start..]));
    packet[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// A transport checksum as it is sent: a zero as all ones, because zero means "no checksum" in UDP
/// (RFC 768). For TCP the two are the same.
pub(crate) fn never_zero(checksum: u16) -> u16 {
    match checksum {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum as RFC 1071 defines it, word by word.
    fn naive_sum(bytes: &[u8]) -> u16 {
        bytes.chunks(2).fold(0u32, |sum, word| {
            let sum =
                sum + (u32::from(word[0]) << 8) + u32::from(word.get(1).copied().unwrap_or(0));
            (sum & 0xffff) + (sum >> 16)
        }) as u16
    }

    proptest! {
        #[test]
        fn a_sum_is_the_one_taken_word_by_word(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000), ones in 0usize..3000,
        ) {
            prop_assert_eq!(sum(&bytes), naive_sum(&bytes));
            prop_assert_eq!(sum(&vec![0xff; ones]), naive_sum(&vec![0xff; ones]));
        }

        #[test]
        fn a_completed_packet_sums_to_all_ones(
            mut packet in proptest::collection::vec(any::<u8>(), 0..100), start in 0usize..110,
            field in 0usize..110,
        ) {
            let fits = start <= field && field + 2 <= packet.len();
            prop_assert_eq!(complete(&mut packet, start, field), fits);
            if fits && (field - start).is_multiple_of(2) {
                packet[field..field + 2].fill(0);
                prop_assert!(complete(&mut packet, start, field));
                prop_assert_eq!(sum(&packet[start..]), 0xffff);
            }
        }
    }

    #[test]
    fn the_example_of_rfc_1071_has_the_sum_that_it_gives() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
    }
}
