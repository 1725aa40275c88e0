//! [`Trust`]: the CA certificates, gateways and revocations of every organization, built once from
//! the configuration and immutable.
//!
//! A reload builds another one and swaps it in; sessions remember the generation they were verified
//! under. Root sets are kept per organization and never merged. [`verify`](super::verify) judges
//! chains; ringway-config checks that records agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::{
    Config, Fault, Faults, GatewayId, GatewayName, Member, OrgId, Revoked, Root, ZoneName,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::certificate::Certificate;

/// What certificates are verified against.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The consortium's domain.
    pub(super) domain: ZoneName,
    /// This gateway: never accepted as a peer.
    pub(super) own: GatewayId,
    /// Every organization, ours included: its other gateways are peers too.
    pub(super) orgs: BTreeMap<OrgId, OrgTrust>,
    generation: u64,
    /// Refusals that tests overlook, to prove that each check is what keeps an attacker out.
    #[cfg(test)]
    pub(super) spared: Vec<super::Code>,
}

/// One organization's share of [`Trust`].
#[derive(Debug, Clone)]
pub(super) struct OrgTrust {
    pub(super) roots: Vec<TrustedRoot>,
    pub(super) gateways: BTreeSet<GatewayName>,
    pub(super) revoked: Revoked,
}

/// A CA certificate of a member record.
#[derive(Debug, Clone)]
pub(super) struct TrustedRoot {
    pub(super) anchor: TrustAnchor<'static>,
    pub(super) certificate: Certificate,
    place: ringway_config::Place,
}

impl Trust {
    /// Builds the trust that `config` describes. A certificate that cannot serve as a CA's is a
    /// fault. An expired one is not ([`Trust::lapsed`]): a member that rotates its CA too late must
    /// not keep this gateway from starting.
    pub fn build(config: &Config) -> Result<Trust, Faults> {
        let mut orgs = BTreeMap::new();
        let mut faults = Vec::new();

        for member in config.records() {
            match OrgTrust::build(member) {
                Ok(org) => {
                    orgs.insert(member.org.clone(), org);
                }
                // Goes on, so that one attempt shows the faults of every member.
                Err(Faults(more)) => faults.extend(more),
            }
        }

        if !faults.is_empty() {
            return Err(Faults::from(faults));
        }

        Ok(Trust {
            domain: config.own.domain.clone(),
            own: config.id.clone(),
            orgs,
            // `succeeding` sets it, if this trust replaces another.
            generation: 0,
            #[cfg(test)]
            spared: Vec::new(),
        })
    }

    /// Makes this trust the successor of `earlier`, one generation later.
    pub fn succeeding(self, earlier: &Trust) -> Trust {
        Trust {
            generation: earlier.generation + 1,
            ..self
        }
    }

    /// Number of reloads before this trust.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The consortium's domain.
    pub fn domain(&self) -> &ZoneName {
        &self.domain
    }

    /// Every organization's CA certificates.
    pub fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        self.roots().map(|root| &root.certificate)
    }

    /// Subject and end of validity of every CA certificate, for `status`.
    pub fn certificates(&self) -> Vec<(String, UnixTime)> {
        self.authorities()
            .map(|certificate| (certificate.subject.clone(), certificate.not_after))
            .collect()
    }

    fn roots(&self) -> impl Iterator<Item = &TrustedRoot> {
        self.orgs.values().flat_map(|org| &org.roots)
    }

    /// CA certificates that are not valid at `now`: `check` reports them as faults, `run` as
    /// warnings.
    pub fn lapsed(&self, now: UnixTime) -> Vec<Fault> {
        self.roots().filter_map(|root| root.lapsed(now)).collect()
    }
}

/// The CA certificates of one record, in file order.
pub fn authorities(member: &Member) -> Result<Vec<Certificate>, Faults> {
    Ok(OrgTrust::build(member)?
        .roots
        .into_iter()
        .map(|root| root.certificate)
        .collect())
}

impl OrgTrust {
    fn build(member: &Member) -> Result<OrgTrust, Faults> {
        let mut roots = Vec::new();
        let mut faults = Vec::new();

        for root in &member.roots {
            match TrustedRoot::read(root) {
                Ok(root) => roots.push(root),
                Err(message) => faults.push(Fault {
                    place: root.place.clone(),
                    message,
                }),
            }
        }

        if !faults.is_empty() {
            return Err(Faults::from(faults));
        }

        let gateways = member.gateways.iter();
        Ok(OrgTrust {
            roots,
            gateways: gateways.map(|gateway| gateway.name.clone()).collect(),
            revoked: member.revoked.clone(),
        })
    }
}

impl TrustedRoot {
    /// Reads one PEM block. The error is a fault's message: what is wrong, and the remedy.
    fn read(root: &Root) -> Result<TrustedRoot, String> {
        let der = CertificateDer::from_pem_slice(root.pem.as_bytes()).map_err(|error| {
            format!("CA certificate is not a PEM block ({error}); paste the CA's ca.crt")
        })?;
        let certificate = Certificate::read(&der).map_err(|error| {
            format!("CA certificate is malformed ({error}); paste the CA's ca.crt")
        })?;

        // webpki takes any certificate as an anchor: it keeps the name, the key and the name
        // constraints, and looks at no usage.
        if !certificate.is_ca {
            let subject = &certificate.subject;
            return Err(format!(
                "{subject} is not a CA certificate; it needs basicConstraints CA:TRUE"
            ));
        }

        if !certificate.key_usage.is_some_and(|uses| uses.cert_sign) {
            let subject = &certificate.subject;
            return Err(format!(
                "{subject} may not sign certificates; it needs keyUsage keyCertSign"
            ));
        }

        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|error| format!("CA certificate cannot be used ({error})"))?
            .to_owned();

        Ok(TrustedRoot {
            anchor,
            certificate,
            place: root.place.clone(),
        })
    }

    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        self.certificate.not_before <= now && now <= self.certificate.not_after
    }

    fn lapsed(&self, now: UnixTime) -> Option<Fault> {
        if self.is_valid_at(now) {
            return None;
        }

        let when = if now < self.certificate.not_before {
            "not yet valid"
        } else {
            "expired"
        };
        let message = format!(
            "CA certificate {} is {when}; put the current one here",
            self.certificate.subject
        );

        Some(Fault {
            place: self.place.clone(),
            message,
        })
    }
}
