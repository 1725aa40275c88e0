//! [`Crl`]: a certificate revocation list (RFC 5280, section 5) of an organization's CA.
//!
//! The file is beside the record, `beta.crl` beside `beta.member.toml`, as PEM or DER; a PEM file
//! may contain lists of several CAs. Only a CA certificate of that record can sign one. webpki
//! parses a list and looks certificates up in it; fields for people and for the order of lists are
//! read with x509-parser.

mod file;

use std::fmt;
use std::sync::Arc;

use ringway_config::{Digest, Place};
use rustls_pki_types::UnixTime;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{serial, unix};
use super::shown::shown;
use super::trust::TrustedRoot;
use super::verify::signature_algorithms;
use super::whole::{Short, whole};

pub use file::path_beside;
pub(super) use file::{read, read_valid};

/// Octets of a CRL number (RFC 5280, section 5.2.3).
const NUMBER_OCTETS: usize = 20;

/// issuingDistributionPoint (RFC 5280, section 5.2.5).
const DISTRIBUTION_POINT: &str = "2.5.29.28";

/// One list, signed by a CA certificate of the organization's record.
#[derive(Debug, Clone)]
pub struct Crl {
    /// Subject of the CA, escaped.
    pub issuer: String,
    /// SHA-256 of the CA's SubjectPublicKeyInfo.
    pub issuer_key: Digest,
    /// Increases with each list of the CA.
    pub number: CrlNumber,
    /// When it was issued.
    pub this_update: UnixTime,
    /// When the next one is due.
    pub next_update: UnixTime,
    /// The serial numbers of the certificates that it revokes, in hexadecimal.
    pub revoked: Vec<String>,
    /// SHA-256 of the list.
    pub digest: Digest,
    /// The file.
    pub place: Place,
    pub(super) list: Arc<CertRevocationList<'static>>,
}

/// The number of a list. Of two lists of one CA, the one with the higher number is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrlNumber(pub [u8; NUMBER_OCTETS]);

/// Why a list is not used. Texts follow the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// It cannot be parsed.
    #[error("is no certificate revocation list ({0}); openssl ca -gencrl writes one, PEM or DER")]
    Unreadable(String),
    /// Its end is missing.
    #[error("holds a part of a list: {0}; take the whole list again from the organization")]
    Short(#[from] Short),
    /// Number of bytes after the list.
    #[error("has {0} bytes after the certificate revocation list; remove them")]
    TrailingBytes(usize),
    /// The number is missing, by which lists are ordered.
    #[error("has no CRL number of at most 20 octets; set crlnumber in the CA's openssl.cnf")]
    Number,
    /// Without nextUpdate, it would be valid for ever.
    #[error("does not say when the next list is due; make it with -crldays")]
    NextUpdate,
    /// It covers only some certificates.
    #[error("speaks of a part of the certificates only; take the CA's full list")]
    Partial,
    /// It is not signed by a CA of the organization.
    #[error("is by {issuer}, which is no CA of {org}'s record")]
    Issuer {
        /// Its issuer, escaped.
        issuer: String,
        /// The organization.
        org: String,
    },
    /// The signature is not that of the CA it names.
    #[error("is not signed by {0}; take the list again from the organization")]
    Signature(String),
    /// RFC 5280, section 4.2.1.3: cRLSign.
    #[error("{0} may not sign revocation lists; its CA certificate needs keyUsage cRLSign")]
    NotCrlSigner(String),
}

impl Crl {
    /// Reads one DER list of a CA of `org`, whose CA certificates are `roots`.
    pub(super) fn read(
        der: &[u8],
        org: &str,
        roots: &[TrustedRoot],
        place: Place,
    ) -> Result<Crl, CrlError> {
        whole(der)?;
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|error| CrlError::Unreadable(error.to_string()))?;
        let (rest, x509) = CertificateRevocationList::from_der(der)
            .map_err(|error| CrlError::Unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CrlError::TrailingBytes(rest.len()));
        }

        // webpki treats such a list as not covering certificates without the same extension.
        let mut extensions = x509.extensions().iter();
        if extensions.any(|extension| extension.oid.to_id_string() == DISTRIBUTION_POINT) {
            return Err(CrlError::Partial);
        }

        let list = CertRevocationList::from(list);
        let root = signer(&list, &x509, org, roots)?;
        let next_update = x509.next_update().ok_or(CrlError::NextUpdate)?;

        Ok(Crl {
            issuer: root.certificate.subject.clone(),
            issuer_key: root.certificate.key,
            number: CrlNumber::read(&x509).ok_or(CrlError::Number)?,
            this_update: unix(x509.last_update().timestamp()),
            next_update: unix(next_update.timestamp()),
            revoked: x509
                .iter_revoked_certificates()
                .map(|revoked| serial(revoked.raw_serial()))
                .collect(),
            digest: Digest::of(der),
            place,
            list: Arc::new(list),
        })
    }

    /// True if the next list is overdue.
    pub fn is_stale(&self, now: UnixTime) -> bool {
        self.next_update <= now
    }

    /// True if this list replaces `other`: it is by the same CA, and newer.
    pub fn replaces(&self, other: &Crl) -> bool {
        self.issuer_key == other.issuer_key && other.number < self.number
    }
}

/// The CA certificate that signed the list.
fn signer<'r>(
    list: &CertRevocationList<'_>,
    x509: &CertificateRevocationList<'_>,
    org: &str,
    roots: &'r [TrustedRoot],
) -> Result<&'r TrustedRoot, CrlError> {
    let named: Vec<&TrustedRoot> = roots
        .iter()
        .filter(|root| root.anchor.subject.as_ref() == list.issuer())
        .collect();
    let issuer = shown(&x509.issuer().to_string());
    if named.is_empty() {
        let org = org.to_owned();
        return Err(CrlError::Issuer { issuer, org });
    }

    // A CA with a new key may keep its name.
    let signer = named.into_iter().find(|root| has_signed(root, x509));
    let root = signer.ok_or_else(|| CrlError::Signature(issuer.clone()))?;

    // webpki's anchors do not check usages.
    let usages = root.certificate.key_usage;
    if !usages.is_some_and(|usages| usages.crl_sign) {
        return Err(CrlError::NotCrlSigner(issuer));
    }
    Ok(root)
}

fn has_signed(root: &TrustedRoot, x509: &CertificateRevocationList<'_>) -> bool {
    let message = x509.tbs_cert_list.as_ref();
    let signature = &x509.signature_value.data;

    // An algorithm for another kind of key refuses it. webpki also compares the algorithm's name
    // whenever it looks a certificate up.
    signature_algorithms().all.iter().any(|algorithm| {
        algorithm
            .verify_signature(&root.public_key, message, signature)
            .is_ok()
    })
}

impl CrlNumber {
    fn read(x509: &CertificateRevocationList<'_>) -> Option<CrlNumber> {
        let octets = x509.crl_number()?.to_bytes_be();
        let start = NUMBER_OCTETS.checked_sub(octets.len())?;
        let mut number = [0; NUMBER_OCTETS];
        number[start..].copy_from_slice(&octets);

        Some(CrlNumber(number))
    }

    /// Parses the output of [`Display`](fmt::Display).
    pub fn parse(text: &str) -> Option<CrlNumber> {
        if text.is_empty() || text.len() > 2 * NUMBER_OCTETS {
            return None;
        }
        // `from_str_radix` would accept a sign.
        if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }

        let padded = format!("{text:0>width$}", width = 2 * NUMBER_OCTETS);
        let mut number = [0; NUMBER_OCTETS];
        for (at, octet) in number.iter_mut().enumerate() {
            *octet = u8::from_str_radix(&padded[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(CrlNumber(number))
    }
}

/// In hexadecimal, as openssl prints it.
impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets: String = self.0.iter().map(|octet| format!("{octet:02X}")).collect();
        let digits = octets.trim_start_matches('0');
        // Whole octets.
        let digits = if digits.len() % 2 == 1 || digits.is_empty() {
            format!("0{digits}")
        } else {
            digits.to_owned()
        };
        f.write_str(if digits == "0" { "00" } else { &digits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_openssl_does_and_reads_back() {
        for (last, text) in [
            (&[0][..], "00"),
            (&[1], "01"),
            (&[0x10, 0], "1000"),
            (&[0xab], "AB"),
        ] {
            let mut octets = [0; NUMBER_OCTETS];
            octets[NUMBER_OCTETS - last.len()..].copy_from_slice(last);
            let number = CrlNumber(octets);
            assert_eq!(number.to_string(), text);
            assert_eq!(CrlNumber::parse(text), Some(number));
        }
        for text in ["", "+1", "0x1", "1 ", &"1".repeat(41)] {
            assert_eq!(CrlNumber::parse(text), None, "{text}");
        }
    }
}
