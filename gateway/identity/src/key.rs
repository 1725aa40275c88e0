//! Private keys: a gateway's ([`GatewayKey`]) and a CA's ([`CaKey`]). None is ever shown or logged.

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, Error, KeyPair, PublicKeyData, SanType,
    SignatureAlgorithm, SigningKey,
};
use ringway_config::{Digest, GatewayId, ZoneName};

use super::create::CreateError;
use super::token::TokenKey;

/// The key of a gateway.
pub struct GatewayKey(KeyPair);

/// The key of a CA.
pub enum CaKey {
    /// The key is in a file.
    File(Box<KeyPair>),
    /// The key is in a token, which signs.
    Token(Box<TokenKey>),
}

impl GatewayKey {
    /// Generates a key, ECDSA P-256.
    pub fn generate() -> Result<GatewayKey, CreateError> {
        Ok(GatewayKey(KeyPair::generate()?))
    }

    /// Parses the text of a PEM file.
    pub fn read(pem: &str) -> Result<GatewayKey, CreateError> {
        Ok(GatewayKey(KeyPair::from_pem(pem)?))
    }

    /// PKCS#8, PEM: secret.
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0.subject_public_key_info())
    }

    /// A request (PKCS#10, PEM) for the certificate of the gateway `id`.
    pub fn request(&self, id: &GatewayId, domain: &ZoneName) -> Result<String, CreateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, id.org.as_str());
        params
            .distinguished_name
            .push(DnType::CommonName, id.name.as_str());
        params.subject_alt_names = vec![SanType::URI(id.spiffe(domain).try_into()?)];

        Ok(params.serialize_request(&self.0)?.pem()?)
    }
}

impl PublicKeyData for GatewayKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl CaKey {
    /// PKCS#8, PEM: secret. `None` for a key in a token.
    pub(super) fn pem(&self) -> Option<String> {
        match self {
            CaKey::File(key) => Some(key.serialize_pem()),
            CaKey::Token(_) => None,
        }
    }

    /// The cause of a signing failure, which rcgen's error does not contain.
    pub(super) fn cause(&self, error: Error) -> CreateError {
        match self {
            CaKey::Token(key) => match key.last_error() {
                Some(cause) => cause.into(),
                None => error.into(),
            },
            CaKey::File(_) => error.into(),
        }
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            CaKey::File(key) => key.der_bytes(),
            CaKey::Token(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            CaKey::File(key) => key.algorithm(),
            CaKey::Token(key) => key.algorithm(),
        }
    }
}

impl SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            CaKey::File(key) => key.sign(message),
            CaKey::Token(key) => key.sign(message),
        }
    }
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaKey(…)")
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayKey(…)")
    }
}
