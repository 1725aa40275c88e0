//! The identity table: all known ways to forge an identity, and the result of each.
//!
//! A row is an attempt: what the peer presents, in which roles of TLS, the exact words in which it
//! is refused, and which check has to be taken away for it to get in. `None` there: without that
//! rule there would be no identity to accept, so that the control is the good certificate, which
//! differs in that respect only.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
use time::{Duration, OffsetDateTime};

use super::openssl;
use super::world::{
    Ca, DOMAIN, Presented, REVOKED_SERIAL, World, ballast, ca_params, good, named, private,
    second_names, uri,
};

/// The peer's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    Client,
    Server,
}

/// The peer may try it either way.
const EITHER: &[As] = &[As::Client, As::Server];
/// Only a gateway that was dialled can be another than the one dialled.
const SERVER: &[As] = &[As::Server];

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) roles: &'static [As],
    /// Whom we dial when the peer is the server.
    pub(crate) dialled: &'static str,
    pub(crate) forge: fn(&World) -> Presented,
    /// What the log says; `…` stands for anything.
    pub(crate) refusal: &'static str,
    /// The code (`identity::Code`) of the check that stands in its way.
    pub(crate) check: Option<&'static str>,
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = impostors();
    rows.extend(name_counts());
    rows.extend(name_spellings());
    rows.extend(usages());
    rows.extend(purposes());
    rows.extend(issuers());
    rows.extend(dates());
    rows.extend(members());
    rows.extend(shapes());
    rows
}

/// What must be accepted, or the table would prove nothing.
pub(crate) fn accepted() -> Vec<Row> {
    let yes = |name, forge| row(name, None, "", forge);
    vec![
        yes("a gateway of its record, signed by its own CA", |w| {
            w.beta.issue(&good("beta", "gw"))
        }),
        yes("the same through an intermediate CA", |w| {
            let intermediate = ca_params("beta issuing", -Duration::hours(1), Duration::days(5));
            w.beta.issue_through(intermediate, &good("beta", "gw"))
        }),
        yes("the same with a DNS name beside its URI", |w| {
            w.beta.issue(&with(good("beta", "gw"), |p| {
                p.subject_alt_names.push(dns("gw.example.org"))
            }))
        }),
        yes("the same made with openssl", openssl::good),
    ]
}

fn row(
    name: &'static str,
    check: Option<&'static str>,
    refusal: &'static str,
    forge: fn(&World) -> Presented,
) -> Row {
    Row {
        name,
        roles: EITHER,
        dialled: "gw.beta",
        forge,
        refusal,
        check,
    }
}

impl Row {
    fn dialled(self, dialled: &'static str) -> Row {
        Row { dialled, ..self }
    }
}

/// Good certificates from somebody who has no say.
fn impostors() -> Vec<Row> {
    vec![
        row(
            "another member's CA names the peer",
            Some("Issuer"),
            "certificate does not chain to a CA of beta (…)",
            |w| w.gamma.issue(&good("beta", "gw")),
        ),
        row(
            "another member's CA names a gateway of ours",
            Some("Issuer"),
            "certificate does not chain to a CA of alpha (…)",
            |w| w.gamma.issue(&good("alpha", "gw2")),
        )
        .dialled("gw2.alpha"),
        row(
            "our own CA names the peer",
            Some("Issuer"),
            "certificate does not chain to a CA of beta (…)",
            |w| w.alpha.issue(&good("beta", "gw")),
        ),
        row(
            "another member's CA is sent along in the chain",
            Some("Issuer"),
            "certificate does not chain to a CA of beta (…)",
            |w| {
                let mut presented = w.gamma.issue(&good("beta", "gw"));
                presented.chain.push(w.gamma.certificate.der().clone());
                presented
            },
        ),
        row(
            "a CA with the right name and another key",
            Some("Issuer"),
            "certificate does not chain to a CA of beta (…)",
            |_| Ca::new("beta").issue(&good("beta", "gw")),
        ),
        row(
            "self-signed",
            Some("Issuer"),
            "certificate does not chain to a CA of beta (…)",
            |_| {
                let key = KeyPair::generate().unwrap();
                let certificate = good("beta", "gw").self_signed(&key).unwrap();
                Presented {
                    chain: vec![certificate.into()],
                    key: private(&key),
                }
            },
        ),
        row(
            "a CA certificate that has expired",
            Some("CaDates"),
            "CA certificate of delta in its record expired 30 days ago",
            |w| w.delta.issue(&good("delta", "gw")),
        )
        .dialled("gw.delta"),
        row(
            "an organization that is no member",
            None,
            "organization omega is not a member",
            |w| w.omega.issue(&good("omega", "gw")),
        )
        .dialled("gw.omega"),
    ]
}

/// There is exactly one SPIFFE id.
fn name_counts() -> Vec<Row> {
    vec![
        row(
            "no URI name",
            None,
            "certificate has 0 URI names where exactly one SPIFFE id is required",
            |w| {
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.subject_alt_names = vec![dns("gw.beta.example")]
                }))
            },
        ),
        row(
            "two URI names",
            Some("UriCount"),
            "certificate has 2 URI names where exactly one SPIFFE id is required",
            |w| {
                let second = uri(&format!("spiffe://gamma.{DOMAIN}/gateway/gw"));
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.subject_alt_names.push(second.clone())
                }))
            },
        ),
        row(
            "two URI names, made with openssl",
            Some("UriCount"),
            "certificate has 2 URI names where exactly one SPIFFE id is required",
            openssl::two_names,
        ),
    ]
}

/// SPIFFE ids compare byte for byte.
fn name_spellings() -> Vec<Row> {
    vec![
        row(
            "an uppercase organization",
            None,
            "\"spiffe://BETA.consortium.example/gateway/gw\" is not \
             spiffe://<org>.consortium.example/gateway/<name>",
            |w| {
                w.beta
                    .issue(&named("spiffe://BETA.consortium.example/gateway/gw"))
            },
        ),
        row(
            "a percent-encoded gateway",
            None,
            "\"spiffe://beta.consortium.example/gateway/%67w\" is not …",
            |w| {
                w.beta
                    .issue(&named("spiffe://beta.consortium.example/gateway/%67w"))
            },
        ),
        row(
            "a port",
            None,
            "\"spiffe://beta.consortium.example:443/gateway/gw\" is not …",
            |w| {
                w.beta
                    .issue(&named("spiffe://beta.consortium.example:443/gateway/gw"))
            },
        ),
        row(
            "a query",
            None,
            "\"spiffe://beta.consortium.example/gateway/gw?a\" is not …",
            |w| {
                w.beta
                    .issue(&named("spiffe://beta.consortium.example/gateway/gw?a"))
            },
        ),
        row(
            "another scheme",
            None,
            "\"https://beta.consortium.example/gateway/gw\" is not …",
            |w| {
                w.beta
                    .issue(&named("https://beta.consortium.example/gateway/gw"))
            },
        ),
        row(
            "another consortium",
            None,
            "\"spiffe://beta.other.example/gateway/gw\" is not …",
            |w| {
                w.beta
                    .issue(&named("spiffe://beta.other.example/gateway/gw"))
            },
        ),
    ]
}

/// Certificates whose keys are for something else.
fn usages() -> Vec<Row> {
    const KEY_USAGE: &str =
        "certificate lacks keyUsage digitalSignature, or its keyUsage allows more than a leaf's";

    vec![
        row(
            "a leaf that is a CA",
            Some("LeafIsCa"),
            "certificate is a CA certificate",
            |w| {
                let ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                w.beta.issue(&with(good("beta", "gw"), |p| p.is_ca = ca))
            },
        ),
        row("no keyUsage", Some("KeyUsage"), KEY_USAGE, |w| {
            w.beta
                .issue(&with(good("beta", "gw"), |p| p.key_usages.clear()))
        }),
        row(
            "keyUsage without digitalSignature",
            Some("KeyUsage"),
            KEY_USAGE,
            |w| {
                let usages = vec![KeyUsagePurpose::KeyEncipherment];
                w.beta
                    .issue(&with(good("beta", "gw"), |p| p.key_usages = usages.clone()))
            },
        ),
        row(
            "keyUsage that signs certificates too",
            Some("KeyUsage"),
            KEY_USAGE,
            |w| {
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.key_usages.push(KeyUsagePurpose::KeyCertSign)
                }))
            },
        ),
    ]
}

/// Certificates that are not for both ends of TLS.
fn purposes() -> Vec<Row> {
    const PURPOSES: &str = "certificate lacks extendedKeyUsage serverAuth and clientAuth";

    vec![
        row(
            "no extendedKeyUsage",
            Some("ExtendedKeyUsage"),
            PURPOSES,
            |w| {
                w.beta
                    .issue(&with(good("beta", "gw"), |p| p.extended_key_usages.clear()))
            },
        ),
        row(
            "no extendedKeyUsage, made with openssl",
            Some("ExtendedKeyUsage"),
            PURPOSES,
            openssl::no_purpose,
        ),
        row(
            "extendedKeyUsage serverAuth only",
            Some("ExtendedKeyUsage"),
            PURPOSES,
            |w| {
                let purposes = vec![ExtendedKeyUsagePurpose::ServerAuth];
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.extended_key_usages = purposes.clone()
                }))
            },
        ),
        row(
            "extendedKeyUsage clientAuth only",
            Some("ExtendedKeyUsage"),
            PURPOSES,
            |w| {
                let purposes = vec![ExtendedKeyUsagePurpose::ClientAuth];
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.extended_key_usages = purposes.clone()
                }))
            },
        ),
    ]
}

/// Issuers that may not issue.
fn issuers() -> Vec<Row> {
    vec![
        row(
            "an intermediate CA below one that allows none",
            Some("PathLength"),
            "chain has 1 intermediate CAs, and the CA of gamma allows 0",
            |w| {
                let intermediate =
                    ca_params("gamma issuing", -Duration::hours(1), Duration::days(5));
                w.gamma.issue_through(intermediate, &good("gamma", "gw"))
            },
        )
        .dialled("gw.gamma"),
        row(
            "a gateway's certificate issues another",
            Some("IssuerUsage"),
            "chain has an issuer that is no CA with keyUsage keyCertSign",
            |w| {
                w.beta
                    .issue_through(good("beta", "gw2"), &good("beta", "gw"))
            },
        ),
        row(
            "an intermediate CA that may not sign certificates",
            Some("IssuerUsage"),
            "chain has an issuer that is no CA with keyUsage keyCertSign",
            |w| {
                let mut intermediate =
                    ca_params("beta issuing", -Duration::hours(1), Duration::days(5));
                intermediate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                w.beta.issue_through(intermediate, &good("beta", "gw"))
            },
        ),
    ]
}

fn dates() -> Vec<Row> {
    vec![
        row(
            "expired",
            Some("Expired"),
            "certificate expired 3 days ago",
            |w| {
                let expired = OffsetDateTime::now_utc() - Duration::days(3) - Duration::hours(1);
                let begun = expired - Duration::days(1);
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    (p.not_before, p.not_after) = (begun, expired)
                }))
            },
        ),
        row(
            "not yet valid",
            Some("NotYetValid"),
            "certificate is not valid before 2 hours from now",
            |w| {
                let begins = OffsetDateTime::now_utc() + Duration::hours(2) + Duration::minutes(30);
                w.beta
                    .issue(&with(good("beta", "gw"), |p| p.not_before = begins))
            },
        ),
        row(
            "an intermediate CA that has expired",
            Some("Expired"),
            "certificate expired 2 days ago",
            |w| {
                let until = -Duration::days(2) - Duration::hours(1);
                let intermediate = ca_params("beta issuing", -Duration::days(9), until);
                w.beta.issue_through(intermediate, &good("beta", "gw"))
            },
        ),
    ]
}

/// Good certificates of the wrong gateway.
fn members() -> Vec<Row> {
    let other = Row {
        name: "another gateway than the one dialled",
        roles: SERVER,
        dialled: "gw.beta",
        forge: |w| w.beta.issue(&good("beta", "gw2")),
        refusal: "dialled gw.beta, but gw2.beta answered",
        check: Some("NotDialled"),
    };
    vec![
        other,
        row(
            "a gateway that the record does not have",
            Some("UnknownGateway"),
            "the record of beta has no gateway stranger",
            |w| w.beta.issue(&good("beta", "stranger")),
        )
        .dialled("stranger.beta"),
        row(
            "a revoked gateway",
            Some("RevokedGateway"),
            "old.beta is revoked by its organization",
            |w| w.beta.issue(&good("beta", "old")),
        )
        .dialled("old.beta"),
        row(
            "a certificate on the revocation list of its CA",
            Some("RevokedByList"),
            "a certificate of gw.beta is revoked by the revocation list 07 of …",
            |w| {
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.serial_number = Some(REVOKED_SERIAL.into());
                }))
            },
        ),
        row(
            "an intermediate CA on the revocation list",
            Some("RevokedByList"),
            "a certificate of gw.beta is revoked by the revocation list 07 of …",
            |w| {
                let intermediate =
                    ca_params("beta issuing", -Duration::hours(1), Duration::days(5));
                let intermediate = with(intermediate, |p| {
                    p.serial_number = Some(REVOKED_SERIAL.into());
                });
                w.beta.issue_through(intermediate, &good("beta", "gw"))
            },
        ),
        row(
            "a member whose revocation list is overdue",
            Some("StaleList"),
            "the revocation list 03 of … is overdue for 2 days",
            |w| w.epsilon.issue(&good("epsilon", "gw")),
        )
        .dialled("gw.epsilon"),
        row(
            "a revoked key, certified again",
            Some("RevokedKey"),
            "key sha256:… is revoked by its organization",
            |w| {
                let key = KeyPair::from_pem(&w.revoked.serialize_pem()).unwrap();
                w.beta.issue_to(&good("beta", "gw"), key)
            },
        ),
        row(
            "our own identity",
            Some("OwnIdentity"),
            "peer presents our own identity gw.alpha",
            |w| w.alpha.issue(&good("alpha", "gw")),
        )
        .dialled("gw.alpha"),
    ]
}

/// What is hardly a certificate.
fn shapes() -> Vec<Row> {
    vec![
        row("garbage", None, "certificate is malformed: …", |w| {
            let mut presented = w.beta.issue(&good("beta", "gw"));
            presented.chain = vec![vec![0x30, 0x03, 1, 2, 3].into()];
            presented
        }),
        row(
            "bytes after the certificate",
            None,
            "certificate is malformed: 1 bytes follow it",
            |w| {
                let mut presented = w.beta.issue(&good("beta", "gw"));
                presented.chain[0] = [presented.chain[0].as_ref(), &[0]].concat().into();
                presented
            },
        ),
        row(
            "two subjectAltName extensions",
            None,
            "certificate is malformed: …",
            |w| {
                let second = second_names("spiffe://beta.consortium.example/gateway/gw");
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.custom_extensions.push(second.clone())
                }))
            },
        ),
        row(
            "X.509 version 1, made with openssl",
            None,
            "certificate is malformed: it is X.509 V1, not version 3",
            openssl::version_1,
        ),
        row(
            "five certificates",
            Some("Size"),
            "chain of 5 certificates and … bytes is not within 1 to 4 and 16384 bytes",
            |w| {
                let mut presented = w.beta.issue(&good("beta", "gw"));
                presented
                    .chain
                    .extend(vec![w.beta.certificate.der().clone(); 4]);
                presented
            },
        ),
        row(
            "a certificate of 17 kilobytes",
            Some("Size"),
            "chain of 1 certificates and … bytes is not within 1 to 4 and 16384 bytes",
            |w| {
                w.beta.issue(&with(good("beta", "gw"), |p| {
                    p.custom_extensions.push(ballast(17_000))
                }))
            },
        ),
    ]
}

fn with(
    mut params: CertificateParams,
    change: impl Fn(&mut CertificateParams),
) -> CertificateParams {
    change(&mut params);
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// True if `text` is `pattern`, where `…` stands for anything.
pub(crate) fn reads(text: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else {
        return text == pattern;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    (0..=text.len())
        .filter(|&i| text.is_char_boundary(i))
        .any(|i| reads(&text[i..], rest))
}
