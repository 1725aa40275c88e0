//! [`Trust::verify`]: is this chain a gateway of the consortium, and which?
//!
//! Pure: the time is an argument and nothing is logged. The rules are SPIFFE's X.509-SVID (exactly
//! one URI, a leaf without the CA flag, keyUsage digitalSignature). They are stricter than
//! webpki's, which ignores keyUsage and lets a missing extendedKeyUsage pass.
//!
//! ```text
//!   size ► readable ► one SPIFFE id ► leaf's usages ► dates          certificates by themselves
//!        ► known org ► signed by that org's CA ► not on its CRL      their issuer
//!        ► in the record ► not revoked ► not us ► the one we dialled their place in the mesh
//! ```
//! Before a signature has been verified, no refusal depends on the records, except that the
//! organization must be a member; and to the peer that refusal looks like one for a wrong CA.

use std::time::Duration;

use ringway_config::{Digest, Escaped, GatewayId};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::certificate::Certificate;
use super::crl::Crl;
use super::refusal::{Lapse, Refusal};
use super::trust::{OrgTrust, Trust, TrustedRoot};

/// Maximum number of certificates in a chain: a leaf, two intermediates and perhaps the root.
pub(super) const MAX_CERTIFICATES: usize = 4;
/// Maximum size of a chain, in bytes of DER.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// The role of TLS in which the peer presents its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It dialled us.
    Client,
    /// We dialled it.
    Server,
}

impl Role {
    fn usage(self) -> KeyUsage {
        match self {
            Role::Client => KeyUsage::client_auth(),
            Role::Server => KeyUsage::server_auth(),
        }
    }
}

/// A peer that may have a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The gateway that its certificate names.
    pub id: GatewayId,
    /// The earliest end of validity in the chain, including its CA: the session must end then.
    pub not_after: UnixTime,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo.
    pub key: Digest,
    /// The generation of the trust that verified it.
    pub generation: u64,
}

impl Trust {
    /// Judges the chain of a peer, leaf first. `dialled` is the gateway that we dialled, if we did.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        dialled: Option<&GatewayId>,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        let verified = self.examine(chain, role, now)?;
        // One of our endpoints leads back to us, or another host has our key.
        if verified.id == self.own {
            self.refuse(Refusal::OwnIdentity(verified.id.clone()))?;
        }

        // Any member's chain passes up to here: without this check, one member could impersonate
        // another.
        if let Some(dialled) = dialled
            && *dialled != verified.id
        {
            self.refuse(Refusal::NotDialled {
                dialled: dialled.clone(),
                found: verified.id.clone(),
            })?;
        }

        Ok(verified)
    }

    /// Checks the requirements for any gateway's chain, including our own.
    pub(super) fn examine(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        // Before anything is parsed, since the sender may be a stranger.
        let count = chain.len();
        let bytes = chain.iter().map(|der| der.len()).sum();
        if count > MAX_CERTIFICATES || bytes > MAX_BYTES {
            self.refuse(Refusal::Size { count, bytes })?;
        }

        let certificates = chain
            .iter()
            .map(|der| Certificate::read(der))
            .collect::<Result<Vec<_>, _>>()?;

        let (leaf, issuers) = certificates
            .split_first()
            .ok_or(Refusal::Size { count: 0, bytes: 0 })?;

        let id = self.identity_of(leaf)?;
        self.check_usages(leaf, issuers)?;
        self.check_dates(&certificates, now)?;

        // Use only the CA of the organization that the id names: a member's CA must not be able to
        // issue another member's identity.
        let org = self
            .orgs
            .get(&id.org)
            .ok_or_else(|| Refusal::UnknownOrg(id.org.clone()))?;

        let root_not_after = match org.verify_signatures(chain, &id, role, now) {
            Ok(not_after) => not_after,
            Err(refusal) => {
                // Returns, except in tests that skip this refusal.
                self.refuse(refusal)?;
                leaf.not_after
            }
        };
        if let Err(refusal) = org.check_lists(chain, &id, role, now) {
            self.refuse(refusal)?;
        }
        self.check_standing(&id, org, &certificates)?;

        let not_after = certificates
            .iter()
            .map(|certificate| certificate.not_after)
            .fold(root_not_after, UnixTime::min);

        Ok(Verified {
            id,
            not_after,
            key: leaf.key,
            generation: self.generation(),
        })
    }

    fn identity_of(&self, leaf: &Certificate) -> Result<GatewayId, Refusal> {
        // SPIFFE X.509-SVID, section 2. With two names, one could be judged and the other shown.
        if leaf.uris.len() != 1 {
            self.refuse(Refusal::UriCount(leaf.uris.len()))?;
        }

        let uri = leaf.uris.first().ok_or(Refusal::UriCount(0))?;
        GatewayId::from_spiffe(uri, &self.domain).ok_or_else(|| Refusal::Uri {
            uri: shortened(uri),
            domain: self.domain.to_string(),
        })
    }

    fn check_usages(&self, leaf: &Certificate, issuers: &[Certificate]) -> Result<(), Refusal> {
        if leaf.is_ca {
            self.refuse(Refusal::LeafIsCa)?;
        }

        // SPIFFE X.509-SVID, section 4.3.
        let signs_only = leaf
            .key_usage
            .is_some_and(|uses| uses.digital_signature && !uses.cert_sign && !uses.crl_sign);
        if !signs_only {
            self.refuse(Refusal::KeyUsage)?;
        }

        if !leaf.both_purposes {
            self.refuse(Refusal::ExtendedKeyUsage)?;
        }

        // RFC 5280, section 4.2.1.3: keyCertSign is required to verify signatures on certificates.
        let may_issue = issuers
            .iter()
            .all(|issuer| issuer.is_ca && issuer.key_usage.is_some_and(|uses| uses.cert_sign));
        if !may_issue {
            self.refuse(Refusal::IssuerUsage)?;
        }
        Ok(())
    }

    fn check_dates(&self, certificates: &[Certificate], now: UnixTime) -> Result<(), Refusal> {
        // All certificates that were sent: webpki checks only those on its path.
        for certificate in certificates {
            if now < certificate.not_before {
                self.refuse(Refusal::NotYetValid(between(now, certificate.not_before)))?;
            }

            if certificate.not_after < now {
                self.refuse(Refusal::Expired(between(certificate.not_after, now)))?;
            }
        }
        Ok(())
    }

    /// Checks the gateway and the keys against the organization's record.
    fn check_standing(
        &self,
        id: &GatewayId,
        org: &OrgTrust,
        certificates: &[Certificate],
    ) -> Result<(), Refusal> {
        if !org.gateways.contains(&id.name) {
            self.refuse(Refusal::UnknownGateway(id.clone()))?;
        }

        if org.revoked.gateways.contains(&id.name) {
            self.refuse(Refusal::RevokedGateway(id.clone()))?;
        }

        // Any key of the chain, because an intermediate CA can be revoked too.
        if let Some(revoked) = certificates
            .iter()
            .find(|one| org.revoked.keys.contains(&one.key))
        {
            self.refuse(Refusal::RevokedKey(revoked.key))?;
        }
        Ok(())
    }

    /// Every refusal passes here. Tests skip some, to prove what each check prevents.
    fn refuse(&self, refusal: Refusal) -> Result<(), Refusal> {
        #[cfg(test)]
        if self.spared.contains(&refusal.code()) {
            return Ok(());
        }
        Err(refusal)
    }
}

impl OrgTrust {
    /// Finds a path of signatures from the leaf to a CA certificate of this organization only.
    /// Returns the end of validity of that CA certificate.
    fn verify_signatures(
        &self,
        chain: &[CertificateDer<'_>],
        id: &GatewayId,
        role: Role,
        now: UnixTime,
    ) -> Result<UnixTime, Refusal> {
        let (leaf, intermediates) = chain
            .split_first()
            .ok_or(Refusal::Size { count: 0, bytes: 0 })?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| refusal_of(error, id))?;

        let usage = role.usage();

        // webpki's anchors have no dates, so it would accept an expired one.
        let (valid, lapsed): (Vec<_>, Vec<_>) =
            self.roots.iter().partition(|root| root.is_valid_at(now));
        match Path::find(&leaf, intermediates, &valid, usage, now) {
            Ok(path) => path.end(id, now),
            // Distinguished, so that the operator renews the CA instead of looking for another one.
            Err(error) => match Path::find(&leaf, intermediates, &lapsed, usage, now) {
                Ok(path) => Err(path.lapsed(id, now)),
                Err(_) => Err(refusal_of(error, id)),
            },
        }
    }
}

impl OrgTrust {
    /// Looks up the certificates of the path in the revocation lists of the CA at its end. No list
    /// here covers certificates issued by an intermediate CA.
    fn check_lists(
        &self,
        chain: &[CertificateDer<'_>],
        id: &GatewayId,
        role: Role,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Ok(());
        };
        let roots: Vec<&TrustedRoot> = self.roots.iter().collect();
        let usage = role.usage();
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| refusal_of(error, id))?;
        // A missing path is reported elsewhere.
        let Ok(path) = Path::find(&leaf, intermediates, &roots, usage, now) else {
            return Ok(());
        };

        for root in path.roots {
            let key = root.certificate.key;
            for list in self.lists.iter().filter(|list| list.issuer_key == key) {
                self.look_up(list, &leaf, intermediates, root, usage, now)
                    .map_err(|error| refusal_by_list(error, id, list))?;
            }
        }
        Ok(())
    }

    fn look_up(
        &self,
        list: &Crl,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        root: &TrustedRoot,
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let lists = [&*list.list];
        let expiration = if self.accepts_stale_lists {
            ExpirationPolicy::Ignore
        } else {
            ExpirationPolicy::Enforce
        };
        let options = RevocationOptionsBuilder::new(&lists)
            .map_err(|_| webpki::Error::UnknownRevocationStatus)?
            .with_depth(RevocationCheckDepth::Chain)
            .with_expiration_policy(expiration)
            // The root's list does not cover what an intermediate CA has revoked.
            .with_status_policy(UnknownStatusPolicy::Allow)
            .build();

        leaf.verify_for_usage(
            signature_algorithms().all,
            std::slice::from_ref(&root.anchor),
            intermediates,
            now,
            usage,
            Some(options),
            None,
        )
        .map(drop)
    }
}

/// A path of signatures from a leaf to a CA certificate.
struct Path<'r> {
    /// The CA certificates at its end: one CA may have several for the same key.
    roots: Vec<&'r TrustedRoot>,
    /// Intermediate certificates in it.
    count: usize,
}

impl<'r> Path<'r> {
    fn find(
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &[&'r TrustedRoot],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<Path<'r>, webpki::Error> {
        let anchors: Vec<_> = roots.iter().map(|root| root.anchor.clone()).collect();
        let path = leaf.verify_for_usage(
            signature_algorithms().all,
            &anchors,
            intermediates,
            now,
            usage,
            None,
            None,
        )?;

        let used = roots.iter().filter(|root| root.anchor == *path.anchor());
        Ok(Path {
            roots: used.copied().collect(),
            count: path.intermediate_certificates().count(),
        })
    }

    /// The earliest end of validity of its CA certificates.
    fn end(&self, id: &GatewayId, now: UnixTime) -> Result<UnixTime, Refusal> {
        let certificates = self.roots.iter().map(|root| &root.certificate);

        // RFC 5280, section 4.2.1.9: webpki's anchors have no such constraint.
        let most = certificates.clone().filter_map(|one| one.path_length).min();
        if let Some(most) = most
            && self.count > most as usize
        {
            return Err(Refusal::PathLength {
                org: id.org.clone(),
                most,
                found: self.count,
            });
        }

        Ok(certificates.map(|one| one.not_after).min().unwrap_or(now))
    }

    /// The refusal of a path whose CA certificates are not valid at `now`.
    fn lapsed(&self, id: &GatewayId, now: UnixTime) -> Refusal {
        let certificates = self.roots.iter().map(|root| &root.certificate);
        let begin = certificates.clone().map(|one| one.not_before).min();
        let end = certificates.map(|one| one.not_after).max();

        Refusal::CaDates {
            org: id.org.clone(),
            lapse: match begin.filter(|begin| now < *begin) {
                Some(begin) => Lapse::NotYetValid(between(now, begin)),
                None => Lapse::Expired(between(end.unwrap_or(now), now)),
            },
        }
    }
}

/// The signature algorithms accepted on certificates and handshakes.
pub(super) fn signature_algorithms() -> WebPkiSupportedAlgorithms {
    super::tls::provider().signature_verification_algorithms
}

fn refusal_of(error: webpki::Error, id: &GatewayId) -> Refusal {
    match error {
        webpki::Error::CaUsedAsEndEntity => Refusal::LeafIsCa,
        webpki::Error::RequiredEkuNotFoundContext(_) => Refusal::ExtendedKeyUsage,
        webpki::Error::EndEntityUsedAsCa => Refusal::IssuerUsage,
        webpki::Error::CertExpired { time, not_after } => {
            Refusal::Expired(between(not_after, time))
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            Refusal::NotYetValid(between(time, not_before))
        }
        error => Refusal::Issuer {
            org: id.org.clone(),
            detail: error.to_string(),
        },
    }
}

fn refusal_by_list(error: webpki::Error, id: &GatewayId, list: &Crl) -> Refusal {
    let issuer = list.issuer.clone();
    let number = list.number;

    match error {
        webpki::Error::CertRevoked => Refusal::RevokedByList {
            id: id.clone(),
            issuer,
            number,
        },
        webpki::Error::CrlExpired { time, next_update } => Refusal::StaleList {
            issuer,
            number,
            late: between(next_update, time),
        },
        // Its signature was verified when it was read, so it matches no certificate of this path.
        error => refusal_of(error, id),
    }
}

/// Zero if `later` is not later.
fn between(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

/// A peer's text, escaped and short enough for a log line.
pub(super) fn shortened(text: &str) -> String {
    let start: String = text.chars().take(120).collect();
    Escaped(&start).to_string()
}

#[cfg(test)]
mod tests;
