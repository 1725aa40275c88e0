//! Accepts handshakes: how many at once, from whom without a proof of address, and for how long.
//! Certificates are judged inside the handshake by [`crate::identity`]; sessions are the core's.
//!
//! ```text
//!   Initial ─► under way ≤ QUIET, or from a live peer's address? ─ no ─► Retry (proves the address)
//!                │ yes
//!                └─► handshake, HANDSHAKE at most ─► Input::Accepted
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use quinn::{ConnectionError, Endpoint, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::endpoint::{MAX_INCOMING, Tls};
use super::refusal;
use super::socket::plain;
use crate::drive::Input;
use crate::identity::tls::{LastRefusal, Refused};

/// Handshakes under way above which a stranger must first prove its address (RFC 9000, section 8.1.2).
const QUIET: usize = 8;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Refusals that are logged a second: a stranger can cause any number of them.
const LOGGED: u64 = 10;

/// Addresses of peers with a live session: a flood of strangers does not slow their redial.
pub type LivePeers = Arc<ArcSwap<BTreeSet<IpAddr>>>;

/// Accepts until `stop`; each completed handshake becomes an [`Input::Accepted`].
pub async fn accept(
    endpoint: Endpoint,
    tls: Arc<Tls>,
    live: LivePeers,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_INCOMING));
    while let Some(Some(incoming)) = stop.run_until_cancelled(endpoint.accept()).await {
        let under_way = MAX_INCOMING - places.available_permits();
        let Ok(place) = places.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let known = live.load().contains(&plain(incoming.remote_address()).ip());
        if under_way >= QUIET && !known && incoming.may_retry() {
            // Only an address that was validated already cannot be asked again.
            let _ = incoming.retry();
            continue;
        }
        tasks.spawn(handshake(incoming, tls.clone(), place, inputs.clone()));
    }
}

async fn handshake(
    incoming: Incoming,
    tls: Arc<Tls>,
    _place: OwnedSemaphorePermit,
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
        Ok(Err(error)) => report(remote, &error, refused.take()),
        Err(_) => tracing::debug!(%remote, reason = "deadline", "Handshake failed"),
    }
}

/// A refused certificate is worth a warning: somebody has one. Anything else may be a scanner.
fn report(remote: SocketAddr, error: &ConnectionError, refused: Option<Refused>) {
    match refused {
        Some(Refused { claimed, refusal }) if may_log() => {
            tracing::warn!(%remote, peer = claimed, reason = %refusal, "Peer refused");
        }
        _ => tracing::debug!(%remote, reason = refusal::describe(error, remote), "Handshake failed"),
    }
}

/// False when this second's warnings are used up.
fn may_log() -> bool {
    /// The second (upper 32 bits) and how many it has had.
    static SPENT: AtomicU64 = AtomicU64::new(0);
    let second = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() << 32;
    let spend = |spent: u64| Some(if spent & !0xffff_ffff == second { spent + 1 } else { second + 1 });
    let spent = SPENT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).unwrap_or(0);
    spent & !0xffff_ffff != second || (spent & 0xffff_ffff) < LOGGED
}
