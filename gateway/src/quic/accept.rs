//! Accepts handshakes: which need no proof of address, and for how long each may last. How many at
//! once is [`super::places`]' to say. Certificates are judged inside the handshake by
//! `ringway-identity`.
//!
//! ```text
//!   Initial ─► address proven? ─ no ─► few under way, or known, and few from there? ─ no ─► Retry
//!                │ yes                   │ yes                                (proves the address)
//!                └───────────┬───────────┘
//!                       a place? ─ no ─► refused
//!                            │ yes
//!                            └─► handshake, HANDSHAKE at most ─► Event::Accepted
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use quinn::{ConnectionError, Endpoint, Incoming};
use ringway_identity::tls::{LastRefusal, Refused};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::endpoint::Tls;
use super::event::{Event, Handshake};
use super::places::{InUse, Place, Places};
use super::refusal;
use super::socket::plain;
use crate::tasks::Tasks;

/// Strangers' handshakes under way above which another must first prove its address (RFC 9000,
/// section 8.1.2).
const QUIET: usize = 8;

/// Handshakes from one source that may be under way without a proof: anyone can write a peer's
/// address on an Initial.
const UNPROVEN: usize = 2;

/// How long a handshake may take: a round trip of three seconds, and repetitions.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the same refusal of the same peer is not logged again.
const PAUSE: Duration = Duration::from_secs(60);

/// Refusals that are remembered, and so logged, in that time. Names that strangers invent count
/// too.
const REMEMBERED: usize = 64;

/// Addresses of peers, from their sessions and their records: a flood of strangers does not slow
/// their redial.
pub type PeerAddresses = Arc<ArcSwap<BTreeSet<IpAddr>>>;

/// Accepts until it is stopped. Each completed handshake becomes an [`Event::Accepted`].
pub async fn accept(
    endpoint: Endpoint,
    tls: Arc<Tls>,
    peers: PeerAddresses,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
) {
    let reported = Arc::new(Reported::default());
    let places = Arc::new(Places::default());

    while let Some(incoming) = endpoint.accept().await {
        let address = plain(incoming.remote_address()).ip();
        let is_peer = peers.load().contains(&address);
        let now = Instant::now();
        let is_known = is_peer || places.is_recent(address, now);

        if !incoming.remote_address_validated()
            && !may_begin_unproven(places.taken(address), is_known)
        {
            // Only an address that was validated already cannot be asked again.
            let _ = incoming.retry();
            continue;
        }

        match places.take(address, is_peer, now) {
            Some(place) => {
                tasks.spawn(handshake(
                    incoming,
                    tls.clone(),
                    reported.clone(),
                    place,
                    events.clone(),
                ));
            }
            // CONNECTION_REFUSED (RFC 9000, section 20.1): a peer reads that we are busy.
            None => incoming.refuse(),
        }
    }
}

/// Whether a handshake may begin before its address is proven, with `taken` under way.
fn may_begin_unproven(taken: InUse, is_known: bool) -> bool {
    taken.by_source < UNPROVEN && (is_known || taken.by_strangers < QUIET)
}

async fn handshake(
    incoming: Incoming,
    tls: Arc<Tls>,
    reported: Arc<Reported>,
    place: Place,
    events: mpsc::Sender<Event>,
) {
    let remote = plain(incoming.remote_address());
    // One for each handshake, so that a refusal is logged with the right address.
    let refused = Arc::new(LastRefusal::default());
    let server = tls.server(refused.clone());
    let connecting = match incoming.accept_with(Arc::new(server.config)) {
        Ok(connecting) => connecting,
        Err(error) => return tracing::debug!(%remote, %error, "Handshake not begun"),
    };

    // quinn's idle timeout is no limit: each packet restarts it, so that a stranger that sends one
    // now and then would keep its place.
    let ended = place
        .evicted
        .run_until_cancelled(timeout(HANDSHAKE, connecting))
        .await;
    match ended {
        Some(Ok(Ok(connection))) => {
            place.completed(Instant::now());
            let handshake = Handshake {
                connection,
                certificate: server.certificate,
            };
            // The receiver is gone only when the daemon ends.
            let _ = events.send(Event::Accepted(handshake)).await;
        }
        Some(Ok(Err(error))) => report(&reported, remote, &error, refused.take()),
        Some(Err(_)) => tracing::debug!(%remote, reason = "deadline", "Handshake failed"),
        None => tracing::debug!(%remote, reason = "displaced", "Handshake failed"),
    }
}

/// A refused certificate is worth a warning: its owner wants something. Anything else may be a
/// scanner.
fn report(
    reported: &Reported,
    remote: SocketAddr,
    error: &ConnectionError,
    refused: Option<Refused>,
) {
    match refused {
        Some(Refused { claimed, refusal }) => {
            let reason = refusal.to_string();
            if reported.is_new(&claimed, &reason, Instant::now()) {
                tracing::warn!(%remote, peer = claimed, reason, "Peer refused");
            }
        }
        None => {
            let reason = refusal::connection_error(error, remote);
            tracing::debug!(%remote, %reason, "Handshake failed");
        }
    }
}

/// What was logged lately: a peer that is refused tries again every second, a stranger even more
/// often.
#[derive(Default)]
struct Reported(Mutex<BTreeMap<(Option<String>, String), Instant>>);

impl Reported {
    /// True if this peer was not reported for this reason in the last [`PAUSE`].
    fn is_new(&self, claimed: &Option<String>, reason: &str, now: Instant) -> bool {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, at| now.duration_since(*at) < PAUSE);

        // A full table logs nothing new rather than forgetting: strangers invent names without end.
        lately.len() < REMEMBERED
            && lately
                .insert((claimed.clone(), reason.into()), now)
                .is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_proven_under_load_unless_it_is_a_peers() {
        let taken = |by_strangers, by_source| InUse {
            by_strangers,
            by_source,
        };

        assert!(may_begin_unproven(taken(QUIET - 1, 0), false));
        assert!(!may_begin_unproven(taken(QUIET, 0), false));
        assert!(may_begin_unproven(taken(QUIET, 0), true));
        assert!(
            !may_begin_unproven(taken(UNPROVEN, UNPROVEN), true),
            "a stranger who writes a peer's address on its Initials"
        );
    }

    #[test]
    fn a_refusal_is_reported_once_in_a_while_and_a_flood_is_cut_short() {
        let (reported, start) = (Reported::default(), Instant::now());
        let claimed = |n: usize| Some(format!("spiffe://org{n}.example/gateway/gw"));
        assert!(reported.is_new(&claimed(0), "expired", start));
        assert!(!reported.is_new(&claimed(0), "expired", start + PAUSE / 2));
        assert!(reported.is_new(&claimed(0), "revoked", start));
        assert!(reported.is_new(&claimed(0), "expired", start + PAUSE * 2));
        let flood =
            (0..10 * REMEMBERED).filter(|n| reported.is_new(&claimed(*n), "x", start + PAUSE * 2));
        assert_eq!(flood.count(), REMEMBERED - 1);
    }
}
