//! [`Health`]: checks which addresses of our hosts accept connections (`check` in `[[dns.host]]`).
//! Addresses that do not are left out of our names, here and at every member.
//!
//! ```text
//!   every 5 s: poll_round ─► Round, off the loop: connect to each ─► Probed ─► handle_probed
//! ```
//! The gateway probes from its own addresses, like any host of the site, and closes accepted
//! connections at once. Failures are stored ([`FailedAddresses`]): an address that had failed
//! before a restart is not answered until a probe succeeds.

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

/// Time between the starts of two rounds.
const INTERVAL: Duration = Duration::from_secs(5);

/// The name of the finding about failed addresses.
pub const FAILED: &str = "failed addresses";
/// How to fix it.
pub const REMEDY: &str = "start what should listen there, or remove `check` from its [[dns.host]]";

/// Number of failed addresses that a summary lists.
const LISTED: usize = 8;

/// An address is left out after this many consecutive failures.
const FAILURES: u32 = 2;

/// One address of a host, with the port that must accept connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The host's name.
    pub name: String,
    /// The address to probe.
    pub address: SocketAddr,
}

/// The state of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Consecutive failures.
    failures: u32,
    /// When it became good or failed.
    since: SystemTime,
    /// Why the last probe failed.
    error: Option<String>,
}

/// The state of a target, for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The target.
    pub target: Target,
    /// True if it is left out.
    pub has_failed: bool,
    /// When it became good or failed.
    pub since: SystemTime,
    /// Why the last probe failed.
    pub error: Option<String>,
}

/// The checks of our hosts' addresses, and their results. Does no I/O.
#[derive(Debug)]
pub struct Health {
    targets: BTreeMap<Target, State>,
    next_round: Instant,
    /// A round is running.
    is_probing: bool,
}

impl Health {
    /// The checks of `config`. Addresses in `failed` are left out until a probe succeeds; all
    /// others count as good until they fail.
    pub fn new(config: &Config, failed: &FailedAddresses, now: Instant) -> Health {
        Health::of(config.dns.checks.iter().flat_map(targets), failed, now)
    }

    fn of(targets: impl Iterator<Item = Target>, failed: &FailedAddresses, now: Instant) -> Health {
        let targets = targets.map(|target| {
            // An address that had failed before a restart stays left out until it passes.
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

    /// Replaces the checks by those of `config`. The state of an address is kept, even if its port
    /// changes: a failed one is left out until a probe succeeds.
    pub fn set_config(&mut self, config: &Config) {
        self.set_targets(config.dns.checks.iter().flat_map(targets));
    }

    fn set_targets(&mut self, targets: impl IntoIterator<Item = Target>) {
        let before = std::mem::take(&mut self.targets);
        let known: BTreeMap<_, _> = before
            .iter()
            .map(|(target, state)| (target.host(), state))
            .collect();

        self.targets = targets
            .into_iter()
            .map(|target| {
                // The state is kept even if only the check has changed, until the new check has a
                // result.
                let same = before
                    .get(&target)
                    .or_else(|| known.get(&target.host()).copied());
                let state = same.cloned().unwrap_or_else(State::good);
                (target, state)
            })
            .collect();
    }

    /// When the next round is due; `None` while one is running, or without checks.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_idle = self.is_probing || self.targets.is_empty();

        (!is_idle).then_some(self.next_round)
    }

    /// Starts a round, if one is due.
    pub fn poll_round(&mut self, now: Instant) -> Option<Round> {
        self.poll_timeout().filter(|due| *due <= now)?;

        self.is_probing = true;
        self.next_round = now + INTERVAL;
        Some(Round::new(self.targets.keys().cloned().collect()))
    }

    /// Handles the results of a round. True if the set of left-out addresses has changed.
    pub fn handle_probed(&mut self, probed: Probed) -> bool {
        self.is_probing = false;
        let before = self.failed();

        for (target, result) in probed.0 {
            // A reload may have removed the check in the meantime.
            if let Some(state) = self.targets.get_mut(&target) {
                state.note(&target, result);
            }
        }

        self.failed() != before
    }

    /// The addresses to leave out of their names, except where a name would have none left.
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

    /// The failed addresses, to be stored for the next start.
    pub fn to_store(&self) -> FailedAddresses {
        let mut stored = FailedAddresses::default();

        for (target, state) in &self.targets {
            if state.has_failed() {
                stored.insert(&target.name, target.address.ip(), state.since);
            }
        }
        stored
    }

    /// The failed addresses as a text; `None` if there are none.
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

    /// The state that the previous run has stored.
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
