//! The Internet checksum (RFC 1071): of IPv4 headers, of TCP and UDP, and of their pseudo-headers. Pure.
//!
//! Sums are kept folded to 16 bits, in the order of bytes on the wire; 0xffff and 0 are the same sum.

use crate::transport::{Protocol, Transport};

/// One's complement sum of two sums.
pub(crate) fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

/// One's complement sum of `bytes`, padded with a zero to an even number.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    // The order of bytes does not matter until the end (RFC 1071, section 2 (B)).
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

/// Completes a partial checksum: what lies at `field` is the sum of the pseudo-header, all from `start` on is
/// to be summed. False if they do not lie in the packet.
pub(crate) fn complete(packet: &mut [u8], start: usize, field: usize) -> bool {
    let (Some(covered), true) = (packet.get(start..), start <= field) else {
        return false;
    };
    // RFC 768: a sum of zero is sent as all ones.
    let checksum = Some(!sum(covered))
        .filter(|checksum| *checksum != 0)
        .unwrap_or(0xffff);
    let Some(field) = packet.get_mut(field..field + 2) else {
        return false;
    };
    field.copy_from_slice(&checksum.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum as RFC 1071 says it, word by word.
    fn plainly(bytes: &[u8]) -> u16 {
        bytes.chunks(2).fold(0u32, |sum, word| {
            let sum =
                sum + (u32::from(word[0]) << 8) + u32::from(word.get(1).copied().unwrap_or(0));
            (sum & 0xffff) + (sum >> 16)
        }) as u16
    }

    proptest! {
        #[test]
        fn a_sum_is_the_one_taken_word_by_word(bytes in proptest::collection::vec(any::<u8>(), 0..3000),
                                               ones in 0usize..3000) {
            prop_assert_eq!(sum(&bytes), plainly(&bytes));
            prop_assert_eq!(sum(&vec![0xff; ones]), plainly(&vec![0xff; ones]));
        }

        #[test]
        fn what_is_completed_sums_up(mut packet in proptest::collection::vec(any::<u8>(), 0..100), start in 0usize..110,
                                     field in 0usize..110) {
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
    fn the_example_of_rfc_1071_sums_as_it_says() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
    }
}
