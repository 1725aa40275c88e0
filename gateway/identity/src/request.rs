//! [`Request`]: a gateway's request for a certificate (PKCS#10, RFC 2986), as the CA's operator
//! receives it.
//!
//! It is hostile input: anyone may have written or changed it. Only two things are used: the public
//! key, for which the request must prove possession of the private key, and the gateway that it
//! names, which must be ours. Everything else in it is shown but not granted.

use rcgen::SubjectPublicKeyInfo;
use ringway_config::{Digest, GatewayId, ZoneName};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateSigningRequestDer, pem};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use super::certificate::Malformed;
use super::description::Description;
use super::strength::{Weakness, judge};
use super::whole::unread;

/// Maximum size of a request, in bytes of PEM.
pub const MOST_BYTES: usize = 16 * 1024;

/// A request with a valid proof of possession.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its contents, for display.
    pub description: Description,
    uris: Vec<String>,
    key: SubjectPublicKeyInfo,
}

/// Why a request is invalid.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Too many bytes.
    #[error("is larger than 16 KiB; a request has about 500 bytes")]
    Size,
    /// Not PEM.
    #[error("is no certificate request: it {}; ringway cert request makes one", unread(.0))]
    Pem(#[from] pem::Error),
    /// Not a request.
    #[error("is no certificate request ({0}); ringway cert request makes one")]
    Malformed(#[from] Malformed),
    /// Bytes follow it.
    #[error("has bytes after the request's end")]
    TrailingBytes,
    /// The signature does not fit the key.
    #[error("is not signed with the key that it is for; it was damaged or forged")]
    Signature,
    /// Peers would refuse such a key.
    #[error("is for {0}; make another key, best one of ECDSA P-256")]
    Key(#[from] Weakness),
}

/// Why a request is not for a gateway of the organization.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no URI, and the caller has named no gateway.
    #[error("names no gateway; say which one it is for with --gateway")]
    Missing,
    /// More than one URI.
    #[error("has {0} URI names; a gateway has exactly one")]
    Count(usize),
    /// The name is no gateway of the consortium.
    #[error("is for {0}, which is no gateway of {1}")]
    Foreign(String, ZoneName),
    /// It names another gateway than the caller.
    #[error("is for {0}, not for {1}")]
    Other(GatewayId, GatewayId),
}

impl Request {
    /// Reads a PEM file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Request, RequestError> {
        if bytes.len() > MOST_BYTES {
            return Err(RequestError::Size);
        }

        let der = CertificateSigningRequestDer::from_pem_slice(bytes)?;
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| Malformed::Unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(RequestError::TrailingBytes);
        }
        let description = Description::of_request(&der)?;
        let public = &request.certification_request_info.subject_pki;
        // First, because a signature with such a key always counts as invalid.
        judge(public.raw)?;
        // RFC 2986, section 3: the signature proves possession of the private key.
        if request.verify_signature().is_err() {
            return Err(RequestError::Signature);
        }

        let key = SubjectPublicKeyInfo::from_der(public.raw).map_err(|_| Weakness::Algorithm)?;
        Ok(Request {
            description,
            uris: uris(&request),
            key,
        })
    }

    /// The public key.
    pub fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        self.description.key
    }

    /// The gateway that the request names; if `meant` is given, they must be equal.
    pub fn gateway(
        &self,
        domain: &ZoneName,
        meant: Option<&GatewayId>,
    ) -> Result<GatewayId, NameError> {
        let [uri] = self.uris.as_slice() else {
            return match (self.uris.len(), meant) {
                (0, Some(meant)) => Ok(meant.clone()),
                (0, None) => Err(NameError::Missing),
                (count, _) => Err(NameError::Count(count)),
            };
        };

        let id = GatewayId::from_spiffe(uri, domain)
            .ok_or_else(|| NameError::Foreign(super::verify::shortened(uri), domain.clone()))?;
        match meant {
            Some(meant) if *meant != id => Err(NameError::Other(id, meant.clone())),
            _ => Ok(id),
        }
    }
}

fn uris(request: &X509CertificationRequest<'_>) -> Vec<String> {
    let mut uris = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else {
            continue;
        };
        for name in &names.general_names {
            if let GeneralName::URI(uri) = name {
                uris.push(String::from(*uri));
            }
        }
    }
    uris
}
