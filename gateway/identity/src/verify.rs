//! [`Trust::verify`]: is this chain a gateway of the consortium, and which?
//!
//! Pure: the clock is an argument and nothing is logged. The rules are SPIFFE's X.509-SVID
//! (exactly one URI, a leaf that is no CA, keyUsage digitalSignature) and stricter than webpki's,
//! which ignores keyUsage and takes a missing extendedKeyUsage for consent.
//!
//! ```text
//!   size ► readable ► one SPIFFE id ► leaf's usages ► dates       what the certificates say
//!        ► known org ► signed by that org's CA                    who vouches for them
//!        ► in the record ► not revoked ► not us ► whom we dialled  who that is to us
//! ```
//! Until a signature has been verified nothing depends on what only members know, except that the
//! organization is one; and that refusal looks to the peer like a wrong CA.

use std::time::Duration;

use ringway_config::{Digest, Escaped, GatewayId};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::Certificate;
use super::refusal::Refusal;
use super::trust::{OrgTrust, Trust};

/// Longest chain looked at: a leaf, two intermediates and a root sent along.
pub const MAX_CERTIFICATES: usize = 4;
/// Largest chain looked at, in bytes of DER.
pub const MAX_BYTES: usize = 16 * 1024;

/// In which role of TLS the peer presents its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It dialled us.
    Client,
    /// We dialled it.
    Server,
}

/// A peer that may hold a session, for as long as this says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who it is.
    pub id: GatewayId,
    /// The earliest end of validity in the chain, its CA included: the session ends then.
    pub not_after: UnixTime,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo.
    pub key: Digest,
    /// The generation of the trust that said so.
    pub generation: u64,
}

impl Trust {
    /// Judges the chain that a peer presented, leaf first. `dialled` is whom we dialled, if we did.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        dialled: Option<&GatewayId>,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        let verified = self.examine(chain, role, now)?;
        if verified.id == self.own {
            self.refuse(Refusal::OwnIdentity(verified.id.clone()))?;
        }
        match dialled {
            Some(dialled) if *dialled != verified.id => {
                self.refuse(Refusal::NotDialled {
                    dialled: dialled.clone(),
                    found: verified.id.clone(),
                })?;
            }
            _ => {}
        }
        Ok(verified)
    }

    /// Everything that must hold of any gateway's chain, our own included.
    pub(super) fn examine(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        let (count, bytes) = (chain.len(), chain.iter().map(|der| der.len()).sum());
        if count > MAX_CERTIFICATES || bytes > MAX_BYTES {
            self.refuse(Refusal::Size { count, bytes })?;
        }
        let read = |der: &CertificateDer<'_>| Certificate::read(der).map_err(Refusal::Malformed);
        let certificates = chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let (leaf, issuers) = certificates
            .split_first()
            .ok_or(Refusal::Size { count: 0, bytes: 0 })?;
        let id = self.identity_of(leaf)?;
        self.check_usages(leaf, issuers)?;
        self.check_dates(&certificates, now)?;
        let org = self
            .orgs
            .get(&id.org)
            .ok_or_else(|| Refusal::UnknownOrg(id.org.clone()))?;
        let signed_until = match org.vouch(chain, &id, role, now) {
            Ok(not_after) => not_after,
            Err(refusal) => self.refuse(refusal).map(|()| leaf.not_after)?,
        };
        self.check_standing(&id, org, &certificates)?;
        let presented_until = certificates
            .iter()
            .map(|certificate| certificate.not_after)
            .min();
        let not_after = presented_until.unwrap_or(signed_until).min(signed_until);
        Ok(Verified {
            id,
            not_after,
            key: leaf.key,
            generation: self.generation(),
        })
    }

    fn identity_of(&self, leaf: &Certificate) -> Result<GatewayId, Refusal> {
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
        if !leaf
            .key_usage
            .is_some_and(|uses| uses.digital_signature && !uses.cert_sign && !uses.crl_sign)
        {
            self.refuse(Refusal::KeyUsage)?;
        }
        if !leaf.both_purposes {
            self.refuse(Refusal::ExtendedKeyUsage)?;
        }
        if !issuers
            .iter()
            .all(|issuer| issuer.is_ca && issuer.key_usage.is_some_and(|uses| uses.cert_sign))
        {
            self.refuse(Refusal::IssuerUsage)?;
        }
        Ok(())
    }

    fn check_dates(&self, certificates: &[Certificate], now: UnixTime) -> Result<(), Refusal> {
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
        if let Some(revoked) = certificates
            .iter()
            .find(|one| org.revoked.keys.contains(&one.key))
        {
            self.refuse(Refusal::RevokedKey(revoked.key))?;
        }
        Ok(())
    }

    /// Every refusal that a check decides passes here. Tests of the checks themselves overlook some.
    fn refuse(&self, refusal: Refusal) -> Result<(), Refusal> {
        #[cfg(test)]
        if self.spared.contains(&refusal.code()) {
            return Ok(());
        }
        Err(refusal)
    }
}

impl OrgTrust {
    /// Builds a path from the leaf to one of this organization's CA certificates and to no other.
    /// Returns when the CA certificate that ends the path expires.
    fn vouch(
        &self,
        chain: &[CertificateDer<'_>],
        id: &GatewayId,
        role: Role,
        now: UnixTime,
    ) -> Result<UnixTime, Refusal> {
        let refuse = |error| refusal_of(error, id);
        let (leaf, intermediates) = chain
            .split_first()
            .ok_or(Refusal::Size { count: 0, bytes: 0 })?;
        let leaf = EndEntityCert::try_from(leaf).map_err(refuse)?;
        let valid = self.roots.iter().filter(|root| root.is_valid_at(now));
        let anchors: Vec<_> = valid.map(|root| root.anchor.clone()).collect();
        let usage = match role {
            Role::Client => KeyUsage::client_auth(),
            Role::Server => KeyUsage::server_auth(),
        };
        let path = leaf
            .verify_for_usage(
                signature_algorithms().all,
                &anchors,
                intermediates,
                now,
                usage,
                None,
                None,
            )
            .map_err(refuse)?;
        let ends_at = self
            .roots
            .iter()
            .filter(|root| root.anchor == *path.anchor());
        Ok(ends_at
            .map(|root| root.certificate.not_after)
            .min()
            .unwrap_or(now))
    }
}

/// The signatures accepted on certificates and handshakes.
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

fn between(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

/// A peer's text, short enough for a log line and printable.
pub(super) fn shortened(text: &str) -> String {
    let start: String = text.chars().take(120).collect();
    Escaped(&start).to_string()
}

#[cfg(test)]
mod tests;
