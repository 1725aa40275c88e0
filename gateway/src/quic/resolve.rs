//! Resolves names of endpoints with the host's resolver, never ours: our DNS needs tunnels first.
//!
//! A lookup does not belong to a dial: a cancelled dial leaves it running, and the next dial uses
//! the result. So even a resolver that is slower than a dial is useful, and each name has at most
//! one lookup at a time. When a resolver fails, the addresses of the last good answer are used.
//!
//! An answer is cached only if the last dial with it succeeded: after a failed dial the resolver is
//! asked again, since the peer may have moved.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_core::{DialError, ExternalText};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::tasks::Tasks;

/// Maximum number of addresses kept for a name.
const MAX_ADDRESSES: usize = 8;

/// Lifetime of an answer that has led to a connection.
const ANSWER_TTL: Duration = Duration::from_secs(30);

/// Lifetime of any other answer, and of a failure: shorter than the pause between dials.
const DOUBTFUL_TTL: Duration = Duration::from_secs(1);

/// How long a dial with old addresses waits for new ones.
const WAIT: Duration = Duration::from_millis(250);

/// Maximum of lookups at once: each blocks a thread while the resolver is silent.
const AT_ONCE: usize = 32;

/// How long a name that is not dialled is kept.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// The result of a lookup.
type Answer = Result<Vec<IpAddr>, String>;

/// The result of a lookup with its time; `None` while it is running.
type Found = Option<(Instant, Answer)>;

/// The cache of names.
#[derive(Debug)]
pub(super) struct Resolver {
    names: Mutex<BTreeMap<String, Name>>,
    places: Arc<Semaphore>,
    tasks: Tasks,
}

#[derive(Debug)]
struct Name {
    latest: watch::Receiver<Found>,
    asked: Instant,
    /// The last good answer.
    addresses: Vec<IpAddr>,
    /// The last dial with them succeeded.
    is_confirmed: bool,
}

impl Resolver {
    /// An empty cache. Lookups run as `tasks`.
    pub(super) fn new(tasks: Tasks) -> Resolver {
        Resolver {
            names: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            tasks,
        }
    }

    /// The addresses of `host`, a name or an address, in the resolver's order. Takes as long as the
    /// resolver; the caller may cancel it.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DialError> {
        match host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.look_up(host, system(host.to_owned())).await,
        }
    }

    /// Records that a dial of `host` succeeded.
    pub(super) fn confirm(&self, host: &str) {
        if let Some(name) = self.lock().get_mut(host) {
            name.is_confirmed = true;
        }
    }

    /// True if the last dial of `host` succeeded.
    #[cfg(test)]
    pub(super) fn is_confirmed(&self, host: &str) -> bool {
        self.lock().get(host).is_some_and(|name| name.is_confirmed)
    }

    async fn look_up<L>(&self, host: &str, lookup: L) -> Result<Vec<IpAddr>, DialError>
    where
        L: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let (latest, old) = self.latest(host, lookup);
        let found = if old.is_empty() {
            wait_for(latest).await
        } else {
            // Old addresses are usually still valid, so a slow resolver must not delay the redial.
            timeout(WAIT, wait_for(latest)).await.unwrap_or_default()
        };

        match found {
            Some(Ok(addresses)) => {
                self.learn(host, &addresses);
                Ok(addresses)
            }
            Some(Err(error)) if old.is_empty() => Err(resolve_error(host, &error)),
            None if old.is_empty() => Err(resolve_error(host, "the lookup was lost")),
            _ => Ok(old),
        }
    }

    /// The current lookup of `host`, started now if the last result is too old, and the last good
    /// answer.
    fn latest<L>(&self, host: &str, lookup: L) -> (watch::Receiver<Found>, Vec<IpAddr>)
    where
        L: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let now = Instant::now();
        let mut names = self.lock();
        names.retain(|_, name| now.duration_since(name.asked) < FORGOTTEN);

        let known = names
            .get_mut(host)
            .and_then(|name| name.is_reliable(now).then_some(name));
        let addresses = match known {
            Some(name) => {
                name.asked = now;
                // Until this dial succeeds too.
                name.is_confirmed = false;
                return (name.latest.clone(), name.addresses.clone());
            }
            None => names
                .remove(host)
                .map(|name| name.best())
                .unwrap_or_default(),
        };

        // Still under the lock, so that two simultaneous dials of a name start one lookup.
        let latest = self.begin(lookup);
        let name = Name {
            latest: latest.clone(),
            asked: now,
            addresses: addresses.clone(),
            is_confirmed: false,
        };
        names.insert(host.to_owned(), name);
        (latest, addresses)
    }

    fn begin<L>(&self, lookup: L) -> watch::Receiver<Found>
    where
        L: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let (sender, latest) = watch::channel(None);
        let places = self.places.clone();

        self.tasks.spawn(async move {
            // getaddrinfo(3) blocks its thread until it returns; it cannot be cancelled.
            let _place = places.acquire_owned().await;
            let found = match lookup.await {
                Ok(addresses) if addresses.is_empty() => Err("it has no address".into()),
                Ok(mut addresses) => {
                    addresses.truncate(MAX_ADDRESSES);
                    Ok(addresses)
                }
                Err(error) => Err(error.to_string()),
            };
            // If the dial was cancelled, the next one reads the result.
            sender.send_replace(Some((Instant::now(), found)));
        });
        latest
    }

    fn learn(&self, host: &str, addresses: &[IpAddr]) {
        if let Some(name) = self.lock().get_mut(host) {
            name.addresses = addresses.to_vec();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    /// True if the lookup is running, or its result is recent enough.
    fn is_reliable(&self, now: Instant) -> bool {
        let (ended, lasts) = match &*self.latest.borrow() {
            // An error means that the task was aborted, so no result will come.
            None => return self.latest.has_changed().is_ok(),
            Some((ended, Ok(_))) if self.is_confirmed => (*ended, ANSWER_TTL),
            Some((ended, _)) => (*ended, DOUBTFUL_TTL),
        };

        now.duration_since(ended) < lasts
    }

    /// The addresses to use if the next lookup fails.
    fn best(self) -> Vec<IpAddr> {
        match &*self.latest.borrow() {
            // Perhaps no dial has waited for this answer.
            Some((_, Ok(addresses))) => addresses.clone(),
            _ => self.addresses,
        }
    }
}

/// The result of a lookup; `None` if its task was aborted.
async fn wait_for(mut lookup: watch::Receiver<Found>) -> Option<Answer> {
    let found = lookup.wait_for(Option::is_some).await.ok()?;

    found.as_ref().map(|(_, answer)| answer.clone())
}

fn resolve_error(host: &str, error: &str) -> DialError {
    DialError::Resolve {
        host: host.to_owned(),
        error: ExternalText::new(error),
    }
}

async fn system(host: String) -> io::Result<Vec<IpAddr>> {
    // The port does not affect the answer.
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address: SocketAddr| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn one() -> Vec<IpAddr> {
        vec!["192.0.2.1".parse().unwrap()]
    }

    async fn slowly(found: io::Result<Vec<IpAddr>>) -> io::Result<Vec<IpAddr>> {
        tokio::time::sleep(Duration::from_secs(3)).await;
        found
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_slower_than_a_dial_serves_a_later_dial() {
        let resolver = Resolver::new(Tasks::default());
        let dial = Duration::from_millis(1250);
        assert!(
            timeout(dial, resolver.look_up("gw", slowly(Ok(one()))))
                .await
                .is_err()
        );
        assert!(
            timeout(dial, resolver.look_up("gw", pending()))
                .await
                .is_err(),
            "no second lookup begins"
        );
        assert_eq!(
            timeout(dial, resolver.look_up("gw", pending()))
                .await
                .unwrap(),
            Ok(one())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_answer_outlives_a_resolver_that_fails_or_falls_silent() {
        let resolver = Resolver::new(Tasks::default());
        resolver.look_up("gw", ready(Ok(one()))).await.unwrap();
        resolver.confirm("gw");
        tokio::time::advance(ANSWER_TTL - DOUBTFUL_TTL).await;
        resolver.look_up("gw", pending()).await.unwrap();
        resolver.confirm("gw");
        tokio::time::advance(DOUBTFUL_TTL).await;
        assert_eq!(
            resolver
                .look_up("gw", ready(Err(io::Error::other("refused"))))
                .await,
            Ok(one())
        );
        tokio::time::advance(DOUBTFUL_TTL).await;
        resolver.look_up("gw", pending()).await.unwrap();
        tokio::time::advance(DOUBTFUL_TTL).await;
        assert_eq!(resolver.look_up("gw", pending()).await, Ok(one()));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failed_dial_the_resolver_is_asked_again() {
        let resolver = Resolver::new(Tasks::default());
        let moved: Vec<IpAddr> = vec!["192.0.2.2".parse().unwrap()];
        resolver.look_up("gw", ready(Ok(one()))).await.unwrap();
        resolver.confirm("gw");

        // The connection was lost: the answer is used once more, and not after that.
        tokio::time::advance(DOUBTFUL_TTL).await;
        let again = resolver.look_up("gw", ready(Ok(moved.clone()))).await;
        assert_eq!(again, Ok(one()));
        let next = resolver.look_up("gw", ready(Ok(moved.clone()))).await;
        assert_eq!(next, Ok(moved));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_resolution_is_reported_and_retried_soon() {
        let resolver = Resolver::new(Tasks::default());
        let failed = resolver
            .look_up("gw", ready(Err(io::Error::other("no such name"))))
            .await;
        assert_eq!(
            failed.unwrap_err().to_string(),
            "cannot resolve gw: no such name"
        );
        let again = resolver.look_up("gw", ready(Ok(one()))).await;
        assert!(again.is_err(), "a failure stands for a moment");
        tokio::time::advance(DOUBTFUL_TTL).await;
        assert_eq!(resolver.look_up("gw", ready(Ok(one()))).await, Ok(one()));
    }

    #[tokio::test]
    async fn an_address_needs_no_lookup() {
        let resolver = Resolver::new(Tasks::default());
        assert_eq!(resolver.addresses("192.0.2.1").await, Ok(one()));
        assert_eq!(resolver.addresses("2001:db8::1").await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolved_address_is_kept_for_long_only_if_it_led_to_a_connection() {
        let moved: Vec<IpAddr> = vec!["192.0.2.2".parse().unwrap()];
        for (is_confirmed, expected) in [(true, one()), (false, moved.clone())] {
            let resolver = Resolver::new(Tasks::default());
            resolver.look_up("gw", ready(Ok(one()))).await.unwrap();
            if is_confirmed {
                resolver.confirm("gw");
            }
            tokio::time::advance(ANSWER_TTL - DOUBTFUL_TTL).await;
            let found = resolver.look_up("gw", ready(Ok(moved.clone()))).await;
            assert_eq!(found, Ok(expected), "{is_confirmed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_lookups_and_names_are_limited() {
        let resolver = Resolver::new(Tasks::default());
        let many: Vec<IpAddr> = (0..20).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let found = resolver.look_up("many", ready(Ok(many.clone()))).await;
        assert_eq!(found.unwrap(), many[..MAX_ADDRESSES]);

        // A silent resolver occupies all places; the next lookup waits for one of them.
        let dial = Duration::from_millis(1);
        for number in 0..AT_ONCE {
            let name = format!("silent{number}");
            let lookup = resolver.look_up(&name, slowly(Ok(one())));
            assert!(timeout(dial, lookup).await.is_err());
        }
        let waits = resolver.look_up("waits", ready(Ok(one())));
        assert!(timeout(dial, waits).await.is_err(), "it has no place");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(resolver.look_up("waits", pending()).await, Ok(one()));

        tokio::time::advance(FORGOTTEN).await;
        resolver.look_up("last", ready(Ok(one()))).await.unwrap();
        assert_eq!(
            resolver.lock().len(),
            1,
            "the others were not dialled for long"
        );
    }
}
