//! [`Secret`]: what a gateway can prove to be alive by, through somebody it does not trust.

use std::fmt;

use ringway_config::{Digest, GatewayId};

use crate::id::BootId;
use crate::message::SiblingState;

/// 32 bytes that only this gateway and one sibling know.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// The secret for `sibling`, of a gateway whose own secret this is. Says nothing about those
    /// for others.
    pub(crate) fn shared_with(&self, sibling: &GatewayId) -> Secret {
        self.derive(b"sibling ", sibling.to_string().as_bytes())
    }

    /// A number that nobody can foretell, and that no other run of this gateway uses.
    pub(crate) fn nonce(&self, boot: BootId, count: u64) -> [u8; 16] {
        let value = [&boot.0[..], &count.to_be_bytes()].concat();
        let Secret(derived) = self.derive(b"nonce ", &value);

        let mut nonce = [0; 16];
        nonce.copy_from_slice(&derived[..16]);
        nonce
    }

    /// Shows that its maker knows the secret, has seen the nonce and says that this is its state.
    /// The lengths are fixed, so that nothing can be appended.
    pub fn prove(&self, nonce: [u8; 16], state: &SiblingState) -> Digest {
        let said = [&nonce[..], &state.to_bytes()].concat();
        let Secret(proof) = self.derive(b"proof ", &said);

        Digest(proof)
    }

    fn derive(&self, label: &[u8], value: &[u8]) -> Secret {
        let input = [&self.0[..], label, value].concat();

        Secret(Digest::of(&input).0)
    }
}

/// It must not get into a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
