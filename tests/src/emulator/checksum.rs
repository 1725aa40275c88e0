//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// The ones' complement sum of `bytes`, folded to 16 bits and not inverted.
pub fn sum(bytes: &[u8]) -> u16 {
    // A packet has at most 65,535 bytes, so the sum of its words fits into 32 bits.
    let sum = bytes
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
        .map(u32::from)
        .sum();
    fold(sum)
}

/// The checksum `old` after the bytes `before` were replaced by `after`. Both have an even length.
pub fn updated(old: u16, before: &[u8], after: &[u8]) -> u16 {
    // RFC 1624, 3: HC' = ~(~HC + ~m + m')
    !fold(u32::from(!old) + u32::from(!sum(before)) + u32::from(sum(after)))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_updated_checksum_is_that_of_the_changed_bytes(
            mut bytes in vec(any::<u8>(), 4..64),
            new in any::<[u8; 4]>(),
            at in 0usize..30,
        ) {
            let at = at.min((bytes.len() - 4) / 2) * 2;
            let old = !sum(&bytes);
            let before: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            bytes[at..at + 4].copy_from_slice(&new);
            let updated = updated(old, &before, &new);

            // 0 and 0xffff are the same number in ones' complement.
            prop_assert_eq!(fold(u32::from(updated) + u32::from(sum(&bytes))), 0xffff);
        }
    }
}
