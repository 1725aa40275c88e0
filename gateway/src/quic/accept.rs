//! Accepts handshakes: decides which ones must prove their address, and limits their duration.
//! [`super::places`] limits how many run at once. `ringway-identity` verifies certificates inside
//! the handshake.
//!
//! ```text
//!   Initial ─► address proven? ─ no ─► few under way, or known, and few from there? ─ no ─► Retry
//!                │ yes                   │ yes                                (proves the address)
//!                └───────────┬───────────┘
//!                       a place? ─ no ─► refused
//!                            │ yes
//!                            └─► handshake, HANDSHAKE at most ─► Event::Accepted
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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
use super::refusals::{Attempt, Refusals};
use super::socket::plain;
use crate::tasks::Tasks;

/// Number of strangers' handshakes from which on another one must first prove its address (RFC
/// 9000, section 8.1.2).
const QUIET: usize = 8;

/// Handshakes from one source that may run without a proof: anyone can forge a peer's address in an
/// Initial.
const UNPROVEN: usize = 2;

/// Time limit of a handshake: enough for a round trip of three seconds, with retransmissions.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Addresses of peers, from their sessions and records, so that a flood of strangers does not delay
/// their redial.
pub type PeerAddresses = Arc<ArcSwap<BTreeSet<IpAddr>>>;

/// Accepts handshakes until it is stopped. Each completed one becomes an [`Event::Accepted`].
pub async fn accept(
    endpoint: Endpoint,
    tls: Arc<Tls>,
    peers: PeerAddresses,
    refusals: Arc<Refusals>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
) {
    let places = Arc::new(Places::default());

    while let Some(incoming) = endpoint.accept().await {
        let address = plain(incoming.remote_address()).ip();
        let is_peer = peers.load().contains(&address);
        let now = Instant::now();
        let is_known = is_peer || places.is_recent(address, now);

        if !incoming.remote_address_validated()
            && !may_begin_unproven(places.taken(address), is_known)
        {
            // Fails only if the address was already validated.
            let _ = incoming.retry();
            continue;
        }

        match places.take(address, is_peer, now) {
            Some(place) => {
                tasks.spawn(handshake(
                    incoming,
                    tls.clone(),
                    Reporter {
                        refusals: refusals.clone(),
                        tls: tls.clone(),
                        is_peer_address: is_peer,
                    },
                    place,
                    events.clone(),
                ));
            }
            // CONNECTION_REFUSED (RFC 9000, section 20.1): tells a peer that we are busy.
            None => {
                refusals.count("no-place");
                incoming.refuse();
            }
        }
    }
}

/// True if a handshake may start before its address is proven, with `taken` others running.
fn may_begin_unproven(taken: InUse, is_known: bool) -> bool {
    taken.by_source < UNPROVEN && (is_known || taken.by_strangers < QUIET)
}

async fn handshake(
    incoming: Incoming,
    tls: Arc<Tls>,
    reporter: Reporter,
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

    // quinn's idle timeout does not help: each packet restarts it, so a stranger could hold its
    // place with an occasional packet.
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
        Some(Ok(Err(error))) => reporter.failed(remote, &error, refused.take()),
        Some(Err(_)) => reporter.abandoned(remote, "deadline"),
        None => reporter.abandoned(remote, "displaced"),
    }
}

/// Reports failed handshakes.
struct Reporter {
    refusals: Arc<Refusals>,
    tls: Arc<Tls>,
    is_peer_address: bool,
}

impl Reporter {
    /// A refused certificate is worth a warning, since its owner is probably a member. Anything
    /// else may be a scanner.
    fn failed(&self, remote: SocketAddr, error: &ConnectionError, refused: Option<Refused>) {
        let Some(Refused { claimed, refusal }) = refused else {
            self.refusals.count("no-certificate");
            let reason = refusal::connection_error(error, remote);
            tracing::debug!(%remote, %reason, "Handshake failed");
            return;
        };

        let attempt = Attempt {
            remote: remote.ip(),
            claimed: claimed.as_deref(),
            is_member: self.tls.names_a_member(claimed.as_deref()),
            is_peer_address: self.is_peer_address,
        };
        let reason = refusal.to_string();
        let kind = refusal.code().name();
        if let Some(left_out) = self.refusals.note(kind, attempt, &reason, Instant::now()) {
            let left_out = (left_out > 0).then_some(left_out);
            tracing::warn!(%remote, peer = claimed, reason, left_out, "Peer refused");
        }
    }

    fn abandoned(&self, remote: SocketAddr, reason: &'static str) {
        self.refusals.count(reason);
        tracing::debug!(%remote, reason, "Handshake failed");
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
}
