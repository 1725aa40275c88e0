//! Keeps the kernel's routes as the core wants them: a task of its own, so that netlink never holds up
//! the mesh. Takes the latest wish only; what was refused is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_config::{Config, Connected, GatewayId, Prefix, Ruling};
use ringway_core::{ConnId, Fib};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::host::links::Links;
use crate::host::routes::{RouteState, Routes, RoutesError};

/// How soon a refused change is tried again, and at the latest the kernel's routes are looked at.
const RETRY: Duration = Duration::from_secs(1);
const RECONCILE: Duration = Duration::from_secs(30);

/// The routes that are wanted now.
pub type Wanted = BTreeMap<Prefix, RouteState>;

/// Prefixes whose packets go through a tunnel, as the kernel last agreed.
pub type Installed = Arc<ArcSwap<BTreeSet<Prefix>>>;

/// Every remote prefix, whatever its verdict: through the TUN if the table has a session for it, else
/// unreachable. Left out is what this host needs for itself: a prefix that overlaps the own site's, a
/// reserved or a connected one. `links` gives the source addresses of this host's own packets, `mtu` the longest
/// packet that a session takes.
pub fn wanted(
    config: &Config,
    rulings: &[Ruling],
    connected: &[Connected],
    fib: &Fib,
    links: &Links,
    mtu: impl Fn(ConnId) -> Option<u32>,
) -> Wanted {
    let own: Vec<Prefix> = config.own_prefixes().iter().map(|own| own.prefix).collect();
    let here: Vec<Prefix> = (own.iter().copied())
        .chain(config.reserved.iter().map(|reserved| reserved.prefix))
        .chain(connected.iter().map(|network| network.prefix))
        .collect();
    let remote = rulings.iter().map(|ruling| ruling.prefix);
    let standing = remote.filter(|prefix| !here.iter().any(|near| near.overlaps(prefix)));
    let (v4, v6) = (links.own_v4_in(&own), links.own_v6_in(&own));
    let through = |(prefix, (_, conn)): (&Prefix, &(GatewayId, ConnId))| {
        let prefsrc = if prefix.is_ipv4() { v4 } else { v6 };
        (
            *prefix,
            RouteState::Tunnel {
                prefsrc,
                mtu: mtu(*conn),
            },
        )
    };
    standing
        .map(|prefix| (prefix, RouteState::Unreachable))
        .chain(fib.routes.iter().map(through))
        .collect()
}

/// Makes the kernel follow `wishes` until `stop`, or until nobody wishes any more.
pub async fn keep(
    mut routes: impl Routes,
    mut wishes: watch::Receiver<Wanted>,
    installed: Installed,
    stop: CancellationToken,
) {
    loop {
        let wanted = wishes.borrow_and_update().clone();
        let again = match routes.sync(&wanted).await {
            Ok(()) => {
                installed.store(Arc::new(tunnelled(&wanted)));
                RECONCILE
            }
            Err(error) => {
                installed.store(Arc::new(left(&installed.load(), &wanted, &error)));
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, reason, "Kernel routes are not as wanted");
                RETRY
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = timeout(again, wishes.changed()) => {
                if let Ok(Err(_)) = changed {
                    return;
                }
            }
        }
    }
}

/// What can be relied on after a failure: the kernel's own word on each route, or else what it had and still
/// should have.
fn left(before: &BTreeSet<Prefix>, wanted: &Wanted, error: &RoutesError) -> BTreeSet<Prefix> {
    let wanted = tunnelled(wanted);
    match error {
        RoutesError::Refused { refused, .. } => &wanted - &refused.iter().copied().collect(),
        _ => &wanted & before,
    }
}

fn tunnelled(wanted: &Wanted) -> BTreeSet<Prefix> {
    let through = |state: &RouteState| matches!(state, RouteState::Tunnel { .. });
    wanted
        .iter()
        .filter(|(_, state)| through(state))
        .map(|(prefix, _)| *prefix)
        .collect()
}
