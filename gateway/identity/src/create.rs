//! Creates certificates: an organization's CA, and those it issues to gateways.
//!
//! Only the command line, the laboratory and tests create certificates; the daemon never does. The
//! CA key need not be on a gateway: it can stay elsewhere and sign a gateway's
//! [`request`](super::request), or stay in a [`token`](super::token). Certificates by other tools
//! that follow these rules are equally valid: the test suite makes some with openssl.
//!
//! | | CA | gateway |
//! |---|---|---|
//! | key | ECDSA P-256 | ECDSA P-256 |
//! | lifetime | 10 years | 1 year |
//! | basicConstraints | critical, CA, pathlen 0 | none |
//! | keyUsage | critical, keyCertSign, cRLSign | critical, digitalSignature |
//! | extendedKeyUsage | none | serverAuth, clientAuth |
//! | subjectAltName | none | the SPIFFE id as only URI |

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use ringway_config::{Digest, GatewayId, OrgId, ZoneName};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::certificate::{Certificate, Malformed};
use super::key::{CaKey, GatewayKey};
use super::strength::{Weakness, judge};
use super::token::{Token, TokenError};
use super::whole::unread;

/// Lifetime of a CA certificate.
const CA_LIFETIME: Duration = Duration::days(3652);
/// Lifetime of a gateway's certificate.
const GATEWAY_LIFETIME: Duration = Duration::days(365);
/// Validity begins a little in the past, because members' clocks differ.
const BACKDATED: Duration = Duration::minutes(5);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The CA certificate is not PEM.
    #[error("the CA certificate {}; take it again from the CA", unread(.0))]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// The CA certificate cannot be read.
    #[error("the CA certificate cannot be used: {0}")]
    Malformed(#[from] Malformed),
    /// Peers would refuse everything that it signs.
    #[error("the CA certificate is for {0}; make another CA, best with ECDSA P-256")]
    Key(#[from] Weakness),
    /// The certificate may not issue others.
    #[error(
        "the CA certificate cannot be used: \
         it needs basicConstraints CA:TRUE and keyUsage keyCertSign"
    )]
    Usages,
    /// The key is not the certificate's.
    #[error("the CA key is not the key of the CA certificate")]
    Mismatch,
    /// The CA certificate is no longer valid.
    #[error("the CA certificate expired on {}", .0.date())]
    Expired(OffsetDateTime),
    /// The token did not sign.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token signed with another key than the CA's.
    #[error("the key in the token is not the key of the CA certificate")]
    OtherToken,
    /// The key could not be read, or signing failed.
    #[error(transparent)]
    Rcgen(#[from] rcgen::Error),
}

/// An organization's CA: certificate and key.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    der: CertificateDer<'static>,
    not_after: OffsetDateTime,
    issuer: Issuer<'static, CaKey>,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS#8).
    pub key: String,
}

impl Authority {
    /// A new CA for `org`, valid from `now` on.
    pub fn create(org: &OrgId, now: OffsetDateTime) -> Result<Authority, CreateError> {
        let key = KeyPair::generate()?;
        let mut params = params(now, CA_LIFETIME, org, "Ringway CA");
        // RFC 5280, section 4.2.1.9: with path length 0 it issues to gateways, never to another CA.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];

        let certificate = params.self_signed(&key)?;

        Ok(Authority {
            certificate: certificate.pem(),
            der: certificate.der().clone(),
            not_after: params.not_after,
            issuer: Issuer::new(params, CaKey::File(Box::new(key))),
        })
    }

    /// An existing CA, from its PEM certificate and private key.
    pub fn read(certificate: &str, key: &str) -> Result<Authority, CreateError> {
        let (der, parsed) = read_certificate(certificate)?;
        // Check now: with another CA's key, issuing would succeed, but every peer would refuse the
        // result.
        let key = KeyPair::from_pem(key)?;
        if Digest::of(&key.subject_public_key_info()) != parsed.key {
            return Err(CreateError::Mismatch);
        }

        Authority::of(certificate, der, &parsed, CaKey::File(Box::new(key)))
    }

    /// An existing CA, from its PEM certificate; its key is in `token`.
    pub fn in_token(certificate: &str, token: Token) -> Result<Authority, CreateError> {
        let (der, parsed) = read_certificate(certificate)?;
        let public = SubjectPublicKeyInfo::from_der(&parsed.public_key)?;

        let key = CaKey::Token(Box::new(token.key(public)?));
        Authority::of(certificate, der, &parsed, key)
    }

    fn of(
        certificate: &str,
        der: CertificateDer<'static>,
        parsed: &Certificate,
        key: CaKey,
    ) -> Result<Authority, CreateError> {
        Ok(Authority {
            certificate: certificate.to_owned(),
            not_after: end_of(parsed),
            issuer: Issuer::from_ca_cert_der(&der, key)?,
            der,
        })
    }

    /// The CA certificate, PEM: public.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The CA certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The CA's private key, PEM: secret. `None` if it is in a token.
    pub fn key(&self) -> Option<String> {
        self.issuer.key().pem()
    }

    /// Issues a certificate with a new key to the gateway `id`. It ends no later than the CA's own.
    pub fn issue(
        &self,
        id: &GatewayId,
        domain: &ZoneName,
        now: OffsetDateTime,
    ) -> Result<Issued, CreateError> {
        let key = GatewayKey::generate()?;
        Ok(Issued {
            certificate: self.certify(id, domain, &key, now)?,
            key: key.pem(),
        })
    }

    /// Issues a certificate for the public key `key` to the gateway `id`, PEM. Only the key comes
    /// from the request: nothing else that it asks for is granted.
    pub fn certify(
        &self,
        id: &GatewayId,
        domain: &ZoneName,
        key: &impl PublicKeyData,
        now: OffsetDateTime,
    ) -> Result<String, CreateError> {
        if self.not_after <= now {
            return Err(CreateError::Expired(self.not_after));
        }

        let mut params = params(now, GATEWAY_LIFETIME, &id.org, id.name.as_str());
        // A chain is valid only as long as all of its certificates are.
        params.not_after = params.not_after.min(self.not_after);

        // SPIFFE X.509-SVID, section 2: exactly one URI.
        params.subject_alt_names = vec![SanType::URI(id.spiffe(domain).try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];

        // A gateway dials and accepts: it is client and server with one certificate.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];

        let signed = params
            .signed_by(key, &self.issuer)
            .map_err(|error| self.issuer.key().cause(error))?;
        // A token may hold another key than the certificate's, which would not be noticed
        // otherwise.
        if !super::certificate::is_signed_by(signed.der(), &self.der) {
            return Err(CreateError::OtherToken);
        }
        Ok(signed.pem())
    }
}

/// A certificate that may issue others.
fn read_certificate(
    certificate: &str,
) -> Result<(CertificateDer<'static>, Certificate), CreateError> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let parsed = Certificate::read(&der)?;
    if !parsed.is_ca || !parsed.key_usage.is_some_and(|uses| uses.cert_sign) {
        return Err(CreateError::Usages);
    }

    judge(&parsed.public_key)?;
    Ok((der, parsed))
}

/// The end of validity. X.509 ends with the year 9999, and so does `OffsetDateTime`.
fn end_of(certificate: &Certificate) -> OffsetDateTime {
    let seconds = i64::try_from(certificate.not_after.as_secs()).unwrap_or(i64::MAX);

    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(PrimitiveDateTime::MAX.assume_utc())
}

fn params(now: OffsetDateTime, lifetime: Duration, org: &OrgId, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    // rcgen's default is not empty: it has a common name.
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, org.as_str());
    params.distinguished_name.push(DnType::CommonName, name);

    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;

    // RFC 5280, section 4.2.1.1: required of every certificate that a CA issues.
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn issue(authority: &Authority, now: OffsetDateTime) -> Result<Certificate, CreateError> {
        let issued = authority.issue(
            &"gw.acme".parse().unwrap(),
            &"consortium.example".parse().unwrap(),
            now,
        )?;
        Ok(Certificate::read(
            &CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap(),
        )
        .unwrap())
    }

    #[test]
    fn a_certificate_ends_no_later_than_its_ca() {
        let made = Authority::create(&"acme".parse().unwrap(), MADE).unwrap();
        let authority = Authority::read(made.certificate(), &made.key().unwrap()).unwrap();
        let ends = |now| issue(&authority, now).unwrap().not_after.as_secs();
        let day = 86_400;
        assert_eq!(ends(MADE), 365 * day);
        assert_eq!(ends(MADE + Duration::days(3600)), 3652 * day);
        let late = issue(&authority, MADE + Duration::days(3652)).unwrap_err();
        assert_eq!(late.to_string(), "the CA certificate expired on 1980-01-01");
    }

    #[test]
    fn every_certificate_has_a_key_of_its_own() {
        let authority = Authority::create(&"acme".parse().unwrap(), MADE).unwrap();
        assert_ne!(
            issue(&authority, MADE).unwrap().key,
            issue(&authority, MADE).unwrap().key
        );
    }
}
