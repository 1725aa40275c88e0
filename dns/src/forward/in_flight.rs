//! [`InFlight`]: the response cache, the questions being resolved, and the waiters of each.
//!
//! Pure: no I/O, no clock. Everything is bounded; at a limit a query fails at once.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::cache::Cache;
use super::response::CachedResponse;
use crate::answer::{ForwardQuestion, ResolverResponse};

/// Different questions in flight. Each holds up to four sockets.
const MAX_QUESTIONS: usize = 128;
/// Of these, questions that one address asked first.
const MAX_QUESTIONS_PER_ASKER: usize = MAX_QUESTIONS / 2;
/// As long as an address has fewer, it may also use the last half of [`MAX_QUESTIONS`], so that a
/// few busy hosts leave something to all others.
const FEW_QUESTIONS: usize = 8;
/// Waiters of all questions together.
const MAX_WAITERS: usize = 1024;
/// Waiters with the same address, so that one host cannot use up [`MAX_WAITERS`].
const MAX_PER_ASKER: usize = 256;

/// Receives the response and its age in seconds; `None` if the name is not forwarded.
pub(crate) type Callback = Box<dyn FnOnce(Option<(&ResolverResponse, u32)>) + Send>;

/// A client's query that waits for its response.
pub(crate) struct Waiter {
    asker: IpAddr,
    callback: Callback,
}

impl Waiter {
    pub(crate) fn new(asker: IpAddr, callback: Callback) -> Waiter {
        Waiter {
            asker: asker.to_canonical(),
            callback,
        }
    }

    pub(crate) fn notify(self, resolved: Option<(&ResolverResponse, u32)>) {
        (self.callback)(resolved);
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("asker", &self.asker)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct InFlight {
    cache: Cache,
    waiters: HashMap<ForwardQuestion, Vec<Waiter>>,
    /// What each asker waits for; never nothing.
    per_asker: HashMap<IpAddr, Share>,
    /// Number of waiters in all.
    total: usize,
    /// Incremented by [`InFlight::invalidate`]: responses to queries of an earlier generation are
    /// not cached.
    generation: u64,
}

/// What one asker has of the limits.
#[derive(Debug, Default, Clone, Copy)]
struct Share {
    waiters: usize,
    /// Questions in flight that it asked first.
    questions: usize,
}

/// How a question will be answered.
pub(super) enum Lookup {
    /// The response was in the cache.
    Cached(Arc<CachedResponse>, Waiter),
    /// A limit is reached: the waiter must get a failure.
    Full(Waiter),
    /// The waiter was added to an equal question in flight.
    Joined,
    /// The caller must query the resolvers and then call [`InFlight::complete`] with this
    /// generation.
    New(u64),
}

impl InFlight {
    pub(super) fn lookup(
        &mut self,
        question: ForwardQuestion,
        waiter: Waiter,
        now: Instant,
    ) -> Lookup {
        if let Some(response) = self.cache.get(&question, now) {
            return Lookup::Cached(response, waiter);
        }

        let is_new = !self.waiters.contains_key(&question);
        let share = self.per_asker.get(&waiter.asker).copied();
        let share = share.unwrap_or_default();
        // Checked before anything changes: a query that fails leaves nothing behind.
        if share.waiters >= MAX_PER_ASKER
            || self.total >= MAX_WAITERS
            || (is_new && !self.may_ask(share))
        {
            return Lookup::Full(waiter);
        }

        let share = Share {
            waiters: share.waiters + 1,
            questions: share.questions + usize::from(is_new),
        };
        self.per_asker.insert(waiter.asker, share);
        self.total += 1;
        self.waiters.entry(question).or_default().push(waiter);
        if is_new {
            Lookup::New(self.generation)
        } else {
            Lookup::Joined
        }
    }

    /// True if an asker with this share may ask the resolvers another question.
    fn may_ask(&self, share: Share) -> bool {
        let is_half_used = self.waiters.len() >= MAX_QUESTIONS / 2;
        let most = if is_half_used {
            FEW_QUESTIONS
        } else {
            MAX_QUESTIONS_PER_ASKER
        };

        share.questions < most && self.waiters.len() < MAX_QUESTIONS
    }

    /// Ends the question: caches its response, and returns the waiters to be notified.
    pub(super) fn complete(
        &mut self,
        question: &ForwardQuestion,
        response: &Arc<CachedResponse>,
        generation: u64,
    ) -> Vec<Waiter> {
        // Otherwise the response may come from a resolver that is no longer configured.
        if generation == self.generation {
            self.cache.insert(question, response);
        }

        let waiters = self.waiters.remove(question).unwrap_or_default();
        self.total -= waiters.len();
        for (place, waiter) in waiters.iter().enumerate() {
            // The first one has asked.
            self.release(waiter.asker, place == 0);
        }
        waiters
    }

    fn release(&mut self, asker: IpAddr, has_asked: bool) {
        let Some(share) = self.per_asker.get_mut(&asker) else {
            return;
        };

        share.waiters -= 1;
        share.questions -= usize::from(has_asked);
        if share.waiters == 0 {
            self.per_asker.remove(&asker);
        }
    }

    /// Empties the cache, now and of responses to queries in flight: other resolvers may answer
    /// otherwise.
    pub(super) fn invalidate(&mut self) {
        self.cache.clear();
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::name::Name;

    fn question(n: usize) -> ForwardQuestion {
        let name = Name::from_text(&format!("h{n}.example")).unwrap();
        ForwardQuestion {
            name,
            kind: 1,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn waiter(last_octet: u8) -> Waiter {
        Waiter::new([10, 0, 0, last_octet].into(), Box::new(|_| ()))
    }

    fn response(now: Instant) -> Arc<CachedResponse> {
        Arc::new(CachedResponse {
            content: ResolverResponse::default(),
            received: now,
            lifetime: Duration::from_secs(5),
            size: 10,
        })
    }

    #[test]
    fn equal_questions_are_sent_once_and_every_waiter_is_notified() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        let lookup =
            |in_flight: &mut InFlight, n, asker| in_flight.lookup(question(n), waiter(asker), now);

        assert!(matches!(lookup(&mut in_flight, 1, 1), Lookup::New(0)));
        assert!(matches!(lookup(&mut in_flight, 1, 2), Lookup::Joined));
        assert!(matches!(lookup(&mut in_flight, 2, 1), Lookup::New(0)));
        assert_eq!(in_flight.complete(&question(1), &response(now), 0).len(), 2);
        assert!(matches!(lookup(&mut in_flight, 1, 3), Lookup::Cached(..)));

        in_flight.invalidate();
        assert!(matches!(lookup(&mut in_flight, 1, 3), Lookup::New(1)));
        assert_eq!(in_flight.total, 2);
        assert_eq!(in_flight.per_asker.len(), 2);

        assert_eq!(in_flight.complete(&question(2), &response(now), 0).len(), 1);
        assert!(
            matches!(lookup(&mut in_flight, 2, 1), Lookup::New(1)),
            "a response of the earlier generation is not cached"
        );
    }

    #[test]
    fn one_client_cannot_use_up_the_waiters_and_all_clients_stay_within_the_limits() {
        let mut in_flight = InFlight::default();
        let now = Instant::now();
        let mut is_full = |n, asker| {
            let lookup = in_flight.lookup(question(n), waiter(asker), now);
            matches!(lookup, Lookup::Full(_))
        };

        assert!((0..MAX_PER_ASKER).all(|_| !is_full(0, 1)));
        assert!(is_full(0, 1));
        assert!(!is_full(0, 2), "another asker is not affected");

        assert!((1..MAX_QUESTIONS / 2).all(|n| !is_full(n, 3)));
        assert!(is_full(MAX_QUESTIONS, 3), "half is one asker's most");
        assert!(!is_full(0, 3), "joining a question in flight still works");
        for n in MAX_QUESTIONS / 2..MAX_QUESTIONS {
            let asker = 100 + (n / FEW_QUESTIONS) as u8;
            assert!(!is_full(n, asker), "a few are left to each of the others");
        }
        assert!(is_full(MAX_QUESTIONS, 201));

        for asker in 4..9 {
            for _ in 0..MAX_PER_ASKER {
                is_full(0, asker);
            }
        }
        assert!(is_full(0, 200));
        assert_eq!(in_flight.total, MAX_WAITERS);

        for n in 0..MAX_QUESTIONS {
            in_flight.complete(&question(n), &response(now), 0);
        }
        assert_eq!(in_flight.total, 0);
        assert!(in_flight.per_asker.is_empty());
        assert!(in_flight.waiters.is_empty());
    }
}
