//! Applies the member records to names: which gateways contribute to a zone, and which addresses it
//! may contain. A revoked gateway or key loses its fragment at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use ringway_config::{Config, Digest, GatewayId, GatewayName, Member, OrgId};
use ringway_core::{Membership, ServicesOrigin};
use ringway_dns::{AllowedAddresses, Hold, Moment, Zone};

use super::hold::Contacts;
use super::organization::{Held, Organization, Terms};
use super::own::Own;
use super::store::Store;
use super::{Checks, Replicator, Reply};
use crate::attention::Attention;
use crate::names::{Names, prefixes_of};

impl Replicator {
    /// Starts with `fragment`, our own, and the stored copies of the others. `heard` has the last
    /// contacts of the owners. Blocks.
    pub fn open(
        names: &Names,
        fragment: Arc<Zone>,
        heard: Hold,
        config: &Config,
        membership: &Membership,
        attention: &Attention,
    ) -> Replicator {
        let now = Moment::now();
        let mut replicator = Replicator {
            zones: names.zones.clone(),
            copies: names.copies.clone(),
            serials: names.serials.clone(),
            attention: attention.clone(),
            store: Store::new(names.copies.clone()),
            me: config.id.clone(),
            domain: config.own.domain.clone(),
            own: Own::new(fragment),
            legacy: None,
            needs_legacy: false,
            peers: BTreeMap::new(),
            checks: Checks::default(),
            orgs: BTreeMap::new(),
            contacts: Contacts::new(heard, config.dns.hold, now.monotonic),
            refusals: BTreeMap::new(),
            answers: BTreeMap::new(),
            reported: BTreeMap::new(),
        };

        for member in config.records() {
            let terms = terms(config, membership, member);
            replicator.add(Organization::new(member.org.clone(), terms));
        }
        replicator.begin(now);
        replicator
    }

    /// Adds an organization, with its stored copies.
    pub(super) fn add(&mut self, mut org: Organization) {
        self.restore(&mut org);
        self.orgs.insert(org.org.clone(), org);
    }

    /// Publishes what is stored. It may block, since nothing is answered yet.
    pub(super) fn begin(&mut self, now: Moment) {
        self.hold_own(self.own.zone());

        let orgs: Vec<OrgId> = self.orgs.keys().cloned().collect();
        for org in orgs {
            self.update_expired(&org, now);
            self.merge_now(&org, now);
        }
    }

    /// Applies reloaded files. Our fragment becomes `fragment`; with `None` it stays, and
    /// [`Replicator::contribute`] follows soon. When this returns, nothing that the files revoke is
    /// answered any more.
    pub fn adopt(
        &mut self,
        config: &Config,
        membership: &Membership,
        fragment: Option<&Arc<Zone>>,
        now: Moment,
    ) -> Vec<Reply> {
        self.set_hold(config);
        let members: BTreeSet<&OrgId> = config.records().map(|member| &member.org).collect();
        self.orgs.retain(|org, _| members.contains(org));
        self.forget_removed();

        let mut replies = Vec::new();
        for member in config.records() {
            let terms = terms(config, membership, member);
            replies.extend(self.adopt_terms(&member.org, terms, now));
        }

        // Otherwise a copy of a dropped fragment would be written once the disk has room again.
        let orgs = &self.orgs;
        self.store.retain(|gateway| {
            let org = orgs.get(&gateway.org);
            org.is_some_and(|org| org.held.contains_key(&gateway.name))
        });

        if let Some(fragment) = fragment {
            replies.extend(self.contribute(fragment));
        }
        replies
    }

    /// Replaces our fragment.
    pub fn contribute(&mut self, fragment: &Arc<Zone>) -> Vec<Reply> {
        if Arc::ptr_eq(fragment, &self.own_held()) {
            return Vec::new();
        }

        self.own.adopt(fragment.clone());
        self.hold_own(fragment.clone());
        let own = self.me.org.clone();
        self.changed(&own).into_iter().collect()
    }

    /// Sets where the names of Kubernetes Services in our fragment come from.
    pub fn set_services(&mut self, services: Option<ServicesOrigin>) {
        let held = self.own_held();
        self.own.set_services(services, held);
    }

    /// Where the names of Kubernetes Services in the fragments of our organization's other gateways
    /// come from: only of fragments that are answered.
    pub fn services(&self) -> impl Iterator<Item = (&GatewayName, ServicesOrigin)> {
        let own = self.orgs.get(&self.me.org);
        let held = own.into_iter().flat_map(|org| &org.held);

        held.filter(|(_, held)| !held.is_expired)
            .filter_map(|(name, held)| Some((name, held.services?)))
    }

    pub(super) fn adopt_terms(&mut self, name: &OrgId, terms: Terms, now: Moment) -> Vec<Reply> {
        let Some(org) = self.orgs.get_mut(name) else {
            let org = Organization::new(name.clone(), terms);
            self.orgs.insert(name.clone(), org);
            return Vec::new();
        };
        if org.terms == terms {
            return Vec::new();
        }

        org.terms = terms;
        if !org.drop_revoked() {
            return self.changed(name).into_iter().collect();
        }
        // Merge on the loop: until it is done, the names of a revoked gateway would be answered.
        self.merge_now(name, now)
    }

    /// Merges and publishes the zone of `org` at once.
    fn merge_now(&mut self, name: &OrgId, now: Moment) -> Vec<Reply> {
        // A merge that is running is outdated.
        let pending = self.changed(name);
        let Some(org) = self.orgs.get(name) else {
            return Vec::new();
        };
        if org.held.is_empty() {
            self.zones.withdraw(&org.terms.apex);
            return Vec::new();
        }

        let merge = match pending {
            Some(Reply::Merge(merge)) => *merge,
            _ => {
                let legacy = self.needs_legacy && *name == self.me.org;
                let merged = org.merge(&self.serials, legacy).run();
                return self.publish(merged, now);
            }
        };
        self.handle_merged(merge.run(), now)
    }

    pub(super) fn restore(&self, org: &mut Organization) {
        for name in org.terms.gateways.clone() {
            let id = org.id_of(&name);
            if id == self.me {
                continue;
            }

            match self.copies.load(&id, &org.terms.apex) {
                // A copy from a gateway or key that was revoked since is not used.
                Ok(Some(stored)) if org.admits(&name, &stored.keys) => {
                    let bytes = stored.zone.encode();
                    tracing::info!(gateway = %id, "Names restored from the last good copy");
                    let held = Held {
                        digest: Digest::of(&bytes),
                        size: bytes.len() as u64,
                        zone: Arc::new(stored.zone),
                        received: stored.received,
                        keys: stored.keys,
                        is_expired: false,
                        services: None,
                    };
                    org.held.insert(name, held);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(gateway = %id, %error, reason = %error.reason, "Copy not used");
                }
            }
        }
    }

    pub(super) fn hold_own(&mut self, fragment: Arc<Zone>) {
        let held = Held {
            zone: fragment,
            digest: self.own.offer.digest,
            size: 0,
            received: SystemTime::now(),
            keys: Vec::new(),
            is_expired: false,
            services: None,
        };
        if let Some(org) = self.orgs.get_mut(&self.me.org) {
            org.held.insert(self.me.name.clone(), held);
        }
    }

    /// Our own fragment, in the form of the others.
    fn own_held(&self) -> Arc<Zone> {
        let org = self.orgs.get(&self.me.org);
        let held = org.and_then(|org| org.held.get(&self.me.name));
        held.map_or_else(|| self.own.zone(), |held| held.zone.clone())
    }

    fn forget_removed(&mut self) {
        let is_member = |id: &GatewayId| self.orgs.contains_key(&id.org);
        let gone: Vec<GatewayId> = self
            .refusals
            .keys()
            .chain(self.answers.keys())
            .filter(|id| !is_member(id))
            .cloned()
            .collect();

        for id in gone {
            self.refusals.remove(&id);
            self.answers.remove(&id);
            self.attention.clear(&super::refused_from(&id));
            self.attention.clear(&super::refused_by(&id));
        }
        let orgs = &self.orgs;
        self.reported.retain(|id, _| orgs.contains_key(&id.org));
    }
}

/// What the record of `member` allows its zone.
fn terms(config: &Config, membership: &Membership, member: &Member) -> Terms {
    let revoked = &member.revoked;
    let gateways: BTreeSet<_> = member
        .gateways
        .iter()
        .map(|gateway| gateway.name.clone())
        .filter(|name| !revoked.gateways.contains(name))
        .collect();

    let prefixes = prefixes_of(membership, &member.org);
    let is_own = member.org == config.own.org;
    let allowed = gateways
        .iter()
        .map(|name| {
            // Our own files were checked when they were read.
            let any = is_own && (*name == config.id.name || config.dns.foreign_addresses);
            let allowed = if any {
                AllowedAddresses::All
            } else {
                AllowedAddresses::Within(prefixes.clone())
            };
            (name.clone(), allowed)
        })
        .collect();

    Terms {
        apex: config.own.domain.zone_of(&member.org),
        gateways,
        revoked_keys: revoked.keys.clone(),
        allowed,
    }
}
