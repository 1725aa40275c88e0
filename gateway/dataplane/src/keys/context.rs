//! [`KeyContext`]: what the secret of a direction is bound to.

use super::Aead;

/// The label under which the secret is exported from the TLS session (RFC 8446, section 7.5).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-ringway-data";

/// The version that stands first in every [`KeyContext`].
const VERSION: u8 = 1;

/// Which end of the TLS session seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The TLS client.
    Dialler = 1,
    /// The TLS server.
    Accepter = 2,
}

/// What a direction's secret is bound to: the context of the TLS exporter. Both ends write the same
/// bytes, so that a disagreement about any field means keys that open nothing.
#[derive(Debug, Clone, Copy)]
pub struct KeyContext<'a> {
    /// The end that seals with this key.
    pub sender: Role,
    /// The lane; 0 until there is more than one.
    pub lane: u8,
    /// The AEAD that the receiver chose.
    pub aead: Aead,
    /// The receiver's session index.
    pub index: u32,
    /// SPIFFE id of the gateway that dialled.
    pub dialler: &'a str,
    /// SPIFFE id of the gateway that was dialled.
    pub dialled: &'a str,
}

impl KeyContext<'_> {
    /// version ‖ sender's role ‖ lane ‖ AEAD ‖ index (BE) ‖ dialler ‖ dialled, each id behind its
    /// length as a big-endian u16.
    ///
    /// # Panics
    /// If an id is longer than 65,535 bytes; a SPIFFE id has at most 2048 (SPIFFE-ID, section 2.3).
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.sender as u8, self.lane, self.aead.code()];
        bytes.extend(self.index.to_be_bytes());

        for id in [self.dialler, self.dialled] {
            let len = u16::try_from(id.len()).expect("a SPIFFE id has at most 2048 bytes");
            bytes.extend(len.to_be_bytes());
            bytes.extend(id.as_bytes());
        }

        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_names_both_ends_without_ambiguity() {
        let context = KeyContext {
            sender: Role::Accepter,
            lane: 0,
            aead: Aead::ChaCha20Poly1305,
            index: 0x0102_0304,
            dialler: "spiffe://a",
            dialled: "b",
        };
        let expected = [
            &[1, 2, 0, 3, 1, 2, 3, 4, 0, 10][..],
            b"spiffe://a",
            &[0, 1],
            b"b",
        ]
        .concat();
        assert_eq!(context.encode(), expected);
        let shifted = KeyContext {
            dialler: "spiffe://",
            dialled: "ab",
            ..context
        };
        assert_ne!(shifted.encode(), context.encode());
    }
}
