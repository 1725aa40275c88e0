//! [`Health`]: which addresses of our hosts accept connections (`check` in `[[dns.host]]`). Those
//! that do not are left out of our names, here and at every member.
//!
//! ```text
//!   every 5 s: Health::look ─► Round, off the loop: connect to each ─► Probed ─► Health::note
//! ```
//! The gateway probes from its own addresses, as any host of the site would. A connection that is
//! accepted is closed at once. What has failed is remembered ([`FailedAddresses`]): an address that
//! did before a restart is not answered after it until it has been probed.

mod round;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use ringway_config::{Config, DnsName, HealthCheck};
use ringway_dns::Name;

use crate::state::FailedAddresses;

pub use round::{Probed, Round};

/// Time from the begin of a round to the next one.
const INTERVAL: Duration = Duration::from_secs(5);

/// Failed addresses, as something that needs attention.
pub const FAILED: &str = "failed addresses";
/// What an operator does about them.
pub const REMEDY: &str = "start what should listen there, or remove `check` from its [[dns.host]]";

/// Failed addresses that a summary lists.
const LISTED: usize = 8;

/// An address that fails so often in a row is left out.
const FAILURES: u32 = 2;

/// One address of a host, with the port that must accept connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The host's name.
    pub name: String,
    /// Where it is probed.
    pub address: SocketAddr,
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Failures in a row.
    failures: u32,
    /// Since when it has been good, or has failed.
    since: SystemTime,
    /// Why the last probe failed.
    error: Option<String>,
}

/// A target, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The target.
    pub target: Target,
    /// Left out, because it fails.
    pub has_failed: bool,
    /// Since when it has been good, or has failed.
    pub since: SystemTime,
    /// Why the last probe failed.
    pub error: Option<String>,
}

/// The checks of our hosts' addresses, and their results. Does no I/O.
#[derive(Debug)]
pub struct Health {
    targets: BTreeMap<Target, State>,
    next_round: Instant,
    /// A round is under way.
    is_probing: bool,
}

impl Health {
    /// The checks of `config`. The addresses that had `failed` before this start are left out until
    /// a probe has succeeded; every other one counts as good until it has failed.
    pub fn new(config: &Config, failed: &FailedAddresses, now: Instant) -> Health {
        Health::of(config.dns.checks.iter().flat_map(targets), failed, now)
    }

    fn of(targets: impl Iterator<Item = Target>, failed: &FailedAddresses, now: Instant) -> Health {
        let targets = targets.map(|target| {
            // What had failed before a restart stays left out until it passes.
            let failed_since = failed.since(&target.name, target.address.ip());
            let state = failed_since.map_or_else(State::good, State::failed);
            (target, state)
        });

        Health {
            targets: targets.collect(),
            next_round: now,
            is_probing: false,
        }
    }

    /// The checks are those of `config` from now on. What is known of an address stays, even if it
    /// is probed at another port from now on: one that has failed is left out until a probe has
    /// succeeded.
    pub fn follow(&mut self, config: &Config) {
        self.follow_targets(config.dns.checks.iter().flat_map(targets));
    }

    fn follow_targets(&mut self, targets: impl IntoIterator<Item = Target>) {
        let before = std::mem::take(&mut self.targets);
        let known: BTreeMap<_, _> = before
            .iter()
            .map(|(target, state)| (target.host(), state))
            .collect();

        self.targets = targets
            .into_iter()
            .map(|target| {
                // Also if only its check has changed: what is known of the address counts until the
                // new check says otherwise.
                let same = before
                    .get(&target)
                    .or_else(|| known.get(&target.host()).copied());
                let state = same.cloned().unwrap_or_else(State::good);
                (target, state)
            })
            .collect();
    }

    /// When the next round is due; `None` while one is under way, or without checks.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_idle = self.is_probing || self.targets.is_empty();

        (!is_idle).then_some(self.next_round)
    }

    /// The round that is due, if one is.
    pub fn look(&mut self, now: Instant) -> Option<Round> {
        self.poll_timeout().filter(|due| *due <= now)?;

        self.is_probing = true;
        self.next_round = now + INTERVAL;
        Some(Round::new(self.targets.keys().cloned().collect()))
    }

    /// A round has ended. True if other addresses than before are left out.
    pub fn note(&mut self, probed: Probed) -> bool {
        self.is_probing = false;
        let before = self.failed();

        for (target, result) in probed.0 {
            // A reload may have removed the check meanwhile.
            if let Some(state) = self.targets.get_mut(&target) {
                state.note(&target, result);
            }
        }

        self.failed() != before
    }

    /// The addresses that are left out of their names, unless their names would have none.
    pub fn failed(&self) -> HashSet<(Name, IpAddr)> {
        self.targets
            .iter()
            .filter(|(_, state)| state.has_failed())
            .filter_map(|(target, _)| {
                let name = Name::from_text(&target.name).ok()?;
                Some((name, target.address.ip()))
            })
            .collect()
    }

    /// The addresses that have failed, for the next start.
    pub fn to_store(&self) -> FailedAddresses {
        let mut stored = FailedAddresses::default();

        for (target, state) in &self.targets {
            if state.has_failed() {
                stored.insert(&target.name, target.address.ip(), state.since);
            }
        }
        stored
    }

    /// The failed addresses in words; `None` if there are none.
    pub fn summary(&self) -> Option<String> {
        let failed = self.targets.iter().filter(|(_, state)| state.has_failed());
        let mut texts: Vec<String> = failed
            .map(|(target, state)| {
                let error = state.error.as_deref().unwrap_or("no answer");
                format!("{} at {} ({error})", target.name, target.address)
            })
            .collect();
        if texts.is_empty() {
            return None;
        }

        let more = texts.len().saturating_sub(LISTED);
        texts.truncate(LISTED);
        if more > 0 {
            texts.push(format!("{more} more"));
        }
        Some(format!(
            "addresses that accept no connection are left out of our names, unless their host \
             would have none: {}",
            texts.join(", ")
        ))
    }

    /// Every target with its state.
    pub fn list(&self) -> Vec<Checked> {
        self.targets
            .iter()
            .map(|(target, state)| Checked {
                target: target.clone(),
                has_failed: state.has_failed(),
                since: state.since,
                error: state.error.clone(),
            })
            .collect()
    }
}

impl Target {
    fn host(&self) -> (&str, IpAddr) {
        (&self.name, self.address.ip())
    }
}

impl State {
    fn good() -> State {
        State {
            failures: 0,
            since: SystemTime::now(),
            error: None,
        }
    }

    /// As the run before left it.
    fn failed(since: SystemTime) -> State {
        State {
            failures: FAILURES,
            since,
            error: Some("it had failed before this start".to_owned()),
        }
    }

    fn has_failed(&self) -> bool {
        self.failures >= FAILURES
    }

    fn note(&mut self, target: &Target, result: Result<(), String>) {
        let had_failed = self.has_failed();
        self.error = result.err();
        self.failures = match &self.error {
            Some(_) => self.failures.saturating_add(1),
            None => 0,
        };

        if self.has_failed() != had_failed {
            self.since = SystemTime::now();
            self.log(target);
        }
    }

    fn log(&self, target: &Target) {
        let Target { name, address } = target;

        match &self.error {
            Some(error) => {
                tracing::warn!(host = %name, %address, %error, "Address left out of our names");
            }
            None => tracing::info!(host = %name, %address, "Address answers again"),
        }
    }
}

fn targets(check: &HealthCheck) -> impl Iterator<Item = Target> {
    let of = |name: &DnsName, address: IpAddr| Target {
        name: name.to_string(),
        address: SocketAddr::new(address, check.port),
    };

    check
        .addresses
        .iter()
        .map(move |address| of(&check.name, *address))
}
