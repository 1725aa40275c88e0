//! [`Dialler`]: when one peer is dialled. The shell resolves names, races all endpoints and does
//! the handshakes.
//!
//! ```text
//!   idle ── dial_within ──► scheduled ── due ──► attempt ── connected ──► scheduled:
//!    ▲                          ▲                 │    │                  no Hello may follow
//!    │                          └── back_off ◄────┘    └── no answer yet ──► patient ──► expired
//!    └── stop: a session is up           failed
//! ```
//! A gateway without endpoints is never dialled. An attempt without an answer is joined by another
//! after a while, and goes on beside it: a round trip may just be long. There is one such patient
//! attempt at most, so that an absent peer is not sent more and more. The first answer counts, and
//! the other attempts are abandoned.

use std::time::{Duration, Instant};

use ringway_config::Endpoint;

use crate::backoff::Backoff;
use crate::id::DialId;
use crate::rng::Rng;
use crate::settings::Settings;

/// The lead of one address over the next when a peer's addresses are raced (RFC 8305, section 5).
const RACE_STEP: Duration = Duration::from_millis(250);

/// Within this time, the race has begun at every address: early enough for a handshake before two
/// seconds are over.
const RACE_START: Duration = Duration::from_millis(1200);

/// Least time between two dials without a failure: a peer may accept sessions only to drop them.
const LEAST_GAP: Duration = Duration::from_secs(1);

/// How long the peer's `Hello` is waited for until it is dialled again: a round trip of 3 s.
const HELLO_PATIENCE: Duration = Duration::from_millis(3250);

/// The lead of one of `count` addresses over the next.
pub fn race_step(count: usize) -> Duration {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);

    RACE_STEP.min(RACE_START / count)
}

#[derive(Debug)]
pub(crate) struct Dialler {
    endpoints: Vec<Endpoint>,
    backoff: Backoff,
    /// The newest dial under way.
    attempt: Option<Attempt>,
    /// An earlier one that has had no answer yet.
    patient: Option<Attempt>,
    /// When the next attempt is due.
    next: Option<Instant>,
    /// When the last attempt started.
    last: Option<Instant>,
}

/// One dial under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) dial: DialId,
    /// The number that its session will have.
    pub(crate) number: u64,
    /// When another attempt joins it.
    joined: Instant,
    /// When it is abandoned.
    deadline: Instant,
}

/// What became of the attempts whose time has come.
#[derive(Debug, Default)]
pub(crate) struct Expired {
    /// The newest attempt has had no answer: another one may join it.
    pub(crate) no_answer: bool,
    /// Attempts to abandon.
    pub(crate) abandoned: Vec<DialId>,
}

impl Dialler {
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            backoff: Backoff::default(),
            attempt: None,
            patient: None,
            next: None,
            last: None,
        }
    }

    /// True if the peer can be dialled at all.
    pub(crate) fn has_endpoints(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// Where the peer is dialled.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Takes the endpoints of the peer's record; true if they have changed.
    pub(crate) fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> bool {
        if self.endpoints == endpoints {
            return false;
        }

        // The new endpoints are worth a dial at once, whenever the last one was.
        self.endpoints = endpoints.to_vec();
        self.backoff.reset();
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
    pub(crate) fn back_off(
        &mut self,
        settings: &Settings,
        rng: &mut Rng,
        may_dial_us: bool,
        now: Instant,
    ) {
        let pause = self.backoff.pause(settings, rng, may_dial_us, now);

        // The pause counts from the start of the attempt, so that a slow failure is not waited for
        // twice.
        let recent = self
            .last
            .filter(|last| *last + self.patience(settings) >= now);
        let start = recent.unwrap_or(now);
        self.schedule((start + pause).max(now));
    }

    /// A session has carried a packet.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff.reset();
    }

    /// The host has changed, so that the peer may be within reach.
    pub(crate) fn hurry(&mut self) {
        self.backoff.hurry();
    }

    /// Cancels what is scheduled. Returns the attempts under way, which the caller abandons.
    pub(crate) fn stop(&mut self) -> impl Iterator<Item = Attempt> {
        self.next = None;

        self.attempt.take().into_iter().chain(self.patient.take())
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.attempt.is_none() && self.next.is_some_and(|at| at <= now)
    }

    /// An attempt was started.
    pub(crate) fn start(&mut self, dial: DialId, number: u64, now: Instant, settings: &Settings) {
        self.attempt = Some(Attempt {
            dial,
            number,
            joined: now + self.patience(settings),
            deadline: now + settings.dial_timeout,
        });

        self.next = None;
        self.last = Some(now);
    }

    /// The attempt that `dial` names has failed. True if it was the newest one: then nothing is
    /// under way that the next dial waits for.
    pub(crate) fn failed(&mut self, dial: DialId) -> bool {
        // An earlier attempt that ends changes nothing: the newest one goes on.
        self.patient.take_if(|attempt| attempt.dial == dial);

        self.attempt
            .take_if(|attempt| attempt.dial == dial)
            .is_some()
    }

    /// The attempt that `dial` names is connected. Returns it, if it is under way, and the others,
    /// which the caller abandons.
    pub(crate) fn connected(&mut self, dial: DialId) -> (Option<Attempt>, Vec<Attempt>) {
        let attempts = self.attempt.take().into_iter().chain(self.patient.take());
        let (connected, others): (Vec<_>, Vec<_>) =
            attempts.partition(|attempt| attempt.dial == dial);

        (connected.into_iter().next(), others)
    }

    /// Looks after attempts that have had no answer for a while.
    pub(crate) fn expire(&mut self, now: Instant) -> Expired {
        let mut expired = Expired::default();

        let too_late = self.patient.take_if(|attempt| attempt.deadline <= now);
        expired
            .abandoned
            .extend(too_late.map(|attempt| attempt.dial));

        if let Some(attempt) = self.attempt.take_if(|attempt| attempt.joined <= now) {
            expired.no_answer = true;

            // There is one place for a patient attempt. The earlier one keeps it: it has waited
            // longer.
            if self.patient.is_none() {
                self.patient = Some(attempt);
            } else {
                expired.abandoned.push(attempt.dial);
            }
        }
        expired
    }

    /// Schedules the next dial for the case that no `Hello` follows on the new connection.
    pub(crate) fn expect_hello(&mut self, now: Instant) {
        // Not before: a dial in parallel would only compete with this connection.
        self.next = None;
        self.schedule(now + HELLO_PATIENCE);
    }

    /// When an attempt has had no answer for long enough, or the next is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let newest = match &self.attempt {
            Some(attempt) => Some(attempt.joined),
            None => self.next,
        };
        let patient = self.patient.as_ref().map(|attempt| attempt.deadline);

        newest.into_iter().chain(patient).min()
    }

    /// How long an attempt is alone: until it has begun at each endpoint, and one more handshake's
    /// time.
    fn patience(&self, settings: &Settings) -> Duration {
        let count = self.endpoints.len();
        let leads = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);

        settings.dial_patience + race_step(count) * leads
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
    fn the_race_has_begun_everywhere_in_time_for_a_handshake_within_two_seconds() {
        assert_eq!(race_step(4), RACE_STEP);
        assert!(race_step(8) * 8 <= Duration::from_millis(1200));
        assert_eq!(race_step(16) * 16, RACE_START);
        assert_eq!(race_step(0), RACE_STEP);
    }

    #[test]
    fn a_gateway_without_endpoints_is_never_dialled() {
        let now = Instant::now();
        let mut dialler = Dialler::new(endpoints(&[]));
        dialler.dial_within(Duration::ZERO, now);
        assert!(!dialler.is_due(now + Duration::from_secs(3600)));
        assert_eq!(dialler.deadline(), None);
    }

    #[test]
    fn redials_at_once_but_never_in_a_loop() {
        let settings = Settings::default();
        let now = Instant::now();
        let mut dialler = Dialler::new(endpoints(&["a"]));
        dialler.dial_within(Duration::ZERO, now);
        assert!(dialler.is_due(now));

        dialler.start(DialId(1), 1, now, &settings);
        assert!(dialler.failed(DialId(1)));
        dialler.dial_within(Duration::ZERO, now);
        assert!(!dialler.is_due(now) && dialler.is_due(now + LEAST_GAP));
    }

    #[test]
    fn an_attempt_without_an_answer_goes_on_beside_the_next_until_its_time_is_over() {
        let settings = Settings::default();
        let start = Instant::now();
        let mut dialler = Dialler::new(endpoints(&["a"]));
        dialler.start(DialId(1), 1, start, &settings);
        assert!(!dialler.expire(start).no_answer);

        let joined = start + settings.dial_patience;
        assert_eq!(dialler.deadline(), Some(joined));
        let expired = dialler.expire(joined);
        assert!(expired.no_answer && expired.abandoned.is_empty());

        // The next ones are not patient as long as the first is.
        for dial in 2..5 {
            let now = start + settings.dial_patience * (dial - 1);
            dialler.start(DialId(dial.into()), 1, now, &settings);
            let expired = dialler.expire(now + settings.dial_patience);
            assert_eq!(expired.abandoned, [DialId(dial.into())]);
            assert!(expired.no_answer);
        }

        let over = start + settings.dial_timeout;
        assert_eq!(dialler.expire(over).abandoned, [DialId(1)]);
        assert_eq!(dialler.deadline(), None);
    }

    #[test]
    fn the_first_answer_counts_and_the_other_attempts_are_abandoned() {
        for first in [1, 2] {
            let settings = Settings::default();
            let start = Instant::now();
            let mut dialler = Dialler::new(endpoints(&["a"]));
            dialler.start(DialId(1), 7, start, &settings);
            let joined = start + settings.dial_patience;
            dialler.expire(joined);
            dialler.start(DialId(2), 7, joined, &settings);

            let (connected, others) = dialler.connected(DialId(first));
            assert_eq!(connected.map(|attempt| attempt.number), Some(7));
            let others: Vec<_> = others.iter().map(|attempt| attempt.dial).collect();
            assert_eq!(others, [DialId(3 - first)]);
            assert!(dialler.stop().next().is_none());
        }
    }

    #[test]
    fn an_older_attempt_that_fails_is_waited_for_no_longer() {
        let settings = Settings::default();
        let start = Instant::now();
        let mut dialler = Dialler::new(endpoints(&["a"]));
        dialler.start(DialId(1), 1, start, &settings);
        assert!(dialler.expire(start + settings.dial_patience).no_answer);
        assert!(!dialler.failed(DialId(1)), "it is not the newest");
        assert_eq!(dialler.deadline(), None);
    }

    #[test]
    fn a_pause_counts_from_the_start_of_the_attempt_and_new_endpoints_end_it() {
        let pause = Duration::from_secs(2);
        let settings = Settings {
            backoff_min: pause,
            backoff_max: pause,
            ..Settings::default()
        };
        let start = Instant::now();
        let mut dialler = Dialler::new(endpoints(&["a"]));
        dialler.start(DialId(1), 1, start, &settings);
        assert!(dialler.failed(DialId(1)));
        let failed = start + Duration::from_secs(1);
        dialler.back_off(&settings, &mut Rng::new(1), true, failed);
        assert!(dialler.is_due(start + pause));

        assert_eq!(dialler.failures(), 1);
        assert!(dialler.set_endpoints(&endpoints(&["b"])));
        assert_eq!(dialler.failures(), 0);
    }

    #[test]
    fn another_attempt_waits_until_the_race_has_reached_the_last_endpoint() {
        let settings = Settings::default();
        let now = Instant::now();
        let mut dialler = Dialler::new(endpoints(&["a", "b", "c", "d", "e", "f", "g", "h"]));
        dialler.start(DialId(1), 1, now, &settings);
        let joined = now + settings.dial_patience + race_step(8) * 7;
        assert_eq!(dialler.deadline(), Some(joined));
    }
}
