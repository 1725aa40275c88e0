//! [`Dialler`]: when to dial one peer, and at which endpoint. Names, addresses and handshakes are the
//! shell's.
//!
//! ```text
//!   idle ──soon/retry──► scheduled ──due──► attempt ──connected──► scheduled, in case no Hello follows
//!    ▲                       ▲                 └──failed, expired──► scheduled (back-off)
//!    └──── stop: a session is up
//! ```
//! A gateway without endpoints is never dialled. At most one attempt is under way.

use std::time::{Duration, Instant};

use ringway_config::Endpoint;

use crate::backoff::Backoff;
use crate::rng::Rng;
use crate::{DialId, Settings};

/// Least time between two dials that no failure made us pause for.
const LEAST_GAP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Dialler {
    endpoints: Vec<Endpoint>,
    /// Counts attempts, to try the endpoints in turn.
    turn: usize,
    backoff: Backoff,
    attempt: Option<Attempt>,
    next: Option<Instant>,
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

    /// True if the peer's endpoints are new.
    pub(crate) fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> bool {
        let changed = self.endpoints != endpoints;
        if changed {
            (self.endpoints, self.turn, self.last) = (endpoints.to_vec(), 0, None);
        }
        changed
    }

    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// Failed attempts since a session last proved itself.
    pub(crate) fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Dials after `delay`, but never in a loop: a peer may take sessions only to drop them.
    pub(crate) fn soon(&mut self, delay: Duration, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + LEAST_GAP);
        self.schedule((now + delay).max(earliest));
    }

    /// Dials again after the back-off, or when it was to dial anyway. An attempt that took long has
    /// waited already: the back-off counts from its start.
    pub(crate) fn retry(&mut self, settings: &Settings, rng: &mut Rng, now: Instant) {
        let pause = self.backoff.pause(settings, rng);
        let start = self
            .last
            .filter(|last| *last + settings.dial_timeout >= now)
            .unwrap_or(now);
        self.schedule((start + pause).max(now));
    }

    /// It is the next endpoint's turn.
    pub(crate) fn turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }

    /// A session has proved itself.
    pub(crate) fn proved(&mut self) {
        self.backoff.reset();
    }

    /// Nothing is to be dialled. Returns the attempt under way, for the caller to abandon.
    pub(crate) fn stop(&mut self) -> Option<Attempt> {
        self.next = None;
        self.attempt.take()
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.attempt.is_none() && self.next.is_some_and(|at| at <= now)
    }

    /// The endpoint whose turn it is.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoints.get(self.turn % self.endpoints.len().max(1))
    }

    /// The shell was told to dial.
    pub(crate) fn start(
        &mut self,
        dial: DialId,
        endpoint: Endpoint,
        number: u64,
        at: Instant,
        settings: &Settings,
    ) {
        self.attempt = Some(Attempt {
            dial,
            endpoint,
            number,
            deadline: at + settings.dial_timeout,
        });
        (self.next, self.last) = (None, Some(at));
    }

    /// The attempt, if it is the one that `dial` names: it is over.
    pub(crate) fn finish(&mut self, dial: DialId) -> Option<Attempt> {
        self.attempt.take_if(|attempt| attempt.dial == dial)
    }

    /// The attempt, if it has taken too long: it is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Attempt> {
        self.attempt.take_if(|attempt| attempt.deadline <= now)
    }

    /// The connection stands, but its `Hello` may never come: then dial again, and not before.
    pub(crate) fn connected(&mut self, settings: &Settings, now: Instant) {
        self.next = None;
        self.schedule(now + settings.dial_timeout);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.attempt
            .as_ref()
            .map(|attempt| attempt.deadline)
            .or(self.next)
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
            dialler.turn();
        }
        assert_eq!(tried, ["a", "b", "a"]);
    }

    #[test]
    fn a_gateway_without_endpoints_is_never_dialled() {
        let now = Instant::now();
        let mut dialler = Dialler::new(endpoints(&[]));
        dialler.soon(Duration::ZERO, now);
        assert!(!dialler.is_due(now + Duration::from_secs(3600)) && dialler.endpoint().is_none());
        assert_eq!(dialler.deadline(), None);
    }

    #[test]
    fn redials_at_once_but_never_in_a_loop() {
        let (settings, now) = (Settings::default(), Instant::now());
        let mut dialler = Dialler::new(endpoints(&["a"]));
        dialler.soon(Duration::ZERO, now);
        assert!(dialler.is_due(now));
        dialler.start(
            DialId(1),
            dialler.endpoint().unwrap().clone(),
            1,
            now,
            &settings,
        );
        dialler.finish(DialId(1)).unwrap();
        dialler.soon(Duration::ZERO, now);
        assert!(!dialler.is_due(now) && dialler.is_due(now + LEAST_GAP));
    }
}
