//! [`Identity`]: this gateway's certificate chain and key, loaded and checked.
//!
//! A chain that peers would refuse is refused here first, with the file at fault and the remedy.
//! Loading includes all checks: a reload loads again, and keeps the previous identity if that
//! fails. The key never leaves [`rustls::sign::CertifiedKey`].

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::getegid;
use ringway_config::disk::open_to_others_than;
use ringway_config::{Digest, Fault, Faults, GatewayId, Place, reading};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::certificate::Certificate;
use super::refusal::{Code, Refusal};
use super::strength::judge;
use super::trust::Trust;
use super::verify::Role;
use super::whole::unread;

/// A checked certificate chain and its key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    leaf: Certificate,
    not_after: UnixTime,
}

/// The used part of a certificate's lifetime, in the stages at which the operator is warned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Less than half.
    Young,
    /// Half.
    Half,
    /// Three quarters.
    ThreeQuarters,
    /// Seven eighths.
    SevenEighths,
    /// All of it.
    Expired,
}

impl Age {
    /// The age at `now` of a certificate with this validity period.
    fn of(not_before: UnixTime, not_after: UnixTime, now: UnixTime) -> Age {
        let start = not_before.as_secs();
        // At least 1, for the division: a certificate may expire in the second in which it begins.
        let lifetime = not_after.as_secs().saturating_sub(start).max(1);
        let passed = now.as_secs().saturating_sub(start);

        match passed.saturating_mul(8) / lifetime {
            0..4 => Age::Young,
            4 | 5 => Age::Half,
            6 => Age::ThreeQuarters,
            7 => Age::SevenEighths,
            _ => Age::Expired,
        }
    }

    /// Advice for the operator; `None` while the certificate is young.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Age::Young => None,
            Age::Half => Some("half of the certificate's lifetime is over: plan its rotation"),
            Age::ThreeQuarters => {
                Some("three quarters of the certificate's lifetime are over: rotate it")
            }
            Age::SevenEighths => {
                Some("seven eighths of the certificate's lifetime are over: rotate it now")
            }
            Age::Expired => Some("the certificate has expired"),
        }
    }
}

impl Identity {
    /// Loads the files in `paths` and checks them as a peer would: the key matches the certificate,
    /// the chain follows our rules, our organization's CA has issued it, and it names `id`.
    pub fn load(
        paths: &ringway_config::Identity,
        id: &GatewayId,
        trust: &Trust,
        now: UnixTime,
    ) -> Result<Identity, Faults> {
        // Read both files before judging them, so that one attempt reports every fault.
        let origin = origin(id);
        let chain = read_chain(&paths.certificate, origin);
        let (chain, key) = both(chain, read_key(&paths.key, origin))?;

        let checked = check(&paths.certificate, &chain, id, trust, now);
        let certified = pair(paths, chain, key);
        let (checked, certified) = both(checked, certified)?;

        Ok(Identity {
            certified: Arc::new(certified),
            leaf: checked.leaf,
            not_after: checked.not_after,
        })
    }

    /// The chain as it is sent, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// SHA-256 of the chain; changes with each rotation.
    pub fn fingerprint(&self) -> Digest {
        let chain: Vec<u8> = self
            .chain()
            .iter()
            .flat_map(|der| der.iter().copied())
            .collect();

        Digest::of(&chain)
    }

    /// Chain and key for TLS.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// The leaf's subject, for people.
    pub fn subject(&self) -> &str {
        &self.leaf.subject
    }

    /// SHA-256 of the leaf's SubjectPublicKeyInfo: revocations name keys by it.
    pub fn key(&self) -> Digest {
        self.leaf.key
    }

    /// The earliest end of validity in the chain, the CA included.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// The age at `now`.
    pub fn age(&self, now: UnixTime) -> Age {
        Age::of(self.leaf.not_before, self.not_after, now)
    }

    /// How long after `now` the chain is still valid; zero if it has expired.
    pub fn remaining(&self, now: UnixTime) -> Duration {
        Duration::from_secs(self.not_after.as_secs().saturating_sub(now.as_secs()))
    }
}

/// The validity period of the chain in `file`: from the latest start to the earliest end of its
/// certificates. `None` if it cannot be read.
pub fn validity(file: &Path) -> Option<(UnixTime, UnixTime)> {
    let chain = read_chain(file, "").ok()?;
    let certificates: Vec<Certificate> = chain
        .iter()
        .map(|der| Certificate::read(der))
        .collect::<Result<_, _>>()
        .ok()?;

    let begins = certificates.iter().map(|one| one.not_before.as_secs());
    let ends = certificates.iter().map(|one| one.not_after.as_secs());
    Some((at_second(begins.max()?), at_second(ends.min()?)))
}

fn at_second(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Both values, or all faults.
fn both<A, B>(one: Result<A, Fault>, other: Result<B, Fault>) -> Result<(A, B), Faults> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => {
            let faults = one.err().into_iter().chain(other.err());
            Err(Faults::from(faults.collect::<Vec<_>>()))
        }
    }
}

/// The command that makes certificate and key.
fn origin(id: &GatewayId) -> &'static str {
    if id.is_node() {
        "ringway attach init makes it, or a request that ringway cert sign answers"
    } else {
        // With org init, the organization would get another CA.
        "make it with ringway cert renew, or with ringway cert request if the CA is elsewhere"
    }
}

/// `origin` says where the file comes from.
fn read_chain(file: &Path, origin: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = reading::read(file).map_err(|error| {
        let remedy = format!("{origin}, or set [identity] certificate");
        unreadable(file, &error, &remedy)
    })?;

    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) if holds_key(&pem) => Err(fault(
            file,
            "is a private key, and no certificate; set [identity] certificate to the file of that",
        )),
        Ok(_) => Err(fault(
            file,
            "holds no certificate; it must be PEM, the gateway's certificate first",
        )),
        Err(error) => Err(fault(
            file,
            format!("{}; put the gateway's certificate first", unread(&error)),
        )),
    }
}

fn read_key(file: &Path, origin: &str) -> Result<PrivateKeyDer<'static>, Fault> {
    let remedy = format!("{origin}, or set [identity] key");
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, &error, &remedy))?;

    // As ssh does: other users may have copied a key that they can read. This process's group may
    // read it: where an orchestrator mounts the key, only this group has access.
    if let Some(mode) = open_to_others_than(getegid().as_raw(), &metadata) {
        // Others may read a certificate: it is the wrong file.
        if reading::read(file).is_ok_and(|pem| is_certificate(&pem)) {
            return Err(no_key(file));
        }
        let name = file.display();
        return Err(fault(
            file,
            format!("others may use the private key (mode {mode:04o}); chmod 600 {name}"),
        ));
    }

    let pem = reading::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            unreadable(file, &error, "chown it to the user that runs the gateway")
        }
        _ => unreadable(file, &error, &remedy),
    })?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match &error {
        pem::Error::NoItemsFound if is_certificate(&pem) => no_key(file),
        pem::Error::NoItemsFound => fault(file, "holds no private key; it must be unencrypted PEM"),
        error => fault(
            file,
            format!("{}; it must be an unencrypted private key", unread(error)),
        ),
    })
}

fn no_key(file: &Path) -> Fault {
    fault(
        file,
        "is a certificate, and no private key; set [identity] key to the file of that",
    )
}

fn is_certificate(pem: &[u8]) -> bool {
    CertificateDer::from_pem_slice(pem).is_ok() && !holds_key(pem)
}

fn holds_key(pem: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(pem).is_ok()
}

fn pair(
    paths: &ringway_config::Identity,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Fault> {
    // rustls reports only that it cannot read the key.
    if let Some(leaf) = chain.first().and_then(|der| Certificate::read(der).ok()) {
        judge(&leaf.public_key).map_err(|weakness| {
            let message = format!("is for {weakness}; ringway cert renew --new-key makes another");
            fault(&paths.certificate, message)
        })?;
    }

    let provider: Arc<CryptoProvider> = super::tls::provider();
    // rustls compares the public keys. A mismatched pair would fail with every peer.
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let certificate = paths.certificate.display();
            fault(
                &paths.key,
                format!("is not the key of {certificate}; put the pair's own key here"),
            )
        }
        error => fault(
            &paths.key,
            format!("cannot be used ({error}); make an ECDSA P-256 key, PKCS#8"),
        ),
    })
}

/// The result of [`check`] for a chain that peers accept.
struct Checked {
    leaf: Certificate,
    /// The earliest end of validity in the chain, the CA included.
    not_after: UnixTime,
}

/// Judges our chain as peers will, in both roles.
fn check(
    file: &Path,
    chain: &[CertificateDer<'static>],
    id: &GatewayId,
    trust: &Trust,
    now: UnixTime,
) -> Result<Checked, Fault> {
    // Each role requires another extended key usage. A chain that passes is not empty.
    let examined = trust
        .examine(chain, Role::Server, now)
        .and_then(|verified| trust.examine(chain, Role::Client, now).map(|_| verified))
        .and_then(|verified| Ok((verified, Certificate::read(&chain[0])?)));

    let (verified, leaf) = examined.map_err(|refusal| {
        let remedy = remedy(&refusal, id, trust);
        fault(file, format!("{refusal}; {remedy}"))
    })?;

    // Peers would take this chain for another gateway's, and refuse it when they dial us.
    if verified.id != *id {
        let found = verified.id;
        let kind = if id.is_node() { "node" } else { "gateway" };
        return Err(fault(
            file,
            format!("is the certificate of {found}; this {kind} is {id}"),
        ));
    }

    Ok(Checked {
        leaf,
        not_after: verified.not_after,
    })
}

/// How the operator can get a valid certificate.
fn remedy(refusal: &Refusal, id: &GatewayId, trust: &Trust) -> String {
    match refusal.code() {
        Code::Uri | Code::UriCount => {
            format!(
                "issue one whose only URI name is {}",
                id.spiffe(trust.domain())
            )
        }
        Code::LeafIsCa => "use a certificate that the CA issued to the gateway, CA:FALSE".into(),
        Code::KeyUsage => "issue one with keyUsage = critical, digitalSignature".into(),
        Code::ExtendedKeyUsage => "issue one with extendedKeyUsage = serverAuth, clientAuth".into(),
        Code::IssuerUsage => "issuing certificates need CA:TRUE and keyUsage keyCertSign".into(),
        Code::NotYetValid => "check this host's clock".into(),
        Code::Expired => "issue a new one with the organization's CA".into(),
        Code::UnknownOrg => format!("this gateway is {id}"),
        Code::CaDates => "renew the CA certificate, and check this host's clock".into(),
        Code::PathLength => "issue it with fewer intermediate CAs".into(),
        Code::Issuer => "the ca of our record must be the CA that issued it".into(),
        // The only node that is known to a node is itself.
        Code::UnknownGateway if id.is_node() => {
            format!("have the CA sign one for {id}, or correct node")
        }
        Code::UnknownGateway => format!("add it to our record, or issue one for {id}"),
        Code::RevokedGateway | Code::RevokedKey => {
            "take a new name or key, or correct [revoked]".into()
        }
        Code::RevokedByList => "issue a new one with the organization's CA".into(),
        Code::StaleList => "put our CA's newest revocation list beside our record".into(),
        Code::Size => "send the gateway's certificate and its intermediates only".into(),
        Code::Malformed | Code::OwnIdentity | Code::NotDialled => "issue a new one".into(),
    }
}

fn unreadable(file: &Path, error: &io::Error, remedy: &str) -> Fault {
    fault(file, format!("cannot be read ({error}); {remedy}"))
}

fn fault(file: &Path, message: impl Into<String>) -> Fault {
    Fault {
        place: Place::whole(file),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_at_a_half_three_quarters_and_seven_eighths_of_the_lifetime() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let age = |now| Age::of(at(1_000), at(1_800), at(now));
        assert_eq!([age(0), age(1_000), age(1_399)], [Age::Young; 3]);
        assert_eq!([age(1_400), age(1_599)], [Age::Half; 2]);
        assert_eq!([age(1_600), age(1_699)], [Age::ThreeQuarters; 2]);
        assert_eq!([age(1_700), age(1_799)], [Age::SevenEighths; 2]);
        assert_eq!([age(1_800), age(9_000)], [Age::Expired; 2]);
    }
}
