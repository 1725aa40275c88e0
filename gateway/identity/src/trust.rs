//! [`Trust`]: the CA certificates, gateways and revocations of every organization, built once from
//! the configuration and immutable.
//!
//! A reload builds a new one and swaps it in; sessions record the generation under which they were
//! verified. Root sets are kept per organization and never merged. [`verify`](super::verify) judges
//! chains; ringway-config checks that records are consistent with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ringway_config::{
    Config, Digest, Fault, Faults, GatewayId, GatewayName, Member, OrgId, Place, Revoked, Root,
    ZoneName,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::certificate::{Certificate, date};
use super::crl::{self, Crl};
use super::strength::judge;
use super::whole::unread;

/// Everything that certificates are verified against.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The consortium's domain.
    pub(super) domain: ZoneName,
    /// This gateway: never accepted as a peer.
    pub(super) own: GatewayId,
    /// Every organization, including ours: our other gateways are peers too.
    pub(super) orgs: BTreeMap<OrgId, OrgTrust>,
    generation: u64,
    /// Files that look like revocation lists but belong to no record.
    strays: Vec<Fault>,
    /// Refusals that tests skip, to prove that each check keeps an attacker out.
    #[cfg(test)]
    pub(super) spared: Vec<super::Code>,
}

/// The part of [`Trust`] for one organization.
#[derive(Debug, Clone)]
pub(super) struct OrgTrust {
    pub(super) roots: Vec<TrustedRoot>,
    pub(super) gateways: BTreeSet<GatewayName>,
    pub(super) revoked: Revoked,
    /// The revocation lists of its CAs. In the meet there may be two of one CA; both apply.
    pub(super) lists: Vec<Crl>,
    /// True if an overdue list is accepted.
    pub(super) accepts_stale_lists: bool,
}

/// A CA certificate of a member record.
#[derive(Debug, Clone)]
pub(super) struct TrustedRoot {
    pub(super) anchor: TrustAnchor<'static>,
    pub(super) certificate: Certificate,
    /// The bits of its public key, for verifying signatures.
    pub(super) public_key: Vec<u8>,
    place: Place,
}

impl Trust {
    /// Builds the trust for `config`, and reads the revocation lists beside its records. A CA
    /// certificate that may not sign certificates is a fault, and so is an unusable list. An
    /// expired CA certificate and an overdue list are not (see [`Trust::lapsed`]): a member that
    /// renews too late must not prevent this gateway from starting.
    pub fn build(config: &Config) -> Result<Trust, Faults> {
        let now = UnixTime::now();

        Trust::build_with(config, |member, org| {
            org.lists = crl::read(member, &org.roots, now)?;
            Ok(())
        })
    }

    /// Builds the trust after a refused reload, whose `config` grants nothing new. The lists of
    /// `in_force` stay, and valid newer ones are added.
    pub fn narrowed(config: &Config, in_force: &Trust) -> Result<Trust, Faults> {
        Trust::build_with(config, |member, org| {
            let before = in_force.orgs.get(&member.org);
            org.lists = before.map(|org| org.lists.clone()).unwrap_or_default();
            let read = crl::read_valid(member, &org.roots);
            // An older list would undo revocations.
            let newer = read.into_iter().filter(|list| !is_known(list, &org.lists));
            let newer: Vec<Crl> = newer.collect();
            org.lists.extend(newer);
            Ok(())
        })
    }

    fn build_with(
        config: &Config,
        add_lists: impl Fn(&Member, &mut OrgTrust) -> Result<(), Vec<Fault>>,
    ) -> Result<Trust, Faults> {
        let mut orgs = BTreeMap::new();
        let mut faults = Vec::new();

        for member in config.records() {
            match OrgTrust::build(member) {
                Ok(mut org) => {
                    // Only our own organization's certificates can name nodes of ours.
                    if member.org == config.own.org {
                        let nodes = config.nodes.list.iter();
                        org.gateways
                            .extend(nodes.map(|node| GatewayName::of_node(&node.name)));
                    }
                    org.accepts_stale_lists = config.crl.accepts_stale;
                    if let Err(more) = add_lists(member, &mut org) {
                        faults.extend(more);
                    }
                    orgs.insert(member.org.clone(), org);
                }
                // Continue, so that one attempt reports the faults of every member.
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
            // `succeeding` sets it if this trust replaces another.
            generation: 0,
            strays: strays(config),
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

    /// True if a CA certificate of `org`'s record has this key.
    pub fn has_authority(&self, org: &OrgId, key: &Digest) -> bool {
        let org = self.orgs.get(org);
        org.is_some_and(|org| org.roots.iter().any(|root| root.certificate.key == *key))
    }

    /// True if `uri` is the name of a gateway in some record.
    pub fn names_a_member(&self, uri: &str) -> bool {
        let Some(id) = GatewayId::from_spiffe(uri, &self.domain) else {
            return false;
        };
        let org = self.orgs.get(&id.org);
        org.is_some_and(|org| org.gateways.contains(&id.name))
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

    /// CA certificates that are not valid at `now`, overdue revocation lists, and lists that belong
    /// to no record: `check` reports them as faults, `run` as warnings.
    pub fn lapsed(&self, now: UnixTime) -> Vec<Fault> {
        let roots = self.roots().filter_map(|root| root.lapsed(now));

        roots
            .chain(self.stale_lists(now).into_iter().map(|(_, fault)| fault))
            .chain(self.strays.iter().cloned())
            .collect()
    }

    /// Every revocation list, by organization.
    pub fn lists(&self) -> impl Iterator<Item = (&OrgId, &Crl)> {
        self.orgs
            .iter()
            .flat_map(|(org, trust)| trust.lists.iter().map(move |list| (org, list)))
    }

    /// Organizations with revocation lists that are overdue at `now`, and the consequence.
    pub fn stale_lists(&self, now: UnixTime) -> Vec<(OrgId, Fault)> {
        let stale = self.orgs.iter().filter_map(|(org, trust)| {
            let list = trust.lists.iter().find(|list| list.is_stale(now))?;
            let meaning = if trust.accepts_stale_lists {
                "it counts all the same ([crl] stale)"
            } else {
                "no certificate of this CA is accepted until then"
            };
            let message = format!(
                "is overdue since {}: put the newest list of {org} here and reload; {meaning}",
                date(list.next_update)
            );
            let place = list.place.clone();
            Some((org.clone(), Fault { place, message }))
        });
        stale.collect()
    }

    /// True if a list was not overdue at `before` and is at `now`.
    pub fn has_become_stale(&self, before: UnixTime, now: UnixTime) -> bool {
        self.lists()
            .any(|(_, list)| !list.is_stale(before) && list.is_stale(now))
    }
}

/// The revocation lists beside one record.
pub fn lists(member: &Member) -> Result<Vec<Crl>, Faults> {
    let org = OrgTrust::build(member)?;
    crl::read(member, &org.roots, UnixTime::now()).map_err(Faults::from)
}

/// True if `known` has this list, or a newer one of the same CA.
fn is_known(list: &Crl, known: &[Crl]) -> bool {
    known
        .iter()
        .any(|known| known.issuer_key == list.issuer_key && list.number <= known.number)
}

/// Files in the members directory that were probably meant as revocation lists.
fn strays(config: &Config) -> Vec<Fault> {
    let expected: BTreeSet<PathBuf> = config
        .records()
        .map(|member| crl::path_beside(&member.place.file))
        .collect();
    let Ok(entries) = std::fs::read_dir(&config.members_dir) else {
        return Vec::new();
    };

    let mut strays: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| looks_like_a_list(path) && !expected.contains(path))
        .collect();
    strays.sort();
    strays
        .iter()
        .map(|path| Fault {
            place: Place::whole(path),
            message: "belongs to no member's record, so that it revokes nothing; call it \
                      <org>.crl, or remove it"
                .to_owned(),
        })
        .collect()
}

fn looks_like_a_list(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();

    // Editors keep hidden copies beside a file.
    name.contains(".crl") && !name.starts_with('.')
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
            lists: Vec::new(),
            accepts_stale_lists: false,
        })
    }
}

impl TrustedRoot {
    /// Reads one PEM block. The error is the text of a fault, with the remedy.
    fn read(root: &Root) -> Result<TrustedRoot, String> {
        let der = CertificateDer::from_pem_slice(root.pem.as_bytes())
            .map_err(|error| format!("CA certificate {}; paste the CA's ca.crt", unread(&error)))?;
        let certificate = Certificate::read(&der).map_err(|error| {
            format!("CA certificate is malformed ({error}); paste the CA's ca.crt")
        })?;

        // webpki accepts any certificate as an anchor: it uses the name, the key and the name
        // constraints, and ignores usages.
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

        judge(&certificate.public_key).map_err(|weakness| {
            let subject = &certificate.subject;
            format!(
                "{subject} is for {weakness}: nothing that it signs counts; the organization has \
                 to make another CA, best with ECDSA P-256"
            )
        })?;

        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|error| format!("CA certificate cannot be used ({error})"))?
            .to_owned();

        let (_, x509) = X509Certificate::from_der(&der)
            .map_err(|error| format!("CA certificate is malformed ({error})"))?;

        Ok(TrustedRoot {
            public_key: x509.public_key().subject_public_key.data.to_vec(),
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
