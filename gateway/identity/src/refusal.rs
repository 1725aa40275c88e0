//! [`Refusal`]: why a certificate is refused, with a text for operators.
//!
//! The peer learns less than the log: it gets a TLS alert, and the same one for an unknown
//! organization and for a wrong CA, so that a scanner does not learn members' names.
//! [`said_by_peer`] converts a peer's alert into a text for our operator.

use std::time::Duration;

use ringway_config::{Digest, GatewayId, OrgId};
use rustls::{AlertDescription, CertificateError};

use super::certificate::Malformed;
use super::crl::CrlNumber;

/// Why a chain is refused. Texts follow "peer refused: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No certificate, or a chain larger than any gateway needs.
    #[error(
        "chain of {count} certificates and {bytes} bytes is not within 1 to {} and {} bytes",
        super::verify::MAX_CERTIFICATES,
        super::verify::MAX_BYTES
    )]
    Size {
        /// Certificates in the chain.
        count: usize,
        /// Their length together.
        bytes: usize,
    },
    /// It cannot be parsed as an X.509 version 3 certificate.
    #[error("certificate is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Not exactly one URI among the subject's alternative names.
    #[error("certificate has {0} URI names where exactly one SPIFFE id is required")]
    UriCount(usize),
    /// The URI is not, byte for byte, an identity of this consortium.
    #[error("\"{uri}\" is not spiffe://<org>.{domain}/gateway/<name>")]
    Uri {
        /// The URI, shortened and escaped.
        uri: String,
        /// The consortium's domain.
        domain: String,
    },
    /// The leaf has the CA flag.
    #[error("certificate is a CA certificate")]
    LeafIsCa,
    /// keyUsage is missing, lacks digitalSignature or allows signing certificates.
    #[error(
        "certificate lacks keyUsage digitalSignature, or its keyUsage allows more than a leaf's"
    )]
    KeyUsage,
    /// extendedKeyUsage is missing or lacks one of the two purposes.
    #[error("certificate lacks extendedKeyUsage serverAuth and clientAuth")]
    ExtendedKeyUsage,
    /// An issuing certificate in the chain is not allowed to issue.
    #[error("chain has an issuer that is no CA with keyUsage keyCertSign")]
    IssuerUsage,
    /// A certificate of the chain is not valid yet, by our clock.
    #[error("certificate is not valid before {} from now", span(.0))]
    NotYetValid(Duration),
    /// A certificate of the chain has expired, by our clock.
    #[error("certificate expired {} ago", span(.0))]
    Expired(Duration),
    /// No member record of this organization.
    #[error("organization {0} is not a member")]
    UnknownOrg(OrgId),
    /// None of the organization's CA certificates signed the chain.
    #[error("certificate does not chain to a CA of {org} ({detail})")]
    Issuer {
        /// The organization that the leaf names.
        org: OrgId,
        /// webpki's message.
        detail: String,
    },
    /// The CA certificate in the organization's record is not valid now, by our clock.
    #[error("CA certificate of {org} in its record {lapse}")]
    CaDates {
        /// The organization that the leaf names.
        org: OrgId,
        /// The end or the start of its validity.
        lapse: Lapse,
    },
    /// More intermediate CAs than the organization's CA certificate allows.
    #[error("chain has {found} intermediate CAs, and the CA of {org} allows {most}")]
    PathLength {
        /// The organization that the leaf names.
        org: OrgId,
        /// The pathLenConstraint.
        most: u32,
        /// Intermediate CAs in the path.
        found: usize,
    },
    /// The member record has no such gateway, or our file no such node.
    #[error("{}", unknown(.0))]
    UnknownGateway(GatewayId),
    /// The organization revoked the gateway's name.
    #[error("{} is revoked by its organization", .0)]
    RevokedGateway(GatewayId),
    /// The organization revoked a key of the chain.
    #[error("key {0} is revoked by its organization")]
    RevokedKey(Digest),
    /// A revocation list of the organization's CA names a certificate of the chain.
    #[error("a certificate of {id} is revoked by the revocation list {number} of {issuer}")]
    RevokedByList {
        /// The gateway that the leaf names.
        id: GatewayId,
        /// Subject of the CA.
        issuer: String,
        /// The number of its list.
        number: CrlNumber,
    },
    /// The revocation list of the organization's CA is overdue, by our clock.
    #[error("the revocation list {number} of {issuer} is overdue for {}", span(.late))]
    StaleList {
        /// Subject of the CA.
        issuer: String,
        /// The number of its list.
        number: CrlNumber,
        /// How long it is overdue.
        late: Duration,
    },
    /// The peer presents the identity of this gateway.
    #[error("peer presents our own identity {0}")]
    OwnIdentity(GatewayId),
    /// The peer is another gateway than the one dialled.
    #[error("dialled {dialled}, but {found} answered")]
    NotDialled {
        /// The gateway that was dialled.
        dialled: GatewayId,
        /// The gateway that answered.
        found: GatewayId,
    },
}

/// Why a CA certificate is not valid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lapse {
    /// It has expired.
    #[error("expired {} ago", span(.0))]
    Expired(Duration),
    /// It is not valid yet.
    #[error("is not valid before {} from now", span(.0))]
    NotYetValid(Duration),
}

/// The kind of a [`Refusal`]: a bounded label for metrics and wire codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the refusal of the same name")]
pub enum Code {
    Size,
    Malformed,
    UriCount,
    Uri,
    LeafIsCa,
    KeyUsage,
    ExtendedKeyUsage,
    IssuerUsage,
    NotYetValid,
    Expired,
    UnknownOrg,
    Issuer,
    CaDates,
    PathLength,
    UnknownGateway,
    RevokedGateway,
    RevokedKey,
    RevokedByList,
    StaleList,
    OwnIdentity,
    NotDialled,
}

impl Code {
    /// Every kind.
    pub const ALL: [Code; 21] = [
        Code::Size,
        Code::Malformed,
        Code::UriCount,
        Code::Uri,
        Code::LeafIsCa,
        Code::KeyUsage,
        Code::ExtendedKeyUsage,
        Code::IssuerUsage,
        Code::NotYetValid,
        Code::Expired,
        Code::UnknownOrg,
        Code::Issuer,
        Code::CaDates,
        Code::PathLength,
        Code::UnknownGateway,
        Code::RevokedGateway,
        Code::RevokedKey,
        Code::RevokedByList,
        Code::StaleList,
        Code::OwnIdentity,
        Code::NotDialled,
    ];
}

impl Code {
    /// A label for counts.
    pub fn name(self) -> &'static str {
        match self {
            Code::Size => "size",
            Code::Malformed => "malformed",
            Code::UriCount => "uri-count",
            Code::Uri => "uri",
            Code::LeafIsCa => "leaf-is-ca",
            Code::KeyUsage => "key-usage",
            Code::ExtendedKeyUsage => "extended-key-usage",
            Code::IssuerUsage => "issuer-usage",
            Code::NotYetValid => "not-yet-valid",
            Code::Expired => "expired",
            Code::UnknownOrg => "unknown-org",
            Code::Issuer => "issuer",
            Code::CaDates => "ca-dates",
            Code::PathLength => "path-length",
            Code::UnknownGateway => "unknown-gateway",
            Code::RevokedGateway => "revoked-gateway",
            Code::RevokedKey => "revoked-key",
            Code::RevokedByList => "revoked-by-list",
            Code::StaleList => "stale-list",
            Code::OwnIdentity => "own-identity",
            Code::NotDialled => "not-dialled",
        }
    }
}

impl Refusal {
    /// The kind of this refusal.
    pub fn code(&self) -> Code {
        match self {
            Refusal::Size { .. } => Code::Size,
            Refusal::Malformed(_) => Code::Malformed,
            Refusal::UriCount(_) => Code::UriCount,
            Refusal::Uri { .. } => Code::Uri,
            Refusal::LeafIsCa => Code::LeafIsCa,
            Refusal::KeyUsage => Code::KeyUsage,
            Refusal::ExtendedKeyUsage => Code::ExtendedKeyUsage,
            Refusal::IssuerUsage => Code::IssuerUsage,
            Refusal::NotYetValid(_) => Code::NotYetValid,
            Refusal::Expired(_) => Code::Expired,
            Refusal::UnknownOrg(_) => Code::UnknownOrg,
            Refusal::Issuer { .. } => Code::Issuer,
            Refusal::CaDates { .. } => Code::CaDates,
            Refusal::PathLength { .. } => Code::PathLength,
            Refusal::UnknownGateway(_) => Code::UnknownGateway,
            Refusal::RevokedGateway(_) => Code::RevokedGateway,
            Refusal::RevokedKey(_) => Code::RevokedKey,
            Refusal::RevokedByList { .. } => Code::RevokedByList,
            Refusal::StaleList { .. } => Code::StaleList,
            Refusal::OwnIdentity(_) => Code::OwnIdentity,
            Refusal::NotDialled { .. } => Code::NotDialled,
        }
    }

    /// The error that makes rustls send the right TLS alert (RFC 8446, section 6.2).
    pub fn certificate_error(&self) -> CertificateError {
        match self.code() {
            Code::Size | Code::Malformed | Code::UriCount | Code::Uri => {
                CertificateError::BadEncoding
            }
            Code::LeafIsCa | Code::KeyUsage | Code::ExtendedKeyUsage | Code::IssuerUsage => {
                CertificateError::InvalidPurpose
            }
            Code::NotYetValid => CertificateError::NotValidYet,
            Code::Expired => CertificateError::Expired,
            // The same alert for all three, so that a stranger cannot find out which organizations
            // are members.
            Code::UnknownOrg | Code::Issuer | Code::PathLength => CertificateError::UnknownIssuer,
            // Only a chain signed by the CA gets this far.
            Code::CaDates | Code::StaleList => CertificateError::Expired,
            Code::RevokedGateway | Code::RevokedKey | Code::RevokedByList => {
                CertificateError::Revoked
            }
            // rustls sends access_denied: the certificate is valid but not accepted.
            Code::UnknownGateway | Code::OwnIdentity | Code::NotDialled => {
                CertificateError::ApplicationVerificationFailure
            }
        }
    }
}

/// The meaning of a TLS alert with which a peer ended our handshake, for `last_error`.
pub fn said_by_peer(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::BadCertificate => {
            "peer cannot read our certificate, or it names no gateway"
        }
        AlertDescription::UnsupportedCertificate => {
            "peer finds our certificate unfit: CA flag or key usages"
        }
        AlertDescription::CertificateRevoked => {
            "peer's record of our org revokes this gateway or its key"
        }
        // RFC 8446 has no alert for a certificate that is not valid yet: rustls sends this one.
        AlertDescription::CertificateExpired => {
            "our certificate is expired or not yet valid by the peer's clock"
        }
        AlertDescription::UnknownCA => "peer does not know our org, or its record has another CA",
        AlertDescription::AccessDenied => {
            "peer does not know us: its record of our org has no such gateway, or its file no such \
             [[node]]"
        }
        AlertDescription::CertificateRequired => "peer received no certificate from us",
        AlertDescription::NoApplicationProtocol => "peer speaks no protocol version of ours",
        AlertDescription::HandshakeFailure => "peer shares no key exchange or cipher with us",
        AlertDescription::ProtocolVersion => "peer does not speak TLS 1.3",
        AlertDescription::DecryptError => "peer could not verify our signature",
        _ => "peer broke off the TLS handshake",
    }
}

fn unknown(id: &GatewayId) -> String {
    match id.name.node() {
        Some(node) => format!("there is no [[node]] {node} here"),
        None => format!("the record of {} has no gateway {}", id.org, id.name),
    }
}

/// A duration in its largest fitting unit, rounded down: `3 days`, `1 hour`.
fn span(length: &Duration) -> String {
    let seconds = length.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };

    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_long_ago_a_certificate_expired() {
        let text = |seconds| Refusal::Expired(Duration::from_secs(seconds)).to_string();
        assert_eq!(text(1), "certificate expired 1 second ago");
        assert_eq!(text(3 * 86_400 + 5), "certificate expired 3 days ago");
        assert_eq!(text(7_199), "certificate expired 1 hour ago");
    }

    #[test]
    fn a_scanner_cannot_tell_an_unknown_org_from_a_wrong_ca() {
        let org: OrgId = "acme".parse().unwrap();
        let wrong = Refusal::Issuer {
            org: org.clone(),
            detail: "x".into(),
        };
        assert_eq!(
            Refusal::UnknownOrg(org).certificate_error(),
            wrong.certificate_error()
        );
    }

    #[test]
    fn every_alert_we_send_has_words_on_the_other_side() {
        let expired = Refusal::Expired(Duration::ZERO);
        let alert = AlertDescription::from(expired.certificate_error());
        assert_eq!(
            said_by_peer(alert),
            "our certificate is expired or not yet valid by the peer's clock"
        );
    }
}
