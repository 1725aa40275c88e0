//! [`Dialler`]: when one peer is dialled, and at which of its endpoints. The shell resolves names,
//! tries addresses and does the handshakes.
//!
//! ```text
//!   idle ── dial_within ──► scheduled ── due ──► attempt ── connected ──► scheduled:
//!    ▲                          ▲                   │                     no Hello may follow
//!    │                          └── back_off ◄──────┘ failed, expired
//!    └── stop: a session is up
//! ```
//! A gateway without endpoints is never dialled. At most one attempt is under way; the next may be
//! scheduled meanwhile.

use std::time::{Duration, Instant};

use ringway_config::Endpoint;

use crate::backoff::Backoff;
use crate::id::DialId;
use crate::rng::Rng;
use crate::settings::Settings;

/// Least time between two dials without a failure: a peer may accept sessions only to drop them.
const LEAST_GAP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Dialler {
    endpoints: Vec<Endpoint>,
    /// Counts up; modulo the number of endpoints it is the one to dial next.
    turn: usize,
    backoff: Backoff,
    attempt: Option<Attempt>,
    /// When the next attempt is due.
    next: Option<Instant>,
    /// When the last attempt started.
    last: Option<Instant>,
}

/// One dial under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) dial: DialId,
    pub(crate) endpoint: Endpoint,
    /// The number that its session will have.
    pub(crate) number: u64,
    deadline: Instant,
}

impl Dialler {
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            turn: 0,
            backoff: Backoff::default(),
            attempt: None,
            next: None,
            last: None,
        }
    }

    /// True if the peer can be dialled at all.
    pub(crate) fn has_endpoints(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// Takes the endpoints of the peer's record; true if they have changed.
    pub(crate) fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> bool {
        if self.endpoints == endpoints {
            return false;
        }

        // The new endpoints are worth a dial at once, whenever the last one was.
        self.endpoints = endpoints.to_vec();
        self.turn = 0;
        self.last = None;
        true
    }

    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// Failed attempts since a session last carried a packet.
    pub(crate) fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Schedules a dial after `delay`, but not before [`LEAST_GAP`] has passed since the last.
    pub(crate) fn dial_within(&mut self, delay: Duration, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + LEAST_GAP);

        self.schedule((now + delay).max(earliest));
    }

    /// Schedules a dial after the back-off, unless one is scheduled earlier.
    pub(crate) fn back_off(&mut self, settings: &Settings, rng: &mut Rng, now: Instant) {
        let pause = self.backoff.pause(settings, rng);

        // The pause counts from the start of the attempt, so that a slow failure is not waited for
        // twice.
        let recent = self
            .last
            .filter(|last| *last + settings.dial_timeout >= now);
        let start = recent.unwrap_or(now);
        self.schedule((start + pause).max(now));
    }

    /// Turns to the next endpoint.
    pub(crate) fn next_endpoint(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }

    /// A session has carried a packet.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff.reset();
    }

    /// Cancels what is scheduled. Returns the attempt under way, which the caller abandons.
    pub(crate) fn stop(&mut self) -> Option<Attempt> {
        self.next = None;
        self.attempt.take()
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.attempt.is_none() && self.next.is_some_and(|at| at <= now)
    }

    /// The endpoint to dial next.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoints.get(self.turn % self.endpoints.len().max(1))
    }

    /// An attempt was started.
    pub(crate) fn start(
        &mut self,
        dial: DialId,
        endpoint: Endpoint,
        number: u64,
        now: Instant,
        settings: &Settings,
    ) {
        self.attempt = Some(Attempt {
            dial,
            endpoint,
            number,
            deadline: now + settings.dial_timeout,
        });

        self.next = None;
        self.last = Some(now);
    }

    /// Ends the attempt that `dial` names and returns it, if it is under way.
    pub(crate) fn finish(&mut self, dial: DialId) -> Option<Attempt> {
        self.attempt.take_if(|attempt| attempt.dial == dial)
    }

    /// Ends an attempt that has taken too long and returns it.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Attempt> {
        self.attempt.take_if(|attempt| attempt.deadline <= now)
    }

    /// Schedules the next dial for the case that no `Hello` follows on the new connection.
    pub(crate) fn connected(&mut self, settings: &Settings, now: Instant) {
        // Not before: a dial in parallel would only compete with this connection.
        self.next = None;
        self.schedule(now + settings.dial_timeout);
    }

    /// When the attempt expires, or the next is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.attempt {
            Some(attempt) => Some(attempt.deadline),
            None => self.next,
        }
    }

    fn schedule(&mut self, at: Instant) {
        if self.has_endpoints() {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::Host;

    use super::*;

    fn endpoints(hosts: &[&str]) -> Vec<Endpoint> {
        hosts
            .iter()
            .map(|host| Endpoint {
                host: Host::Name(host.parse().unwrap()),
                port: 4600,
            })
            .collect()
    }

    #[test]
    fn endpoints_are_tried_in_turn() {
        let mut dialler = Dialler::new(endpoints(&["a", "b"]));
        let mut tried = Vec::new();

        for _ in 0..3 {
            tried.push(dialler.endpoint().unwrap().host.to_string());
            dialler.next_endpoint();
        }
        assert_eq!(tried, ["a", "b", "a"]);
    }

    #[test]
    fn a_gateway_without_endpoints_is_never_dialled() {
        let now = Instant::now();
        let mut dialler = Dialler::new(endpoints(&[]));
        dialler.dial_within(Duration::ZERO, now);
        assert!(!dialler.is_due(now + Duration::from_secs(3600)) && dialler.endpoint().is_none());
        assert_eq!(dialler.deadline(), None);
    }

    #[test]
    fn redials_at_once_but_never_in_a_loop() {
        let settings = Settings::default();
        let now = Instant::now();
        let mut dialler = Dialler::new(endpoints(&["a"]));
        dialler.dial_within(Duration::ZERO, now);
        assert!(dialler.is_due(now));

        let endpoint = dialler.endpoint().unwrap().clone();
        dialler.start(DialId(1), endpoint, 1, now, &settings);
        dialler.finish(DialId(1)).unwrap();
        dialler.dial_within(Duration::ZERO, now);
        assert!(!dialler.is_due(now) && dialler.is_due(now + LEAST_GAP));
    }
}
