//! `judge`: whether peers can verify signatures of a public key. webpki reports only that they
//! cannot.

use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Sizes of RSA keys that peers accept, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why peers refuse signatures of a key. Texts follow "for".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// The size of the RSA key is not accepted.
    #[error(
        "an RSA key of {bits} bits, and gateways accept {} to {}",
        RSA_BITS.start(),
        RSA_BITS.end()
    )]
    RsaBits {
        /// Its bits.
        bits: usize,
    },
    /// The algorithm is not accepted.
    #[error("a key that gateways do not accept: they take ECDSA P-256 and P-384, Ed25519 and RSA")]
    Algorithm,
}

/// Judges a SubjectPublicKeyInfo (DER).
pub(crate) fn judge(key: &[u8]) -> Result<(), Weakness> {
    let (_, info) = SubjectPublicKeyInfo::from_der(key).map_err(|_| Weakness::Algorithm)?;
    if let Ok(PublicKey::RSA(rsa)) = info.parsed()
        && !RSA_BITS.contains(&rsa.key_size())
    {
        let bits = rsa.key_size();
        return Err(Weakness::RsaBits { bits });
    }

    let algorithm = algorithm(key).unwrap_or_default();
    let provider = super::tls::provider();
    let mut known = provider.signature_verification_algorithms.all.iter();
    if known.any(|known| known.public_key_alg_id().as_ref() == algorithm) {
        Ok(())
    } else {
        Err(Weakness::Algorithm)
    }
}

/// The contents of the AlgorithmIdentifier (RFC 5280, section 4.1), after the tag and length of the
/// first element. These take two octets, since no accepted algorithm needs more.
fn algorithm(key: &[u8]) -> Option<&[u8]> {
    let first = *key.get(1)?;
    let header = 2 + usize::from(first.saturating_sub(0x80));
    let inner = key.get(header..)?;
    let length = usize::from(*inner.get(1)?);

    inner.get(2..2 + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PublicKeyData as _;

    #[test]
    fn keys_that_rustls_verifies_pass_and_others_do_not() {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            assert_eq!(judge(&key.subject_public_key_info()), Ok(()));
        }

        let key = rcgen::KeyPair::generate().unwrap();
        let mut info = key.subject_public_key_info();
        // Another OID of the same length.
        info[10] ^= 1;
        assert_eq!(judge(&info), Err(Weakness::Algorithm));
        assert_eq!(judge(&[]), Err(Weakness::Algorithm));
    }
}
