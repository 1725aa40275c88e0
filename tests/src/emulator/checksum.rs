//! The Internet checksum (RFC 1071), whole and mended (RFC 1624).

/// The ones' complement sum of `bytes`, folded, not inverted.
pub fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| (*low).into()));
    // 65,535 bytes at most: the sum of so many words fits.
    fold(words.sum())
}

/// The checksum `old` after the even number of bytes `before` became `after`. RFC 1624, 3: HC' = ~(~HC + ~m + m').
pub fn updated(old: u16, before: &[u8], after: &[u8]) -> u16 {
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
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_updated_checksum_is_that_of_the_changed_bytes(
            mut bytes in proptest::collection::vec(any::<u8>(), 4..64), new in any::<[u8; 4]>(), at in 0usize..30,
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
