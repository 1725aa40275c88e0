//! [`PrivateKey`]: a WireGuard private key, in the format of `wg genkey`.

use std::fmt;

use gotatun::x25519::{PublicKey, StaticSecret};
use ringway_config::WireGuardKey;

/// Only [`PrivateKey::text`] shows it.
#[derive(Clone)]
pub struct PrivateKey(StaticSecret);

/// The text is not a private key. The error does not repeat the text, which may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a private key of WireGuard, 32 bytes in base64 as `wg genkey` prints them")
    }
}

impl std::error::Error for KeyError {}

impl PrivateKey {
    /// Makes a key of these random bytes.
    pub fn new(mut random: [u8; 32]) -> PrivateKey {
        // Clamped as in RFC 7748, section 5; `wg genkey` stores it so.
        random[0] &= 248;
        random[31] = (random[31] & 127) | 64;

        PrivateKey(StaticSecret::from(random))
    }

    /// Parses the format of [`PrivateKey::text`].
    pub fn parse(text: &str) -> Result<PrivateKey, KeyError> {
        // A public key has the same form, 32 bytes in base64.
        let key: WireGuardKey = text.trim().parse().map_err(|_| KeyError)?;

        Ok(PrivateKey::new(*key.bytes()))
    }

    /// The key in base64.
    pub fn text(&self) -> String {
        WireGuardKey::new(self.0.to_bytes()).to_string()
    }

    /// The corresponding public key.
    pub fn public(&self) -> WireGuardKey {
        WireGuardKey::new(PublicKey::from(&self.0).to_bytes())
    }

    /// False if `other` is a point of small order: the shared secret would be public, so no real
    /// client has such a key.
    pub fn agrees_with(&self, other: &WireGuardKey) -> bool {
        let shared = self.0.diffie_hellman(&PublicKey::from(*other.bytes()));

        shared.was_contributory()
    }

    pub(crate) fn secret(&self) -> &StaticSecret {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_its_public_key_is_that_of_the_protocol() {
        // RFC 7748, section 6.1: Alice's keys.
        let private = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
        let public = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        let key = PrivateKey::parse(private).unwrap();
        assert_eq!(key.public().to_string(), public);
        assert_eq!(PrivateKey::parse(&key.text()).unwrap().text(), key.text());
        assert!(!format!("{key:?}").contains(&key.text()));

        assert!(PrivateKey::parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC").is_err());
        assert!(key.agrees_with(&PrivateKey::new([7; 32]).public()));
        // Points of small order.
        let mut one = [0; 32];
        one[0] = 1;
        assert!(!key.agrees_with(&WireGuardKey::new(one)));
    }
}
