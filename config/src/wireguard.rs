//! [`WireGuard`]: `[wireguard]` of `gateway.toml`, where standard WireGuard clients are served, and
//! [`WireGuardKey`], by which an attached node that is one of them is known.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::TunName;

/// Where WireGuard clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireGuard {
    /// The UDP address and port, not the tunnel's.
    pub listen: SocketAddr,
    /// The device that their packets come out of.
    pub tun: TunName,
}

/// A public key of WireGuard: 32 bytes, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireGuardKey([u8; 32]);

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a public key of WireGuard, 32 bytes in base64")]
pub struct WireGuardKeyError(String);

impl WireGuardKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> WireGuardKey {
        WireGuardKey(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for WireGuardKey {
    type Err = WireGuardKeyError;

    fn from_str(text: &str) -> Result<WireGuardKey, WireGuardKeyError> {
        let bytes = BASE64.decode(text.as_bytes()).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());

        // Nobody has a private key to zero, and everybody the secret that comes of it.
        match bytes.filter(|bytes| *bytes != [0; 32]) {
            Some(bytes) => Ok(WireGuardKey(bytes)),
            // What is shown of a text that is none must not be a whole file.
            None => Err(WireGuardKeyError(text.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for WireGuardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for WireGuardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireGuardKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_base64_and_not_zero() {
        let text = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
        let key: WireGuardKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(WireGuardKey::new(*key.bytes()), key);

        let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for bad in ["", "x", &text[1..], &text[..43], zero, &text.repeat(2)] {
            assert!(bad.parse::<WireGuardKey>().is_err(), "{bad:?}");
        }
    }
}
