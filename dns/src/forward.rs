//! [`Forwarder`]: resolves names outside the consortium through the configured resolvers.
//!
//! ```text
//!   query ─► table: which      ─► in flight: cached? asked  ─► resolvers: one after ─► response
//!            resolvers?           already? at a limit?         the other                  │
//!               │ none: REFUSED      │ cached: at once                                    │
//!               ▼                    │ at a limit: SERVFAIL                               │
//!            callback ◄──────────────┴────────────────── callback of every waiter ◄───────┘
//! ```
//! The caller never blocks: a cached response reaches its callback before [`Forwarder::forward`]
//! returns, any other later, from a task. Equal questions share one upstream query. Which names may
//! be forwarded, and how the response becomes part of our answer, is decided in
//! [`answer`](mod@crate::answer); who may use forwarding, in [`crate::acl`].
//!
//! Invariants: no name of the consortium is sent to a resolver, and no record of one is
//! accepted from a resolver; of its response, only what answers the question is passed on;
//! every callback runs exactly once, within `TIMEOUT`.

mod cache;
mod in_flight;
mod own_names;
mod resolvers;
mod response;
mod scrub;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_config::{Forward, ZoneName};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::in_flight::Waiter;
use self::own_names::OwnNames;

use self::in_flight::{InFlight, Lookup};
use self::resolvers::Resolvers;
use self::response::CachedResponse;
use self::table::Table;
use crate::answer::{ForwardQuestion, ResolverResponse, ede, rcode};
use crate::server::Count;

/// How long a forwarded query may take in all. Stub resolvers repeat theirs after 5 s.
const TIMEOUT: Duration = Duration::from_millis(4500);

/// Forwards queries on behalf of this site. The default has no resolvers and forwards nothing.
#[derive(Debug, Default)]
pub struct Forwarder {
    table: ArcSwap<Table>,
    enabled: AtomicBool,
    in_flight: Mutex<InFlight>,
    tasks: TaskTracker,
    stop: CancellationToken,
    cached: Count,
    joined: Count,
    asked: Count,
    full: Count,
    failed: Count,
}

impl Forwarder {
    /// Replaces the resolvers by those in `forwards`; names at and below `own` are never forwarded.
    ///
    /// Queries in flight end with the resolvers that they were sent to. If anything changed, the
    /// cache is emptied.
    pub fn set(&self, own: &[ZoneName], forwards: &[Forward]) {
        let table = Table::new(OwnNames::new(own), forwards, &self.table.load());
        let changed = table != **self.table.load();

        self.enabled.store(!forwards.is_empty(), Ordering::Relaxed);
        self.table.store(Arc::new(table));

        // Only now: what is asked before the new table is there must not be cached.
        if changed {
            self.in_flight().invalidate();
        }
    }

    /// Totals by outcome, as the label values of `ringway_dns_forwarded_total`: answered from the
    /// cache, joined to an equal query in flight, sent to resolvers, rejected at a limit; and how
    /// many of those sent have failed.
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("known", self.cached.get()),
            ("joined", self.joined.get()),
            ("asked", self.asked.get()),
            ("full", self.full.get()),
            ("failed", self.failed.get()),
        ]
    }

    /// True if any resolver is configured.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Resolves `question` and calls `waiter` back once: with the response or a SERVFAIL, or with
    /// `None` if no resolver is configured for the name.
    pub(crate) fn forward(self: &Arc<Self>, question: ForwardQuestion, waiter: Waiter) {
        let Some(resolvers) = self.table.load().resolvers(&question.name) else {
            return waiter.notify(None);
        };

        let now = Instant::now();
        // The lock must be free again before a callback runs.
        let lookup = self.in_flight().lookup(question, waiter, now);
        match lookup {
            Lookup::Cached(response, waiter) => {
                self.cached.add();
                waiter.notify(Some((&response.content, response.age(now))));
            }
            Lookup::Full(waiter) => {
                self.full.add();
                waiter.notify(Some((&failure(ede::OTHER), 0)));
            }
            Lookup::Joined => self.joined.add(),
            Lookup::New(generation) => {
                self.asked.add();
                let pending = PendingQuery {
                    forwarder: self.clone(),
                    question,
                    generation,
                    response: None,
                };
                self.tasks.spawn(pending.query(resolvers));
            }
        }
    }

    /// Cancels every query in flight (their waiters get SERVFAIL) and waits for the tasks to end.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One query at the resolvers. Its drop completes it, so waiters are notified even if the task is
/// cancelled or panics.
struct PendingQuery {
    forwarder: Arc<Forwarder>,
    question: ForwardQuestion,
    generation: u64,
    response: Option<CachedResponse>,
}

impl PendingQuery {
    async fn query(mut self, resolvers: Arc<Resolvers>) {
        let response = timeout(TIMEOUT, resolvers.query(&self.question));
        let stop = self.forwarder.stop.clone();
        let Some(response) = stop.run_until_cancelled(response).await else {
            return;
        };

        let response = response.unwrap_or_else(|_| failure(ede::NO_REACHABLE_AUTHORITY).into());
        self.response = Some(response);
    }
}

impl Drop for PendingQuery {
    fn drop(&mut self) {
        let response = self.response.take();
        let response = Arc::new(response.unwrap_or_else(|| failure(ede::OTHER).into()));
        if response.content.rcode == rcode::SERVFAIL {
            self.forwarder.failed.add();
        }

        // As in `forward`: callbacks run without the lock.
        let waiters =
            self.forwarder
                .in_flight()
                .complete(&self.question, &response, self.generation);
        for waiter in waiters {
            waiter.notify(Some((&response.content, 0)));
        }
    }
}

/// A SERVFAIL of our own with an extended error code (RFC 8914).
fn failure(ede: u16) -> ResolverResponse {
    ResolverResponse {
        rcode: rcode::SERVFAIL,
        ede: Some(ede),
        ..ResolverResponse::default()
    }
}
