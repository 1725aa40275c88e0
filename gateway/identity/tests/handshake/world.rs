//! A small consortium with throwaway CAs, and certificates as good or as bad as a test wants them.
//!
//! | org | who |
//! |---|---|
//! | alpha | ours: `gw` is the gateway under attack |
//! | beta | an honest member: `gw`, `gw2`; `old`, a key and a serial are revoked |
//! | gamma | another member, whose CA tries to speak for the others; it allows no CA below it |
//! | delta | a member whose CA certificate has expired |
//! | epsilon | a member whose revocation list is overdue |
//! | omega | no member |
//!
//! rcgen makes the certificates, not the code under test.
//! Shared by the handshake tests and, through a `#[path]`, by the verifier's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, RevokedCertParams, SanType, SerialNumber,
};
use ringway_config::{Config, Digest, NewGateway, NewMember, gateway_text, member_text};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

/// The serial number that beta's revocation list names.
pub(crate) const REVOKED_SERIAL: u64 = 0x5eed;

pub(crate) const DOMAIN: &str = "consortium.example";

/// The organizations, their CAs and records, in a temporary directory that is removed with this
/// value.
pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) alpha: Ca,
    pub(crate) beta: Ca,
    pub(crate) gamma: Ca,
    pub(crate) delta: Ca,
    pub(crate) epsilon: Ca,
    pub(crate) omega: Ca,
    /// A key that beta revoked.
    pub(crate) revoked: KeyPair,
}

/// A CA that signs without any checks.
pub(crate) struct Ca {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

/// What somebody presents in a handshake.
pub(crate) struct Presented {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl World {
    pub(crate) fn new() -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("ringway-identity-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let long_ago = ca_params("delta", -Duration::days(400), -Duration::days(30));
        let mut shallow = ca_params("gamma", -Duration::hours(1), Duration::days(30));
        shallow.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        World {
            dir,
            alpha: Ca::new("alpha"),
            beta: Ca::new("beta"),
            gamma: Ca::with(shallow),
            delta: Ca::with(long_ago),
            epsilon: Ca::new("epsilon"),
            omega: Ca::new("omega"),
            revoked: KeyPair::generate().unwrap(),
        }
    }

    /// The gateway `gw.<org>`'s view: its files with a good certificate, and every record.
    pub(crate) fn config_of(&self, org: &str) -> Config {
        let dir = self.dir.join(org);
        fs::create_dir_all(dir.join("members")).unwrap();
        for member in ["alpha", "beta", "gamma", "delta", "epsilon"] {
            let place = if member == org {
                dir.clone()
            } else {
                dir.join("members")
            };
            fs::write(
                place.join(format!("{member}.member.toml")),
                self.record(member),
            )
            .unwrap();
        }
        self.write_lists(&dir.join("members"));
        let id = format!("gw.{org}").parse().unwrap();
        let listen = "127.0.0.1:4600".parse().unwrap();
        let site = "home".parse().unwrap();
        let gateway = NewGateway {
            id,
            site,
            prefixes: Vec::new(),
            listen,
            dns_listen: Vec::new(),
        };
        fs::write(dir.join("gateway.toml"), gateway_text(&gateway)).unwrap();
        let ca = if org == "alpha" {
            &self.alpha
        } else {
            &self.beta
        };
        self.write_identity(&dir, &good(org, "gw"), ca);
        Config::load(&dir.join("gateway.toml")).unwrap()
    }

    /// The revocation lists of beta and epsilon, beside their records.
    fn write_lists(&self, members: &Path) {
        if members.join("beta.member.toml").exists() {
            let list = self.beta.list(7, Duration::days(7), &[REVOKED_SERIAL]);
            fs::write(members.join("beta.crl"), list).unwrap();
        }
        let overdue = -Duration::days(2) - Duration::hours(1);
        let list = self.epsilon.list(3, overdue, &[]);
        fs::write(members.join("epsilon.crl"), list).unwrap();
    }

    fn write_identity(&self, dir: &Path, params: &CertificateParams, ca: &Ca) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca.issuer).unwrap();
        fs::write(dir.join("gateway.crt"), certificate.pem()).unwrap();
        fs::write(dir.join("gateway.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(dir.join("gateway.key"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn record(&self, org: &str) -> String {
        let (ca, names, range): (&Ca, &[&str], _) = match org {
            "alpha" => (&self.alpha, &["gw", "gw2"], "10.101.0.0/16"),
            "beta" => (&self.beta, &["gw", "gw2", "old"], "10.102.0.0/16"),
            "gamma" => (&self.gamma, &["gw"], "10.103.0.0/16"),
            "delta" => (&self.delta, &["gw"], "10.104.0.0/16"),
            _ => (&self.epsilon, &["gw"], "10.105.0.0/16"),
        };
        let gateways = names
            .iter()
            .map(|name| (name.parse().unwrap(), "home".parse().unwrap(), Vec::new()));
        let text = member_text(&NewMember {
            org: org.parse().unwrap(),
            domain: DOMAIN.parse().unwrap(),
            serial: 1,
            ca_pem: ca.certificate.pem(),
            sites: vec![("home".parse().unwrap(), vec![range.parse().unwrap()])],
            gateways: gateways.collect(),
        });
        if org != "beta" {
            return text;
        }
        let key = Digest::of(&self.revoked.subject_public_key_info());
        text.replace(
            "gateways = []\nkeys = []",
            &format!("gateways = [\"old\"]\nkeys = [\"{key}\"]"),
        )
    }
}

impl Drop for World {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.dir);
    }
}

impl Ca {
    pub(crate) fn new(org: &str) -> Ca {
        Ca::with(ca_params(org, -Duration::hours(1), Duration::days(30)))
    }

    pub(crate) fn with(params: CertificateParams) -> Ca {
        let key = KeyPair::generate().unwrap();
        Ca {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A revocation list, as PEM, with this number and until this time from now.
    pub(crate) fn list(&self, number: u64, until: Duration, serials: &[u64]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });

        CertificateRevocationListParams {
            this_update: now - Duration::days(9),
            next_update: now + until,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap()
        .pem()
        .unwrap()
    }

    /// A chain of one certificate, with a new key.
    pub(crate) fn issue(&self, params: &CertificateParams) -> Presented {
        self.issue_to(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_to(&self, params: &CertificateParams, key: KeyPair) -> Presented {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Presented {
            chain: vec![certificate.into()],
            key: private(&key),
        }
    }

    /// A chain through an issuing certificate with `intermediate`'s parameters.
    pub(crate) fn issue_through(
        &self,
        intermediate: CertificateParams,
        leaf: &CertificateParams,
    ) -> Presented {
        let key = KeyPair::generate().unwrap();
        let certificate = intermediate.signed_by(&key, &self.issuer).unwrap();
        let mut presented = Ca {
            certificate: certificate.clone(),
            issuer: Issuer::new(intermediate, key),
        }
        .issue(leaf);
        presented.chain.push(certificate.into());
        presented
    }
}

/// A CA certificate's parameters, valid from and until these times from now.
pub(crate) fn ca_params(org: &str, from: Duration, until: Duration) -> CertificateParams {
    let mut params = params(org, "test CA", from, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Parameters of a certificate that obeys every rule.
pub(crate) fn good(org: &str, gateway: &str) -> CertificateParams {
    named(&format!("spiffe://{org}.{DOMAIN}/gateway/{gateway}"))
}

/// The same with `uri` as its name.
pub(crate) fn named(uri: &str) -> CertificateParams {
    let mut params = params("test", "gateway", -Duration::hours(1), Duration::days(10));
    params.subject_alt_names = vec![self::uri(uri)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

pub(crate) fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

/// An extension that means nothing and weighs `bytes`.
pub(crate) fn ballast(bytes: usize) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5; bytes])
}

/// A second subjectAltName extension, with the same URI (RFC 5280, section 4.2, allows one).
pub(crate) fn second_names(uri: &str) -> CustomExtension {
    let length = |n: usize| u8::try_from(n).unwrap();
    let name = [&[0x86, length(uri.len())], uri.as_bytes()].concat();
    let names = [&[0x30, length(name.len())], name.as_slice()].concat();
    CustomExtension::from_oid_content(&[2, 5, 29, 17], names)
}

pub(crate) fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn params(org: &str, name: &str, from: Duration, until: Duration) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, org);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now + from;
    params.not_after = now + until;
    params.use_authority_key_identifier_extension = true;
    params
}
