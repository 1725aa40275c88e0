//! Our fragment of the organization's zone: what the files say, with the names of Kubernetes
//! Services, and without the addresses that fail their checks.

use std::sync::Arc;
use std::time::Instant;

use ringway_core::Membership;
use ringway_dns::Moment;

use super::Drive;
use super::jobs::Event;
use crate::health::{self, Probed};
use crate::kubernetes;
use crate::names::derive::{Derivation, Derived};
use crate::state::ServiceNames;

impl Drive {
    /// Puts the names of a reload in force.
    pub(super) fn adopt_names(&mut self, membership: &Membership) {
        self.health.set_config(self.in_force.config());
        self.note_failed_addresses();
        self.in_force
            .store_failed(self.health.to_store(), &self.jobs);
        if self.kubernetes.follow(self.in_force.config()) {
            self.store_service_names();
        }

        // An address that has failed must not be answered for a moment, and no name of a Service be
        // missing: until the new fragment is made, the earlier one stays.
        let derivation = self.derivation();
        let is_plain = derivation.is_plain();
        let fragment = is_plain.then(|| self.in_force.fragment());
        let replies =
            self.replicator
                .adopt(self.in_force.config(), membership, fragment, Moment::now());
        self.reply_all(replies);
        if is_plain {
            self.replicator.set_services(self.kubernetes.origin());
        }
        self.prepare_zone();
        if is_plain {
            // One that is under way is out of date.
            self.in_force.next_derivation();
        } else {
            self.derive();
        }
    }

    /// The addresses of our hosts were probed.
    pub(super) fn note_probed(&mut self, probed: Probed) {
        if self.health.handle_probed(probed) {
            self.note_failed_addresses();
            self.in_force
                .store_failed(self.health.to_store(), &self.jobs);
            self.derive();
        }
    }

    /// A cluster has other names, or none can be heard of.
    pub(super) fn note_kubernetes(&mut self, event: kubernetes::Event) {
        if self.kubernetes.note(event) {
            self.store_service_names();
            self.derive();
        }
    }

    /// Another gateway of our site may have later names of Services than this one, or no longer.
    pub(super) fn compare_services(&mut self, now: Instant) {
        let origins = self.replicator.services();
        let siblings = kubernetes::of_siblings(origins, self.in_force.config());

        if self.kubernetes.compare(&siblings, now) {
            self.store_service_names();
            self.derive();
        }
    }

    fn store_service_names(&self) {
        let names = ServiceNames::clone(&self.kubernetes.answered());

        self.in_force.store_service_names(names, &self.jobs);
    }

    fn note_failed_addresses(&self) {
        match self.health.summary() {
            Some(what) => self.attention.raise(health::FAILED, &what, health::REMEDY),
            None => self.attention.clear(health::FAILED),
        }
    }

    fn derivation(&self) -> Derivation {
        Derivation {
            of: self.in_force.fragment().clone(),
            services: self.kubernetes.answered(),
            ttl: self.in_force.config().dns.ttl,
            failed: self.health.failed(),
        }
    }

    /// Has our fragment made.
    fn derive(&mut self) {
        let number = self.in_force.next_derivation();
        let derivation = self.derivation();

        self.jobs.run(move || Event::Derived {
            number,
            derived: derivation.run(),
        });
    }

    /// What was made is our part of the organization's zone. Policy rules that use names go on to
    /// mean every address in the files.
    pub(super) fn contribute(&mut self, number: u64, derived: Derived) {
        // A later one is under way, or a reload has replaced what the files say.
        if !self.in_force.is_latest(number) || !Arc::ptr_eq(&derived.of, self.in_force.fragment()) {
            return;
        }

        self.kubernetes
            .note_derived(&derived.taken, derived.error.as_ref());
        let replies = self.replicator.contribute(&derived.fragment);
        self.reply_all(replies);
        // Not before: another gateway that relies on this one must have these names.
        self.replicator.set_services(self.kubernetes.origin());
        self.prepare_zone();
    }

    /// Has our fragment made ready for the other gateways, if it is another one than before.
    pub(super) fn prepare_zone(&mut self) {
        if let Some(preparation) = self.replicator.prepare_own() {
            self.jobs
                .run(move || Event::ZonePrepared(Box::new(preparation.run())));
        }
    }
}
