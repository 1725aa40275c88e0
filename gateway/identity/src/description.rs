//! [`Description`]: the contents of a certificate or request, for operators. They are untrusted, so
//! every text is escaped and every list is limited.

use std::time::Duration;

use ringway_config::{Digest, Escaped};
use rustls_pki_types::UnixTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use super::certificate::Malformed;
use super::shown::shown;

/// Maximum number of alternative names shown.
const MOST_NAMES: usize = 20;

/// One certificate or request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Subject.
    pub subject: String,
    /// Issuer; `None` for a request.
    pub issuer: Option<String>,
    /// Serial number, hexadecimal; `None` for a request.
    pub serial: Option<String>,
    /// Validity period; `None` for a request.
    pub validity: Option<(UnixTime, UnixTime)>,
    /// Subject alternative names, each with its kind: `URI:spiffe://…`.
    pub names: Vec<String>,
    /// It is a CA certificate, or a request for one.
    pub is_ca: bool,
    /// SHA-256 of the SubjectPublicKeyInfo, by which revocations name keys.
    pub key: Digest,
    /// SHA-256 of the whole.
    pub fingerprint: Digest,
}

impl Description {
    /// Describes a DER certificate.
    pub fn of_certificate(der: &[u8]) -> Result<Description, Malformed> {
        let (_, x509) = X509Certificate::from_der(der).map_err(unreadable)?;
        let validity = x509.validity();
        let mut description = Description {
            subject: name(x509.subject()),
            issuer: Some(name(x509.issuer())),
            serial: Some(shown(&x509.raw_serial_as_string())),
            validity: Some((
                seconds(validity.not_before.timestamp()),
                seconds(validity.not_after.timestamp()),
            )),
            names: Vec::new(),
            is_ca: false,
            key: Digest::of(x509.public_key().raw),
            fingerprint: Digest::of(der),
        };

        for extension in x509.extensions() {
            description.add(extension.parsed_extension());
        }
        Ok(description)
    }

    /// Describes a DER request (PKCS#10).
    pub fn of_request(der: &[u8]) -> Result<Description, Malformed> {
        let (_, request) = X509CertificationRequest::from_der(der).map_err(unreadable)?;
        let info = &request.certification_request_info;
        let mut description = Description {
            subject: name(&info.subject),
            issuer: None,
            serial: None,
            validity: None,
            names: Vec::new(),
            is_ca: false,
            key: Digest::of(info.subject_pki.raw),
            fingerprint: Digest::of(der),
        };

        for extension in request.requested_extensions().into_iter().flatten() {
            description.add(extension);
        }
        Ok(description)
    }

    fn add(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                let shown = names.general_names.iter().map(general_name);
                self.names.extend(shown.take(MOST_NAMES));
                if names.general_names.len() > MOST_NAMES {
                    self.names.push("…".into());
                }
            }
            ParsedExtension::BasicConstraints(constraints) => self.is_ca |= constraints.ca,
            _ => {}
        }
    }
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::URI(uri) => format!("URI:{}", shown(uri)),
        GeneralName::DNSName(name) => format!("DNS:{}", shown(name)),
        GeneralName::RFC822Name(name) => format!("email:{}", shown(name)),
        other => shown(&other.to_string()),
    }
}

fn name(name: &X509Name<'_>) -> String {
    shown(&name.to_string())
}

fn seconds(since_1970: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(since_1970.try_into().unwrap_or(0)))
}

fn unreadable(error: impl ToString) -> Malformed {
    Malformed::Unreadable(Escaped(&error.to_string()).to_string())
}
