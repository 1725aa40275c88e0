//! Accepts handshakes: from whom without a proof of address, and for how long. How many at once is
//! [`super::places`]' to say. Certificates are judged inside the handshake by [`crate::identity`]; sessions
//! are the core's.
//!
//! ```text
//!   Initial ─► address proven? ─ no ─► few under way, or a peer's address, and few from there? ─ no ─► Retry
//!                │ yes                   │ yes                                              (proves the address)
//!                └───────────┬───────────┘
//!                       a place? ─ no ─► refused
//!                            │ yes
//!                            └─► handshake, HANDSHAKE at most ─► Input::Accepted
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use quinn::{ConnectionError, Endpoint, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::endpoint::Tls;
use super::places::{Place, Places, Source};
use super::refusal;
use super::socket::plain;
use crate::drive::Input;
use crate::identity::tls::{LastRefusal, Refused};

/// Handshakes under way above which a stranger must first prove its address (RFC 9000, section 8.1.2).
const QUIET: usize = 8;
/// Handshakes from one source that may be under way without a proof: anyone can write a peer's address on an
/// Initial.
const UNPROVEN: usize = 2;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long the same refusal of the same peer is not logged again.
const PAUSE: Duration = Duration::from_secs(60);
/// Refusals that are remembered, and so logged, in that time: names that strangers invent included.
const REMEMBERED: usize = 64;

/// Addresses of peers, as their sessions and their records have them: a flood of strangers does not slow
/// their redial.
pub type PeerAddresses = Arc<ArcSwap<BTreeSet<IpAddr>>>;

/// Accepts until `stop`; each completed handshake becomes an [`Input::Accepted`].
pub async fn accept(
    endpoint: Endpoint,
    tls: Arc<Tls>,
    peers: PeerAddresses,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let reported = Arc::new(Reported::default());
    let places = Arc::new(Places::default());
    while let Some(Some(incoming)) = stop.run_until_cancelled(endpoint.accept()).await {
        let address = plain(incoming.remote_address()).ip();
        let (source, known) = (Source::from(address), peers.load().contains(&address));
        if !incoming.remote_address_validated() && !may_begin_unproven(places.taken(source), known)
        {
            // Only an address that was validated already cannot be asked again.
            let _ = incoming.retry();
            continue;
        }
        match places.take(source, known) {
            Some(place) => {
                tasks.spawn(handshake(
                    incoming,
                    tls.clone(),
                    reported.clone(),
                    place,
                    inputs.clone(),
                ));
            }
            None => incoming.refuse(),
        }
    }
}

/// Whether a handshake may begin before its address is proven, with so many under way (in all, from there).
fn may_begin_unproven((all, from_there): (usize, usize), known: bool) -> bool {
    from_there < UNPROVEN && (known || all < QUIET)
}

async fn handshake(
    incoming: Incoming,
    tls: Arc<Tls>,
    reported: Arc<Reported>,
    _place: Place,
    inputs: mpsc::Sender<Input>,
) {
    let remote = plain(incoming.remote_address());
    let refused = Arc::new(LastRefusal::default());
    let connecting = match incoming.accept_with(Arc::new(tls.server(refused.clone()))) {
        Ok(connecting) => connecting,
        Err(error) => return tracing::debug!(%remote, %error, "Handshake not begun"),
    };
    match timeout(HANDSHAKE, connecting).await {
        // The drive is gone only when the daemon ends.
        Ok(Ok(connection)) => _ = inputs.send(Input::Accepted(connection)).await,
        Ok(Err(error)) => report(&reported, remote, &error, refused.take()),
        Err(_) => tracing::debug!(%remote, reason = "deadline", "Handshake failed"),
    }
}

/// A refused certificate is worth a warning: somebody has one. Anything else may be a scanner.
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
            tracing::debug!(%remote, reason = %refusal::connection_error(error, remote), "Handshake failed")
        }
    }
}

/// What was logged lately: a peer that is refused tries again every second, a stranger as often as it likes.
#[derive(Default)]
struct Reported(Mutex<BTreeMap<(Option<String>, String), Instant>>);

impl Reported {
    /// True if this peer was not reported for this reason in the last [`PAUSE`].
    fn is_new(&self, claimed: &Option<String>, reason: &str, now: Instant) -> bool {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, at| now.duration_since(*at) < PAUSE);
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
        assert!(may_begin_unproven((QUIET - 1, 0), false));
        assert!(!may_begin_unproven((QUIET, 0), false));
        assert!(may_begin_unproven((QUIET, 0), true));
        assert!(
            !may_begin_unproven((UNPROVEN, UNPROVEN), true),
            "whoever writes a peer's address"
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
