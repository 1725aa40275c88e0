//! [`ReadConfig`]: the result of reading all files for a reload.

use std::sync::Arc;

use ringway_config::{Config, Fault, Faults, Newest, Place, narrow_policy};
use ringway_dns::Zone;
use ringway_host::links;
use ringway_identity::{Identity, Trust};
use ringway_intent::Scope;
use ringway_shell::{IdentityFacts, NextConfig};
use rustls_pki_types::UnixTime;

use crate::notes;
use crate::prepare::{Known, Prepared, prepare_again};

/// The result of reading all files.
#[derive(Debug)]
pub struct ReadConfig {
    pub(super) next: NextConfig,
    pub(super) trust: Trust,
    pub(super) identity: Identity,
    pub(super) zone: Zone,
    pub(super) newest: Option<Newest>,
    pub(super) failed_tests: Faults,
    pub(super) warnings: Faults,
}

impl ReadConfig {
    /// Warnings: they do not refuse the reload.
    pub(in crate::drive) fn warnings(&self) -> &Faults {
        &self.warnings
    }

    /// Policy tests that failed. The new rules are refused; the rest comes into force.
    pub(in crate::drive) fn failed_tests(&self) -> &Faults {
        &self.failed_tests
    }
}

/// Reads and checks all files, as a start does.
pub(super) async fn read(current: &Config, known: Known) -> Result<ReadConfig, Faults> {
    let Prepared {
        mut config,
        zone,
        trust,
        identity,
        connected,
        rulings,
        accepted,
        held,
        conflicts,
        policy_tests,
        warnings,
        hints,
        newest,
        traces: _,
    } = prepare_again(&current.path, known).await?;

    notes::log_others(&warnings.0, &config, &trust);
    for hint in &hints.0 {
        tracing::warn!(reason = %hint, "A file should be changed at some time");
    }

    // Refuse only the rules: a record that revokes, removes or narrows something must come into
    // force.
    if !policy_tests.failed.is_empty() {
        for failed in &policy_tests.failed.0 {
            tracing::error!(
                reason = %failed,
                "A policy test failed; the earlier rules stay as far as the new ones allow the same"
            );
        }
        let wanted = std::mem::replace(&mut config.policy, current.policy.clone());
        config.policy = narrow_policy(&config, &wanted);
    }

    // Virtual addresses of the configuration before stay until their lifetime ends; leave them out.
    let scope = Scope::of(&config).without(current.ha.hosts());
    let links = links::read(&config.tun, &scope).await;
    let links = links.map_err(|error| {
        Faults::from(vec![Fault {
            place: Place::whole(&current.path),
            message: error.to_string(),
        }])
    })?;

    let next = NextConfig {
        config: Arc::new(config),
        rulings,
        conflicts,
        connected,
        links,
        accepted,
        held,
        identity: facts(&identity),
    };
    Ok(ReadConfig {
        next,
        trust,
        identity,
        zone,
        newest,
        failed_tests: policy_tests.failed,
        warnings: Faults::from([warnings.0, hints.0].concat()),
    })
}

pub(super) fn facts(identity: &Identity) -> IdentityFacts {
    IdentityFacts {
        certificate: identity.fingerprint(),
        remaining: identity.remaining(UnixTime::now()),
    }
}
