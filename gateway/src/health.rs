//! [`Health`]: which addresses of our hosts accept connections (`check` in `[[dns.host]]`). Those
//! that do not are left out of our names, here and at every member.
//!
//! ```text
//!   every 5 s: Health::look ─► Round, off the loop: connect to each ─► Probed ─► Health::note
//! ```
//! The gateway probes from its own addresses, as any host of the site would. A connection that is
//! accepted is closed at once.

mod round;

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use ringway_config::{Config, DnsName, HealthCheck};
use ringway_dns::Name;

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
    /// The checks of `config`. Every address counts as good until it has failed.
    pub fn new(config: &Config, now: Instant) -> Health {
        let mut health = Health {
            targets: BTreeMap::new(),
            next_round: now,
            is_probing: false,
        };
        health.follow(config);
        health
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str) -> Target {
        Target {
            name: "peer0.acme.example".into(),
            address: address.parse().unwrap(),
        }
    }

    fn health(addresses: &[&str], now: Instant) -> Health {
        let targets = addresses.iter().map(|address| target(address));

        Health {
            targets: targets.map(|target| (target, State::good())).collect(),
            next_round: now,
            is_probing: false,
        }
    }

    /// One round in which the addresses with these ports fail.
    fn round(health: &mut Health, failing: &[u16], now: Instant) -> bool {
        let round = health.look(now).expect("a round is due");
        let results = round.targets().iter().map(|target| {
            let fails = failing.contains(&target.address.port());
            let result = if fails {
                Err("refused".to_owned())
            } else {
                Ok(())
            };
            (target.clone(), result)
        });
        let probed = Probed(results.collect());
        health.note(probed)
    }

    #[test]
    fn an_address_is_left_out_after_two_failures_and_returns_after_one_success() {
        let start = Instant::now();
        let mut health = health(&["10.1.0.11:1", "10.1.0.12:2"], start);

        assert!(!round(&mut health, &[1], start));
        assert!(health.failed().is_empty());
        assert!(round(&mut health, &[1], start + INTERVAL));
        assert_eq!(health.failed().len(), 1);
        assert!(!round(&mut health, &[1], start + 2 * INTERVAL));
        assert!(round(&mut health, &[], start + 3 * INTERVAL));
        assert!(health.failed().is_empty());
    }

    #[test]
    fn failures_count_only_in_a_row() {
        let start = Instant::now();
        let mut health = health(&["10.1.0.11:1"], start);

        for number in 0..6 {
            let failing: &[u16] = if number % 2 == 0 { &[1] } else { &[] };
            assert!(!round(&mut health, failing, start + number * INTERVAL));
        }
    }

    #[test]
    fn an_address_that_has_failed_stays_so_after_a_change_of_the_checks() {
        let start = Instant::now();
        let mut health = health(&["10.1.0.11:1", "10.1.0.12:2"], start);
        round(&mut health, &[1], start);
        round(&mut health, &[1], start + INTERVAL);
        let failed = health.failed();

        for port in [1, 3] {
            health.follow_targets([target(&format!("10.1.0.11:{port}"))]);
            assert_eq!(health.failed(), failed, "port {port}");
        }
        assert!(round(&mut health, &[], start + 2 * INTERVAL));
        assert!(health.failed().is_empty());

        round(&mut health, &[3], start + 3 * INTERVAL);
        round(&mut health, &[3], start + 4 * INTERVAL);
        assert_eq!(health.failed(), failed);
        health.follow_targets([target("10.1.0.13:3")]);
        assert!(health.failed().is_empty(), "nobody checks it any more");
    }

    #[test]
    fn no_round_begins_before_its_time_or_during_another() {
        let start = Instant::now();
        let mut health = health(&["10.1.0.11:1"], start);

        let first = health.look(start).expect("the first is due at once");
        assert_eq!(health.poll_timeout(), None);
        assert!(health.look(start + 2 * INTERVAL).is_none());
        let results = first.targets().iter().map(|t| (t.clone(), Ok(())));
        let probed = Probed(results.collect());
        health.note(probed);
        assert!(health.look(start + INTERVAL / 2).is_none());
        assert!(health.look(start + INTERVAL).is_some());
    }
}
