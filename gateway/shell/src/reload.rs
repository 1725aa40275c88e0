//! Applies a reload or a new certificate, stage by stage (see `changes`).
//!
//! A reload reads and checks everything again, as a start does. After a fault or an overlap, the
//! configuration in force stays, but for what the files take away: each file is read by itself
//! then, and what both sides allow is put in force ([`ringway_config::meet()`]). What can fail
//! (files, zone, guard) comes first; then what cannot (trust, membership, names). Sessions that the
//! new trust refuses are closed.
//!
//! Most reloads leave the guard's rules as they are. They are then set again all the same, but only
//! after the rest: a changed name is served before `nft` has started.

use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Config, Fault, Faults, GatewayId, Place, accepted, taken};
use ringway_core::{Membership, TrustError};
use ringway_intent::{Finding, Remedy};

use crate::changes::{ChangeId, Stage};
use crate::effect::Effect;
use crate::guard_retry::GuardRetry;
use crate::input::{IdentityFacts, Untrusted};
use crate::next::{Adoption, NextConfig};
use crate::packet_effect::PacketEffect;
use crate::refusal::Refusal;
use crate::shell::Shell;

/// The name of what needs attention about our certificate.
const CERTIFICATE: &str = "certificate";

impl Shell {
    pub(crate) fn begin_reload(&mut self, id: ChangeId) {
        self.effects.push_back(Effect::ReadConfig { change: id });
        self.changes.await_stage(Stage::Reading);
    }

    /// The files were read.
    pub(crate) fn config_read(&mut self, id: ChangeId, result: Result<Box<NextConfig>, Faults>) {
        let stage = self
            .changes
            .take_stage(id, |stage| matches!(stage, Stage::Reading));
        if stage.is_none() {
            // Too late, as after a shutdown: what was read for the change is dropped.
            return self.ignore(id);
        }

        let checked = result.and_then(|mut next| {
            next.check(&self.current.config)?;
            // What is remembered on disk may be older than what is in force.
            next.hold(&self.current.held);
            Ok(next)
        });
        match checked {
            Ok(next) => {
                self.effects.push_back(Effect::BuildZone { change: id });
                self.changes.await_stage(Stage::BuildingZone(next));
            }
            Err(faults) => self.refuse_reload(id, &faults),
        }
    }

    /// Our zone was built from the new configuration.
    pub(crate) fn zone_built(&mut self, id: ChangeId, result: Result<(), Faults>) {
        let stage = self
            .changes
            .take_stage(id, |stage| matches!(stage, Stage::BuildingZone(_)));
        let Some(Stage::BuildingZone(next)) = stage else {
            return self.ignore(id);
        };
        if let Err(faults) = result {
            return self.refuse_reload(id, &faults);
        }

        let next = *next;
        let spec = next.guard();
        let adoption = Box::new(Adoption {
            membership: Arc::new((self.derive)(&next.config, &next.rulings)),
            is_guarded: spec != self.current.guard(),
            is_narrowed: false,
            spec,
            next,
        });

        if adoption.is_guarded {
            self.apply_guard(id, adoption.spec.clone());
            self.changes.await_stage(Stage::Guarding(adoption));
        } else {
            self.adopt(id, adoption);
        }
    }

    /// The guard was replaced, or could not be.
    pub(crate) fn guarded(&mut self, id: ChangeId, result: Result<(), String>, now: Instant) {
        // Whatever has become of the change, its guard is no longer on its way to the kernel.
        if self.guarding == Some(id) {
            self.guarding = None;
        }

        let stage = self.changes.take_stage(id, |stage| {
            matches!(stage, Stage::Guarding(_) | Stage::Reguarding)
        });
        match (stage, result) {
            (Some(Stage::Guarding(adoption)), Ok(())) => {
                self.guard_accepted();
                self.adopt(id, adoption);
            }
            (Some(Stage::Guarding(adoption)), Err(error)) => {
                // nft changes all rules or none: those of the old configuration are in force.
                let faults = whole_file_fault(&adoption.next.config, error);
                self.refuse_reload(id, &faults);
            }
            (Some(_), Ok(())) => {
                self.guard_accepted();
                self.end_change(now);
            }
            (Some(_), Err(error)) => {
                let finding = self.guard_retry.refused(&error, now);
                self.effects.push_back(Effect::Raise(finding));
                self.end_change(now);
            }
            (None, _) => {}
        }
    }

    fn guard_accepted(&mut self) {
        if self.guard_retry.accepted() {
            self.effects.push_back(Effect::Clear(GuardRetry::name()));
        }
    }

    /// The guard of what is in force was refused: once more.
    pub(crate) fn begin_guarding(&mut self, id: ChangeId) {
        let spec = self.current.guard();

        self.apply_guard(id, spec);
        self.changes.await_stage(Stage::Reguarding);
    }

    fn adopt(&mut self, id: ChangeId, adoption: Box<Adoption>) {
        self.effects.push_back(Effect::Adopt {
            change: id,
            config: adoption.next.config.clone(),
            membership: adoption.membership.clone(),
        });

        self.changes.await_stage(Stage::Adopting(adoption));
    }

    /// Trust, identity, zone and names are in force: the rest follows.
    pub(crate) fn adopted(&mut self, id: ChangeId, untrusted: &[Untrusted], now: Instant) {
        let stage = self
            .changes
            .take_stage(id, |stage| matches!(stage, Stage::Adopting(_)));
        let Some(Stage::Adopting(adoption)) = stage else {
            return;
        };
        let Adoption {
            next,
            membership,
            spec,
            is_guarded,
            is_narrowed,
        } = *adoption;

        let is_rotated = next.identity.certificate != self.current.certificate;

        // First, since tables and rules are made of what is in force.
        self.put_in_force(next, now);
        self.distrust(untrusted, now);
        self.apply_membership(membership, now);
        let preference = self.current.config.ha.preference;
        self.mesh.handle_preference(preference.into(), now);
        // Other prefixes may be ours now, and another interface named.
        let links = self.current.links.clone();
        self.follow_carrier(&links, now);
        // The sessions that are left: those closed above need no replacement.
        if is_rotated {
            self.mesh.handle_identity_changed(now);
            self.drain_mesh(now);
        }
        self.plan_routes(now);
        if is_narrowed {
            tracing::warn!("What the files take away is in force, although the reload was refused");
            self.end_refused(id);
        } else {
            tracing::info!("Configuration reloaded");
            if self.refusal.take().is_some() {
                self.effects.push_back(Effect::Clear(Refusal::name()));
            }
            self.effects
                .push_back(Effect::Clear(CERTIFICATE.to_owned()));
            self.effects.push_back(Effect::ReloadEnded {
                change: id,
                result: Ok(()),
            });
        }

        if is_guarded {
            self.end_change(now);
        } else {
            // The same rules once more, in case another program has changed them.
            self.apply_guard(id, spec);
            self.changes.await_stage(Stage::Reguarding);
        }
    }

    /// Ends connections that the trust in force does not admit.
    pub(crate) fn distrust(&mut self, untrusted: &[Untrusted], now: Instant) {
        for Untrusted { conn, reason } in untrusted {
            let error = TrustError::Certificate(reason.clone());
            self.mesh.handle_untrusted(*conn, error, now);
        }
    }

    fn put_in_force(&mut self, next: NextConfig, now: Instant) {
        // Remembered, so that grace does not let in what the new policy no longer allows.
        if next.config.policy != self.current.config.policy {
            let current = &self.current.config;
            let own = current.served_prefixes();
            self.former.note(current.policy.clone(), &own, now);
        }

        let accepted = accepted::after(&next.config, &next.rulings, &next.accepted);
        if !accepted.keys().eq(&next.accepted) {
            self.effects
                .push_back(Effect::SaveAccepted(accepted.clone()));
        }

        if self.current.held != next.held
            || self.current.config.served_prefixes() != next.config.served_prefixes()
        {
            self.effects.push_back(Effect::Hold(next.held.clone()));
        }

        let current = &mut self.current;
        current.held = next.held;
        current.config = next.config;
        current.rulings = next.rulings;
        current.connected = next.connected;
        current.links = next.links;
        current.accepted = accepted.into_keys().collect();
        current.certificate = next.identity.certificate;

        // The tables hold some of the configuration's settings.
        self.is_stale = true;
        // Before the membership follows, so that nothing is announced for a moment.
        self.announce();
    }

    /// The mesh and the data plane follow `membership`.
    pub(crate) fn apply_membership(&mut self, membership: Arc<Membership>, now: Instant) {
        // The packets of a peer's running sessions are held against the prefixes of its earlier
        // site.
        let moved = self
            .sessions
            .find(|session| has_other_site(&self.membership, &membership, &session.peer));
        for conn in moved {
            self.mesh
                .handle_untrusted(conn, TrustError::SiteChanged, now);
        }

        // A gateway that is added again later may have moved: its path is measured again.
        self.path_mtus
            .retain(|peer, _| membership.gateways.contains_key(peer));
        self.ask_data_plane(PacketEffect::RetainPeers(membership.clone()));

        self.membership = membership.clone();
        self.outages.set_membership(&membership);
        self.mesh.handle_membership((*membership).clone(), now);
        self.is_stale = true;
        self.drain_mesh(now);
    }

    fn refuse_reload(&mut self, id: ChangeId, faults: &Faults) {
        for fault in &faults.0 {
            tracing::error!(reason = %fault, "Reload refused");
        }

        let refusal = self.refusal.get_or_insert_default();
        refusal.note(faults);
        self.effects.push_back(Effect::Raise(refusal.finding()));
        self.refused = Some(faults.clone());

        // A revocation or a removal does not wait until every file is right.
        self.discard(id);
        self.effects.push_back(Effect::Narrow { change: id });
        self.changes.await_stage(Stage::Narrowing);
    }

    /// What both the files and what is in force allow was found.
    pub(crate) fn narrowed(
        &mut self,
        id: ChangeId,
        config: Arc<Config>,
        lists: Vec<String>,
        now: Instant,
    ) {
        let stage = self
            .changes
            .take_stage(id, |stage| matches!(stage, Stage::Narrowing));
        if stage.is_none() {
            return self.ignore(id);
        }
        // The files take nothing away.
        if *config == *self.current.config && lists.is_empty() {
            self.discard(id);
            self.end_refused(id);
            return self.end_change(now);
        }

        let mut taken = taken(&self.current.config, &config);
        taken.extend(lists);
        for line in &taken {
            tracing::warn!(reason = line, "Taken away although the reload was refused");
        }
        let refusal = self.refusal.get_or_insert_default();
        refusal.take(taken);
        self.effects.push_back(Effect::Raise(refusal.finding()));

        let next = NextConfig::narrowed(&self.current, config);
        let adoption = Box::new(Adoption {
            membership: Arc::new((self.derive)(&next.config, &next.rulings)),
            // The guard follows: a firewall that fails must not hold back what is taken away.
            is_guarded: false,
            is_narrowed: true,
            spec: next.guard(),
            next,
        });
        self.adopt(id, adoption);
    }

    /// All that a refused reload takes away is in force.
    fn end_refused(&mut self, change: ChangeId) {
        // They were noted when the reload was refused, and nothing else is answered before.
        let faults = self.refused.take().unwrap_or_default();

        self.effects.push_back(Effect::ReloadEnded {
            change,
            result: Err(faults),
        });
    }

    /// Our certificate's files have changed.
    pub(crate) fn begin_rotation(&mut self, id: ChangeId) {
        self.effects.push_back(Effect::ReadIdentity { change: id });

        self.changes.await_stage(Stage::ReadingIdentity);
    }

    /// Our certificate's files were read: a good pair is used from now on, a bad one is not.
    pub(crate) fn identity_read(
        &mut self,
        id: ChangeId,
        result: Result<IdentityFacts, Faults>,
        now: Instant,
    ) {
        let stage = self
            .changes
            .take_stage(id, |stage| matches!(stage, Stage::ReadingIdentity));
        if stage.is_none() {
            return self.ignore(id);
        }

        match result {
            // The files were touched, not changed: sessions keep their keys.
            Ok(facts) if facts.certificate == self.current.certificate => {
                self.effects
                    .push_back(Effect::Clear(CERTIFICATE.to_owned()));
                self.discard(id);
            }
            Ok(facts) => {
                tracing::info!(remaining = ?facts.remaining, "New certificate in use");
                self.current.certificate = facts.certificate;
                self.effects
                    .push_back(Effect::Clear(CERTIFICATE.to_owned()));
                self.effects.push_back(Effect::AdoptIdentity { change: id });
                self.mesh.handle_identity_changed(now);
            }
            Err(faults) => {
                for fault in &faults.0 {
                    tracing::error!(
                        reason = %fault,
                        "New certificate refused; the old one stays in use"
                    );
                }
                self.effects
                    .push_back(Effect::Raise(refused_certificate(&faults)));
                self.discard(id);
            }
        }
        self.end_change(now);
    }

    /// Nothing awaits this answer. What an earlier change has read is dropped; what the change
    /// under way has read is still needed, even if its port answers twice.
    fn ignore(&mut self, change: ChangeId) {
        if !self.changes.is_under_way(change) {
            self.discard(change);
        }
    }

    fn discard(&mut self, change: ChangeId) {
        self.effects.push_back(Effect::Discard { change });
    }
}

fn refused_certificate(faults: &Faults) -> Finding {
    let fault = faults.0.first().map(ToString::to_string);

    Finding {
        name: CERTIFICATE.to_owned(),
        what: format!(
            "the new certificate was refused, the one of before stays in use: {}",
            fault.unwrap_or_default()
        ),
        remedy: Remedy::ringway(
            "check   # says what is wrong with the certificate or its key; correct it",
        )
        .then_reload(),
    }
}

fn whole_file_fault(config: &Config, message: String) -> Faults {
    let place = Place::whole(&config.path);

    vec![Fault { place, message }].into()
}

/// True if `peer` is a member in both and serves another site than before. The mesh itself closes
/// the sessions of a gateway that is no longer a member.
fn has_other_site(before: &Membership, after: &Membership, peer: &GatewayId) -> bool {
    let sites = before.gateways.get(peer).zip(after.gateways.get(peer));

    sites.is_some_and(|(before, after)| before.site != after.site)
}
