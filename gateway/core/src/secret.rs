//! [`Secret`]: the key with which a gateway proves to a sibling that it is alive, through a peer
//! that neither of them trusts.

use std::fmt;

use ringway_config::{Digest, GatewayId};

use crate::id::BootId;
use crate::message::SiblingState;

/// 32 bytes that only this gateway and one sibling know.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// Derives the secret that this gateway shares with `sibling`. It reveals nothing about those
    /// of other siblings.
    pub(crate) fn shared_with(&self, sibling: &GatewayId) -> Secret {
        self.derive(b"sibling ", sibling.to_string().as_bytes())
    }

    /// An unpredictable nonce that no other run of this gateway uses.
    pub(crate) fn nonce(&self, boot: BootId, count: u64) -> [u8; 16] {
        let value = [&boot.0[..], &count.to_be_bytes()].concat();
        let Secret(derived) = self.derive(b"nonce ", &value);

        let mut nonce = [0; 16];
        nonce.copy_from_slice(&derived[..16]);
        nonce
    }

    /// Proves that its author knows the secret, has seen the nonce and reports this state. Nonce
    /// and state have fixed lengths, so that the hash is safe from length extension.
    pub fn prove(&self, nonce: [u8; 16], state: &SiblingState) -> Digest {
        let input = [&nonce[..], &state.to_bytes()].concat();
        let Secret(proof) = self.derive(b"proof ", &input);

        Digest(proof)
    }

    fn derive(&self, label: &[u8], value: &[u8]) -> Secret {
        let input = [&self.0[..], label, value].concat();

        Secret(Digest::of(&input).0)
    }
}

/// Secrets must not appear in logs.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
