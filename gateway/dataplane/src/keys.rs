//! [`Secret`] and [`Key`]: from a TLS exporter's secret to the key, IV and next secret of one
//! direction of one lane.
//!
//! Owns the AEADs, the key schedule, and sealing and opening of single packets. `context` defines
//! what the first secret is bound to; `session` knows which phase a packet belongs to.
//!
//! ```text
//! TLS exporter(EXPORTER_LABEL, KeyContext) = secret of phase 0
//! secret ─ Expand-Label "key" ──► AEAD key
//!        ─ Expand-Label "iv"  ──► IV;  nonce = IV xor packet number
//!        ─ Expand-Label "traffic upd" ──► secret of the next phase
//! ```
//! HKDF-Expand-Label is that of TLS 1.3 with SHA-384 (RFC 8446, section 7.1; section 7.2 for the
//! update).

mod context;

use std::hint::black_box;

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA384, KeyType, Prk};
use zeroize::Zeroize;

pub use self::context::{EXPORTER_LABEL, KeyContext, Role};
use crate::header::{HEADER_LEN, TAG_LEN};

/// Bytes of the longest key.
const MAX_KEY_LEN: usize = 32;

/// The AEADs that every gateway can open and seal; the receiver chooses. The values are wire codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Aead {
    /// AES-128-GCM (RFC 5116, section 5.1).
    Aes128Gcm = 1,
    /// AES-256-GCM (RFC 5116, section 5.2).
    Aes256Gcm = 2,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305 = 3,
}

impl Aead {
    /// The fastest on this CPU: AES-128-GCM where AES is an instruction, else ChaCha20-Poly1305.
    pub fn preferred() -> Aead {
        // GCM needs both: AES for the cipher, the carry-less product for the tag.
        #[cfg(target_arch = "x86_64")]
        let fast =
            std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let fast = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let fast = false;

        if fast {
            Aead::Aes128Gcm
        } else {
            Aead::ChaCha20Poly1305
        }
    }

    /// The wire code.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Aead::Aes128Gcm => &aead::AES_128_GCM,
            Aead::Aes256Gcm => &aead::AES_256_GCM,
            Aead::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

/// The secret of one phase of one direction: 48 bytes, wiped when dropped, absent from debug
/// output.
pub struct Secret([u8; 48]);

impl Secret {
    /// The secret of phase 0, as the TLS exporter gave it.
    pub fn new(exported: [u8; 48]) -> Secret {
        Secret(exported)
    }

    /// The secret of the next phase.
    pub(crate) fn next(&self) -> Secret {
        let mut next = Secret([0; 48]);
        self.expand_label("traffic upd", &mut next.0);
        next
    }

    /// A second copy, which is wiped on its own. Not `Clone`, so that each copy is a visible
    /// decision.
    pub(crate) fn copy(&self) -> Secret {
        Secret(self.0)
    }

    /// The key and IV of this phase.
    pub(crate) fn key(&self, aead: Aead) -> Key {
        let algorithm = aead.algorithm();
        let mut bytes = [0; MAX_KEY_LEN];
        self.expand_label("key", &mut bytes[..algorithm.key_len()]);
        let cipher = cipher(algorithm, &bytes);
        // The cipher has made its own copy.
        bytes.zeroize();

        let mut iv = [0; aead::NONCE_LEN];
        self.expand_label("iv", &mut iv);
        Key { cipher, iv }
    }

    /// HKDF-Expand-Label(secret, label, "", out.len()), RFC 8446, section 7.1.
    fn expand_label(&self, label: &str, out: &mut [u8]) {
        const PREFIX: &[u8] = b"tls13 ";
        let len = u16::try_from(out.len()).expect("asked for a key, an IV or a secret");
        let label_len = u8::try_from(PREFIX.len() + label.len()).expect("the labels are short");

        let info = [
            &len.to_be_bytes()[..],
            &[label_len],
            PREFIX,
            label.as_bytes(),
            // The empty context, behind its length.
            &[0],
        ];

        Prk::new_less_safe(HKDF_SHA384, &self.0)
            .expand(&info, Length(out.len()))
            .and_then(|okm| okm.fill(out))
            .expect("HKDF gives up to 255 blocks");
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A cipher with the first of `bytes`, as many as the AEAD asks for, as its key.
fn cipher(algorithm: &'static aead::Algorithm, bytes: &[u8; MAX_KEY_LEN]) -> LessSafeKey {
    let unbound = UnboundKey::new(algorithm, &bytes[..algorithm.key_len()]);
    LessSafeKey::new(unbound.expect("the key has the length the AEAD asks for"))
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// The key and IV of one phase. `session` makes sure that no packet number is sealed twice, which
/// would reveal plaintexts (RFC 5116, section 3.1).
pub(crate) struct Key {
    cipher: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
}

/// Wiped when dropped. `ring` does not wipe a cipher, so one with another key is put in its place.
impl Drop for Key {
    fn drop(&mut self) {
        self.cipher = cipher(self.cipher.algorithm(), &[0; MAX_KEY_LEN]);
        self.iv.zeroize();
        // Without a reader, the compiler could leave out the write above.
        black_box(&self.cipher);
    }
}

impl Key {
    /// Seals `payload` in place; the tag follows it on the wire.
    pub(crate) fn seal(
        &self,
        number: u64,
        header: &[u8; HEADER_LEN],
        payload: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let tag = self
            .cipher
            .seal_in_place_separate_tag(self.nonce(number), Aad::from(header), payload)
            .expect("a packet is shorter than any limit of the AEAD");

        tag.as_ref()
            .try_into()
            .expect("all three AEADs have tags of 16 bytes")
    }

    /// Opens `sealed` (ciphertext and tag) in place. False if the AEAD refuses; the bytes mean
    /// nothing then.
    pub(crate) fn open(&self, number: u64, header: &[u8; HEADER_LEN], sealed: &mut [u8]) -> bool {
        self.cipher
            .open_in_place(self.nonce(number), Aad::from(header), sealed)
            .is_ok()
    }

    /// The IV xor the packet number, left-padded with zeros (as RFC 8446, section 5.3).
    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.iv;

        // The first four bytes would be xored with the padding's zeros.
        for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }

        Nonce::assume_unique_for_key(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Checksum, Header, Kind};

    /// Bytes 0, 1, 2 ... 47. The vectors below were computed from it with Python's `hmac` and
    /// checked with `openssl kdf -kdfopt mode:EXPAND_ONLY -kdfopt digest:SHA384`.
    fn secret() -> Secret {
        Secret::new(std::array::from_fn(|i| i as u8))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_schedule_agrees_with_independent_vectors() {
        let expand = |secret: &Secret, label: &str, len: usize| {
            let mut out = vec![0; len];
            secret.expand_label(label, &mut out);
            hex(&out)
        };
        assert_eq!(
            expand(&secret(), "key", 16),
            "177f01c718ec17f6004f44c4dca0af7c"
        );
        assert_eq!(
            expand(&secret(), "key", 32),
            "6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225"
        );
        assert_eq!(expand(&secret(), "iv", 12), "42822531a0fe88648fc09e9f");
        assert_eq!(
            hex(&secret().next().0),
            "401331b63e9d59f202e8f041042d9516f4cd7fa2e2ee14631d3b49fc340d7af3\
             7fc2c0c9f252d8036f81ec5b85cbe5db"
        );
        assert_eq!(
            expand(&secret().next(), "key", 16),
            "f6e7ab99dfd7f9395206f21ed5577c1c"
        );
    }

    #[test]
    fn a_sealed_packet_is_the_one_another_implementation_seals() {
        // Python's `cryptography`, same secret, header as additional data.
        let vectors = [
            (
                Aead::Aes128Gcm,
                "333b8cad73d13f410583b19f7df1fa28cc458396ad5969",
            ),
            (
                Aead::Aes256Gcm,
                "d6fb3f4a95a92f4dc57c70871db9af700d5d098744820f",
            ),
            (
                Aead::ChaCha20Poly1305,
                "97d7c9c6f35c1683574e4a79a153a9e2c2280afc7dd310",
            ),
        ];
        let number = 0x01_0203_0405;
        let header = Header {
            kind: Kind::Packet(Checksum::Complete),
            phase: 0,
            index: 0xdead_beef,
            number,
        }
        .encode();
        for (aead, expected) in vectors {
            let key = secret().key(aead);
            let mut payload = *b"ringway";
            let tag = key.seal(number, &header, &mut payload);
            let sealed = [&payload[..], &tag[..]].concat();
            assert_eq!(hex(&sealed), expected, "{aead:?}");
            let mut opened = sealed.clone();
            assert!(key.open(number, &header, &mut opened), "{aead:?}");
            assert_eq!(&opened[..7], b"ringway");
            assert!(
                !key.open(number + 1, &header, &mut sealed.clone()),
                "{aead:?}"
            );
        }
    }

    #[test]
    fn debug_output_does_not_show_a_secret() {
        assert_eq!(format!("{:?}", secret()), "Secret");
    }
}
