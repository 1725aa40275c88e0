//! [`PrivateKey`]: a private key of WireGuard, as `wg genkey` makes them.

use std::fmt;

use gotatun::x25519::{PublicKey, StaticSecret};
use ringway_config::WireGuardKey;

/// It is never shown but by [`PrivateKey::text`].
#[derive(Clone)]
pub struct PrivateKey(StaticSecret);

/// Why a text is no private key. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a private key of WireGuard, 32 bytes in base64 as `wg genkey` prints them")
    }
}

impl std::error::Error for KeyError {}

impl PrivateKey {
    /// The key of these random bytes.
    pub fn new(mut random: [u8; 32]) -> PrivateKey {
        // RFC 7748, section 5, as `wg genkey` stores it.
        random[0] &= 248;
        random[31] = (random[31] & 127) | 64;

        PrivateKey(StaticSecret::from(random))
    }

    /// Reads what [`PrivateKey::text`] gives.
    pub fn parse(text: &str) -> Result<PrivateKey, KeyError> {
        // The same 32 bytes in base64.
        let key: WireGuardKey = text.trim().parse().map_err(|_| KeyError)?;

        Ok(PrivateKey::new(*key.bytes()))
    }

    /// In base64.
    pub fn text(&self) -> String {
        WireGuardKey::new(self.0.to_bytes()).to_string()
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> WireGuardKey {
        WireGuardKey::new(PublicKey::from(&self.0).to_bytes())
    }

    /// False if the secret that both share is known to everybody: no client has such a key.
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
