//! [`Forwarder`]: asks configured resolvers for names outside the consortium.
//!
//! ```text
//!   question ─► table: whom? ─► desk: known? being asked? room? ─► resolvers: one after the other ─► found
//!                 │ nobody: REFUSED   │ known: at once    │ none: SERVFAIL                            │
//!                                     └───────────────────────────── everybody who waits ◄───────────┘
//! ```
//! Whoever asks never waits here: an answer that is known is given at once, any other later, by a task
//! of its own. Questions that are equal are asked once. What may be forwarded, and what becomes of the
//! answer, is [`answer`](mod@crate::answer)'s; who may have it, [`crate::acl`]'s.
//!
//! Invariants: no name of the consortium's domain is ever asked elsewhere, and nothing that others say
//! about one is kept; every question that was taken is answered once, in `PATIENCE`.

mod cache;
mod desk;
mod resolvers;
mod said;
mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_config::{Forward, ZoneName};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use desk::Waiter;

use crate::answer::{Ask, Found, ede, rcode};
use crate::server::Count;
use desk::{Desk, Taken};
use resolvers::Resolvers;
use said::Said;
use table::Table;

/// The longest that a question may take: stubs ask again after 5 s.
const PATIENCE: Duration = Duration::from_millis(4500);

/// Asks others on behalf of this site. Without resolvers, as it begins, it asks nobody.
#[derive(Debug, Default)]
pub struct Forwarder {
    table: ArcSwap<Table>,
    on: AtomicBool,
    desk: Mutex<Desk>,
    tasks: TaskTracker,
    stop: CancellationToken,
    known: Count,
    joined: Count,
    asked: Count,
    full: Count,
    failed: Count,
}

impl Forwarder {
    /// Asks whom `forwards` names from now on, and nobody for names of `domain`. Questions under way are
    /// answered by whom they were put to.
    pub fn set(&self, domain: &ZoneName, forwards: &[Forward]) {
        let table = Table::new(domain, forwards, &self.table.load());
        let changed = table != **self.table.load();
        self.on.store(!forwards.is_empty(), Ordering::Relaxed);
        self.table.store(Arc::new(table));
        if changed {
            self.desk().forget();
        }
    }

    /// Questions so far: answered at once, joined to one under way, asked, refused for want of room; and
    /// those of the asked that failed.
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        let Forwarder {
            known,
            joined,
            asked,
            full,
            failed,
            ..
        } = self;
        [
            ("known", known),
            ("joined", joined),
            ("asked", asked),
            ("full", full),
            ("failed", failed),
        ]
        .map(|(what, count)| (what, count.get()))
    }

    /// True if there are names that others are asked for.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Puts `ask` to whoever is to be asked; `waiter` hears of the answer, at once or later, or of the
    /// failure, or that nobody is to be asked.
    pub(crate) fn put(self: &Arc<Self>, ask: Ask, waiter: Waiter) {
        let Some(resolvers) = self.table.load().resolvers(&ask.name) else {
            return waiter.hear(None);
        };
        let now = Instant::now();
        let taken = self.desk().take(ask, waiter, now);
        match &taken {
            Taken::Known(..) => self.known.add(),
            Taken::Full(_) => self.full.add(),
            Taken::Joined => self.joined.add(),
            Taken::First(_) => self.asked.add(),
        }
        match taken {
            Taken::Known(said, waiter) => waiter.hear(Some((&said.found, said.age(now)))),
            Taken::Full(waiter) => waiter.hear(Some((&failure(ede::OTHER), 0))),
            Taken::Joined => {}
            Taken::First(era) => {
                let flight = Flight {
                    forwarder: self.clone(),
                    ask,
                    era,
                    said: None,
                };
                self.tasks.spawn(flight.fly(resolvers));
            }
        }
    }

    /// Asks nobody any more; every question under way fails.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question on its way. Whatever becomes of it, those who wait hear.
struct Flight {
    forwarder: Arc<Forwarder>,
    ask: Ask,
    era: u64,
    said: Option<Said>,
}

impl Flight {
    async fn fly(mut self, resolvers: Arc<Resolvers>) {
        let asking = timeout(PATIENCE, resolvers.ask(&self.ask));
        let Some(said) = self.forwarder.stop.run_until_cancelled(asking).await else {
            return;
        };
        self.said = Some(said.unwrap_or_else(|_| failure(ede::NO_REACHABLE_AUTHORITY).into()));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // None: the task was ended, or panicked over a message.
        let said = self
            .said
            .take()
            .unwrap_or_else(|| failure(ede::OTHER).into());
        let said = Arc::new(said);
        if said.found.rcode == rcode::SERVFAIL {
            self.forwarder.failed.add();
        }
        let waiters = self.forwarder.desk().land(&self.ask, &said, self.era);
        waiters
            .into_iter()
            .for_each(|waiter| waiter.hear(Some((&said.found, 0))));
    }
}

fn failure(ede: u16) -> Found {
    Found {
        rcode: rcode::SERVFAIL,
        ede: Some(ede),
        ..Found::default()
    }
}

/// Hears what was found, and how many seconds ago; `None`: nobody was to be asked.
pub(crate) type Hear = Box<dyn FnOnce(Option<(&Found, u32)>) + Send>;

impl Waiter {
    pub(crate) fn new(asker: IpAddr, hear: Hear) -> Waiter {
        Waiter {
            asker: asker.to_canonical(),
            hear,
        }
    }

    /// Tells the waiter; see [`Hear`].
    pub(crate) fn hear(self, found: Option<(&Found, u32)>) {
        (self.hear)(found);
    }
}
