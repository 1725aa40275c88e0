//! SipHash-1-3 over whole words: the keyed hash of the tables.
//!
//! The same function as the crate siphasher's, which the tests compare. That one takes bytes, and
//! half of its time goes into putting words together again.

/// The hash of some words and of up to seven bytes behind them.
#[inline(always)]
pub(crate) fn hash<const N: usize>(secret: &[u64; 2], words: &[u64; N], tail: Tail) -> u64 {
    let mut state = [
        secret[0] ^ 0x736f_6d65_7073_6575,
        secret[1] ^ 0x646f_7261_6e64_6f6d,
        secret[0] ^ 0x6c79_6765_6e65_7261,
        secret[1] ^ 0x7465_6462_7974_6573,
    ];

    for word in words {
        absorb(&mut state, *word);
    }
    // The last word holds the length in bytes in its highest byte, and what fills no word.
    let len = N as u64 * 8 + tail.len;
    absorb(&mut state, len << 56 | tail.bytes);

    state[2] ^= 0xff;
    for _ in 0..3 {
        round(&mut state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

/// The bytes of a message that fill no word.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    /// Below 2^(8 len).
    pub(crate) bytes: u64,
    /// At most 7.
    pub(crate) len: u64,
}

impl Tail {
    /// Of a message of whole words.
    pub(crate) const NONE: Tail = Tail { bytes: 0, len: 0 };
}

/// A secret as the two words that the function takes.
pub(crate) fn secret(bytes: [u8; 16]) -> [u64; 2] {
    let secret = u128::from_le_bytes(bytes);
    [secret as u64, (secret >> 64) as u64]
}

#[inline(always)]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

#[inline(always)]
fn round(state: &mut [u64; 4]) {
    let [v0, v1, v2, v3] = state;

    *v0 = v0.wrapping_add(*v1);
    *v2 = v2.wrapping_add(*v3);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.rotate_left(32);

    *v2 = v2.wrapping_add(*v1);
    *v0 = v0.wrapping_add(*v3);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::*;

    #[test]
    fn the_hash_is_siphash_1_3() {
        let bytes: [u8; 16] = std::array::from_fn(|at| at as u8 * 7);
        let words: [u64; 5] = std::array::from_fn(|at| 0x0123_4567_89ab_cdef << at);
        let message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let reference = SipHasher13::new_with_key(&bytes);

        let secret = secret(bytes);
        assert_eq!(hash(&secret, &words, Tail::NONE), reference.hash(&message));
        let two = [words[0], words[1]];
        assert_eq!(
            hash(&secret, &two, Tail::NONE),
            reference.hash(&message[..16])
        );
        let tail = Tail {
            bytes: words[2] & 0xff_ffff_ffff,
            len: 5,
        };
        assert_eq!(hash(&secret, &two, tail), reference.hash(&message[..21]));
    }
}
