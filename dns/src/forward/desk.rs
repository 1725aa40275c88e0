//! [`Desk`]: which questions are known, which are under way, and who waits for them. Pure; all of it bounded.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Hear;
use super::cache::Cache;
use super::said::Said;
use crate::answer::Ask;

/// Different questions under way; each takes a few sockets.
const MAX_FLIGHTS: usize = 128;
/// Questions that wait, in all and of one asker. Whoever comes on top hears of a failure at once.
const MAX_WAITING: usize = 1024;
const MAX_PER_ASKER: usize = 256;

/// Somebody who waits for an answer.
pub(crate) struct Waiter {
    pub(super) asker: IpAddr,
    pub(super) hear: Hear,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    cache: Cache,
    flights: HashMap<Ask, Vec<Waiter>>,
    waiting: HashMap<IpAddr, usize>,
    all: usize,
    /// How often everything was forgotten.
    era: u64,
}

/// What became of a question.
pub(super) enum Taken {
    /// The answer is known.
    Known(Arc<Said>, Waiter),
    /// Too much is under way.
    Full(Waiter),
    /// It is being asked already.
    Joined,
    /// It is to be asked now, in this era.
    First(u64),
}

impl Desk {
    pub(super) fn take(&mut self, ask: Ask, waiter: Waiter, now: Instant) -> Taken {
        if let Some(said) = self.cache.find(&ask, now) {
            return Taken::Known(said, waiter);
        }
        let mine = self.waiting.get(&waiter.asker).copied().unwrap_or(0);
        let is_new = !self.flights.contains_key(&ask);
        if mine >= MAX_PER_ASKER
            || self.all >= MAX_WAITING
            || (is_new && self.flights.len() >= MAX_FLIGHTS)
        {
            return Taken::Full(waiter);
        }
        self.waiting.insert(waiter.asker, mine + 1);
        self.all += 1;
        self.flights.entry(ask).or_default().push(waiter);
        if is_new {
            Taken::First(self.era)
        } else {
            Taken::Joined
        }
    }

    /// `said` is the answer to `ask`, put in `era`: gives those who waited for it.
    pub(super) fn land(&mut self, ask: &Ask, said: &Arc<Said>, era: u64) -> Vec<Waiter> {
        if era == self.era {
            self.cache.keep(ask, said);
        }
        let waiters = self.flights.remove(ask).unwrap_or_default();
        for waiter in &waiters {
            self.all -= 1;
            if let Some(count) = self.waiting.get_mut(&waiter.asker) {
                *count -= 1;
                if *count == 0 {
                    self.waiting.remove(&waiter.asker);
                }
            }
        }
        waiters
    }

    /// Forgets every answer: others are to be asked from now on.
    pub(super) fn forget(&mut self) {
        self.cache.clear();
        self.era += 1;
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("asker", &self.asker)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer::Found;
    use crate::name::Name;

    fn ask(n: usize) -> Ask {
        let name = Name::from_text(&format!("h{n}.example")).unwrap();
        Ask {
            name,
            kind: 1,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn waiter(last: u8) -> Waiter {
        Waiter::new([10, 0, 0, last].into(), Box::new(|_| ()))
    }

    fn said(now: Instant) -> Arc<Said> {
        Arc::new(Said {
            found: Found::default(),
            at: now,
            holds: Duration::from_secs(5),
            size: 10,
        })
    }

    #[test]
    fn equal_questions_are_asked_once_and_all_who_wait_hear() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert!(matches!(desk.take(ask(1), waiter(1), now), Taken::First(0)));
        assert!(matches!(desk.take(ask(1), waiter(2), now), Taken::Joined));
        assert!(matches!(desk.take(ask(2), waiter(1), now), Taken::First(0)));
        assert_eq!(desk.land(&ask(1), &said(now), 0).len(), 2);
        assert!(matches!(
            desk.take(ask(1), waiter(3), now),
            Taken::Known(..)
        ));
        desk.forget();
        assert!(matches!(desk.take(ask(1), waiter(3), now), Taken::First(1)));
        assert_eq!((desk.all, desk.waiting.len()), (2, 2));
        assert_eq!(desk.land(&ask(2), &said(now), 0).len(), 1);
        assert!(
            matches!(desk.take(ask(2), waiter(1), now), Taken::First(1)),
            "of the time before"
        );
    }

    #[test]
    fn one_asker_cannot_fill_the_desk_and_nobody_can_overfill_it() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        let full = |taken| matches!(taken, Taken::Full(_));
        let mut take = |n, last| full(desk.take(ask(n), waiter(last), now));
        assert!((0..MAX_PER_ASKER).all(|_| !take(0, 1)) && take(0, 1));
        assert!(!take(0, 2), "another has room");
        assert!((1..MAX_FLIGHTS).all(|n| !take(n, 3)) && take(MAX_FLIGHTS, 3));
        assert!(!take(0, 3), "what is under way can be waited for");
        (4..9).for_each(|last| (0..MAX_PER_ASKER).for_each(|_| _ = take(0, last)));
        assert!(take(0, 200));
        assert_eq!(desk.all, MAX_WAITING);
        (0..MAX_FLIGHTS).for_each(|n| _ = desk.land(&ask(n), &said(now), 0));
        assert!(desk.all == 0 && desk.waiting.is_empty() && desk.flights.is_empty());
    }
}
