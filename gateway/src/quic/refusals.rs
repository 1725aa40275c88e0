//! [`Refusals`]: counts failed handshakes by reason, and decides which of them are logged.
//!
//! A refused peer retries every second, and strangers can invent names without limit. So the log
//! lines are budgeted: each member's gateway has a budget for attempts from an address of a peer,
//! and another one for attempts from elsewhere, which anyone can forge; all other names share the
//! budgets of their network and of all strangers. Omitted lines are counted, and the next line has
//! the count.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::places::network;

/// Period of the budgets. The same refusal of the same name is logged once in it.
const MINUTE: Duration = Duration::from_secs(60);

/// Lines about a member's gateway, from an address of a peer.
const OF_PEER: u32 = 4;

/// Lines about a member's gateway, from another address.
const OF_MEMBER: u32 = 2;

/// Lines about names from one network (/24, /48).
const OF_NETWORK: u32 = 2;

/// Lines about names that no member has.
const OF_STRANGERS: u32 = 16;

/// Maximum of remembered networks and of remembered refusals. Beyond it, nothing more is logged.
const MOST: usize = 1024;

/// Counters, and the budgets of the log.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<State>);

/// A refused peer.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Its address.
    pub remote: IpAddr,
    /// The unverified name in its certificate.
    pub claimed: Option<&'a str>,
    /// A member's gateway has that name.
    pub is_member: bool,
    /// The address is one of a peer.
    pub is_peer_address: bool,
}

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<&'static str, u64>,
    /// Start of the current period.
    since: Option<Instant>,
    lines: BTreeMap<Topic, u32>,
    /// Names and reasons that were logged.
    logged: BTreeMap<(Option<String>, bool, String), Instant>,
    /// Number of lines omitted since the last one.
    left_out: u64,
}

/// What a budget is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Peer(String),
    Member(String),
    Network(IpAddr),
    Strangers,
}

impl Refusals {
    /// Counts a failure that is not worth a line.
    pub fn count(&self, kind: &'static str) {
        *self.lock().counts.entry(kind).or_default() += 1;
    }

    /// Counts a refused certificate. If it should be logged, returns how many lines were omitted
    /// before.
    pub fn note(
        &self,
        kind: &'static str,
        attempt: Attempt<'_>,
        reason: &str,
        now: Instant,
    ) -> Option<u64> {
        let mut state = self.lock();
        *state.counts.entry(kind).or_default() += 1;

        if state.is_new(attempt, reason, now) && state.has_room(attempt, now) {
            Some(std::mem::take(&mut state.left_out))
        } else {
            state.left_out += 1;
            None
        }
    }

    /// Counts by reason.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True if this name was not logged for this reason in the current period.
    fn is_new(&mut self, attempt: Attempt<'_>, reason: &str, now: Instant) -> bool {
        self.logged
            .retain(|_, at| now.saturating_duration_since(*at) < MINUTE);
        let key = (
            attempt.claimed.map(str::to_owned),
            attempt.is_peer_address,
            reason.to_owned(),
        );
        if self.logged.contains_key(&key) {
            return false;
        }

        // A full table drops nothing: names that are not logged are not added.
        let has_room = attempt.is_member || self.logged.len() < MOST;
        if has_room && self.would_have_room(attempt, now) {
            self.logged.insert(key, now);
        }
        has_room
    }

    fn would_have_room(&mut self, attempt: Attempt<'_>, now: Instant) -> bool {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        if age.is_none_or(|age| MINUTE <= age) {
            self.since = Some(now);
            self.lines.clear();
        }

        topics(attempt)
            .iter()
            .all(|(topic, most)| self.lines.get(topic).is_none_or(|used| used < most))
    }

    /// Takes a line from each budget of its topics, if all have one.
    fn has_room(&mut self, attempt: Attempt<'_>, now: Instant) -> bool {
        if !self.would_have_room(attempt, now) {
            return false;
        }

        for (topic, _) in topics(attempt) {
            *self.lines.entry(topic).or_default() += 1;
        }
        true
    }
}

/// The topics of a line about `attempt`, with their budgets.
fn topics(attempt: Attempt<'_>) -> Vec<(Topic, u32)> {
    let network = (Topic::Network(network(attempt.remote)), OF_NETWORK);
    // A stranger can claim any name, so its address decides.
    let Some(name) = attempt.claimed.filter(|_| attempt.is_member) else {
        return vec![network, (Topic::Strangers, OF_STRANGERS)];
    };

    // From the peer's own address, so that others cannot use up its lines.
    if attempt.is_peer_address {
        vec![(Topic::Peer(name.to_owned()), OF_PEER)]
    } else {
        vec![(Topic::Member(name.to_owned()), OF_MEMBER), network]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(remote: &str, claimed: &'static str) -> Attempt<'static> {
        Attempt {
            remote: remote.parse().unwrap(),
            claimed: Some(claimed),
            is_member: false,
            is_peer_address: false,
        }
    }

    #[test]
    fn the_same_refusal_is_logged_once_a_minute() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let attempt = stranger("192.0.2.1", "a");
        let note = |reason, now| refusals.note("expired", attempt, reason, now);
        assert_eq!(note("expired", start), Some(0));
        assert_eq!(note("expired", start + MINUTE / 2), None);
        assert_eq!(note("revoked", start), Some(1), "one was left out");
        assert_eq!(note("expired", start + MINUTE), Some(0));
        assert_eq!(refusals.counts()["expired"], 4);
    }

    #[test]
    fn a_flood_of_invented_names_is_counted_and_leaves_room_for_members() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let mut lines = 0;
        for number in 0..5000 {
            let name = format!("spiffe://org{number}.example/gateway/gw");
            // Two networks.
            let remote = IpAddr::from([192, 0, (number % 2) as u8, (number % 256) as u8]);
            let attempt = Attempt {
                remote,
                claimed: Some(&name),
                is_member: false,
                is_peer_address: false,
            };
            lines += u32::from(refusals.note("issuer", attempt, "x", now).is_some());
        }
        assert_eq!(lines, 2 * OF_NETWORK);

        let member = Attempt {
            is_member: true,
            is_peer_address: true,
            ..stranger("192.0.0.1", "gw.org1")
        };
        assert_eq!(refusals.note("expired", member, "y", now), Some(4996));
        assert_eq!(refusals.counts()["issuer"], 5000);
    }

    #[test]
    fn strangers_from_everywhere_have_a_bound_and_so_has_what_is_remembered() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let mut lines = 0;
        for number in 0..100_000_u32 {
            let name = number.to_string();
            let attempt = Attempt {
                remote: IpAddr::from((number << 8).to_be_bytes()),
                claimed: Some(&name),
                is_member: false,
                is_peer_address: false,
            };
            lines += u32::from(refusals.note("issuer", attempt, "x", now).is_some());
        }
        assert_eq!(lines, OF_STRANGERS);
        let state = refusals.lock();
        assert!(state.logged.len() <= MOST && state.lines.len() <= MOST);
    }

    #[test]
    fn a_forged_name_does_not_use_up_a_members_log_lines() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let forged = Attempt {
            is_member: true,
            ..stranger("198.51.100.1", "gw.org1")
        };
        for number in 0..100 {
            refusals.note("issuer", forged, &number.to_string(), now);
        }

        let from_the_peer = Attempt {
            is_peer_address: true,
            ..forged
        };
        assert!(refusals.note("issuer", from_the_peer, "0", now).is_some());
    }
}
