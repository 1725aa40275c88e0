//! [`Certificate`]: the contents of an X.509 certificate that decisions depend on.
//!
//! Reads DER (RFC 5280) with x509-parser and judges nothing: requirements are in
//! [`verify`](super::verify) for peers, [`trust`](super::trust) for CA certificates and
//! [`local`](super::local) for this gateway's certificate. webpki verifies signatures.

use ringway_config::Digest;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, KeyUsage};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

use super::shown::shown;
use super::whole::{Short, whole};

/// The contents of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Subject, as printable text: `CN=gw.acme`. Its issuer chose the characters, so it is kept
    /// escaped and short.
    pub subject: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Every URI among the subject's alternative names, in order, as the certificate has it.
    pub uris: Vec<String>,
    /// True if basicConstraints has the CA flag.
    pub is_ca: bool,
    /// Maximum number of CA certificates below it (pathLenConstraint); `None` if unlimited.
    pub path_length: Option<u32>,
    /// Permitted uses of its key; `None` without keyUsage.
    pub key_usage: Option<Uses>,
    /// True if extendedKeyUsage has both serverAuth and clientAuth.
    pub both_purposes: bool,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// SHA-256 of the SubjectPublicKeyInfo, by which revocations name keys.
    pub key: Digest,
    /// The SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// SHA-256 of the whole certificate: for people to compare.
    pub fingerprint: Digest,
}

/// The bits of keyUsage that decisions depend on (RFC 5280, section 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// digitalSignature.
    pub digital_signature: bool,
    /// keyCertSign.
    pub cert_sign: bool,
    /// cRLSign.
    pub crl_sign: bool,
}

/// Why bytes are not a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not DER, or not a certificate; the parser's message.
    #[error("{0}")]
    Unreadable(String),
    /// Its end is missing.
    #[error(transparent)]
    Short(#[from] Short),
    /// Number of bytes after the certificate.
    #[error("{0} bytes follow it")]
    TrailingBytes(usize),
    /// Not an X.509 version 3 certificate.
    #[error("it is X.509 {0}, not version 3")]
    Version(String),
}

impl Malformed {
    fn unreadable(error: impl ToString) -> Malformed {
        Malformed::Unreadable(error.to_string())
    }
}

impl Certificate {
    /// Reads one DER certificate.
    pub fn read(der: &[u8]) -> Result<Certificate, Malformed> {
        whole(der)?;
        let (rest, x509) = X509Certificate::from_der(der).map_err(Malformed::unreadable)?;
        // The fingerprint covers all of `der`: with trailing bytes, a certificate could have many
        // fingerprints.
        if !rest.is_empty() {
            return Err(Malformed::TrailingBytes(rest.len()));
        }

        // RFC 5280, section 4.1.2.9: only version 3 has extensions, which every rule here needs.
        if x509.version() != X509Version::V3 {
            return Err(Malformed::Version(x509.version().to_string()));
        }

        // Refuses a second extension of the same kind (RFC 5280, section 4.2).
        x509.extensions_map().map_err(Malformed::unreadable)?;

        Certificate::from_x509(&x509, Digest::of(der)).map_err(Malformed::unreadable)
    }

    fn from_x509(
        x509: &X509Certificate<'_>,
        fingerprint: Digest,
    ) -> Result<Certificate, x509_parser::error::X509Error> {
        let purposes = x509.extended_key_usage()?.map(|extension| extension.value);
        let constraints = x509.basic_constraints()?.map(|extension| extension.value);

        Ok(Certificate {
            subject: shown(&x509.subject().to_string()),
            serial: serial(x509.raw_serial()),
            uris: uris(x509)?,
            is_ca: constraints.is_some_and(|constraints| constraints.ca),
            path_length: constraints.and_then(|constraints| constraints.path_len_constraint),
            key_usage: x509
                .key_usage()?
                .map(|extension| Uses::from(extension.value)),
            // anyExtendedKeyUsage does not count: x509-parser has another flag for it.
            both_purposes: purposes
                .is_some_and(|purposes| purposes.server_auth && purposes.client_auth),
            not_before: unix(x509.validity().not_before.timestamp()),
            not_after: unix(x509.validity().not_after.timestamp()),
            // The original bytes, not encoded again, so that openssl computes the same digest.
            key: Digest::of(x509.public_key().raw),
            public_key: x509.public_key().raw.to_vec(),
            fingerprint,
        })
    }
}

impl From<&KeyUsage> for Uses {
    fn from(usage: &KeyUsage) -> Uses {
        Uses {
            digital_signature: usage.digital_signature(),
            cert_sign: usage.key_cert_sign(),
            crl_sign: usage.crl_sign(),
        }
    }
}

/// True if the key of the certificate `issuer` has signed the certificate `der`.
pub(super) fn is_signed_by(der: &[u8], issuer: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let Ok((_, issuer)) = X509Certificate::from_der(issuer) else {
        return false;
    };

    let key = Some(issuer.public_key());
    certificate.verify_signature(key).is_ok()
}

/// A serial number as `openssl x509 -serial` prints it.
pub(super) fn serial(octets: &[u8]) -> String {
    // DER inserts a zero before a leading bit that is set.
    let octets = match octets {
        [0, rest @ ..] if !rest.is_empty() => rest,
        octets => octets,
    };
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn uris(x509: &X509Certificate<'_>) -> Result<Vec<String>, x509_parser::error::X509Error> {
    let Some(names) = x509.subject_alternative_name()? else {
        return Ok(Vec::new());
    };

    // SPIFFE X.509-SVID, section 2: names of other kinds are allowed, and ignored here.
    let names = names.value.general_names.iter();
    let uris = names.filter_map(|name| match name {
        GeneralName::URI(uri) => Some(String::from(*uri)),
        _ => None,
    });

    Ok(uris.collect())
}

/// From seconds since 1970; earlier times count as 1970.
pub(super) fn unix(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        seconds.try_into().unwrap_or(0),
    ))
}

/// A day in UTC, for people: `2036-01-31`.
pub fn date(time: UnixTime) -> String {
    let mut text = rfc3339(time);
    text.truncate("2036-01-31".len());
    text
}

/// A moment in UTC, for machines (RFC 3339): `2036-01-31T12:00:00Z`.
pub fn rfc3339(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    // RFC 5280, section 4.1.2.5: years have four digits, so every time in a certificate fits.
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);

    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_and_days() {
        let time = unix(1_000_000_000);
        assert_eq!(rfc3339(time), "2001-09-09T01:46:40Z");
        assert_eq!(date(time), "2001-09-09");
    }

    #[test]
    fn a_subject_is_kept_printable() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let hostile = "\u{1b}[A\u{1b}[22G7ccb\r\n\u{202e}\u{9b}K";
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, hostile);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap();
        assert_eq!(
            Certificate::read(der.der()).unwrap().subject,
            r"CN=\u{1b}[A\u{1b}[22G7ccb\r\n\u{202e}\u{9b}K"
        );
    }

    #[test]
    fn a_long_subject_is_cut_and_a_part_of_a_certificate_is_called_one() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "x".repeat(40_000));
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap();
        let der = der.der();
        let subject = Certificate::read(der).unwrap().subject;
        assert!(subject.ends_with("xx…") && subject.len() < 210, "{subject}");

        let error = Certificate::read(&der[..1000]).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("it is cut short: 1000 of {} bytes are there", der.len())
        );
    }
}
