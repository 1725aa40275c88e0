//! Watches the host's interfaces and addresses, and its routes to our site.

use std::sync::Arc;
use std::time::Duration;

use ringway_config::TunName;
use ringway_host::links::{self, LinksError, SharedScope, Watch};
use ringway_intent::{Links, Scope};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;

/// Pause before the kernel is asked again after an error.
const RETRY: Duration = Duration::from_secs(1);

/// Minimum time between two readings because of routes: on some hosts they change all the time.
const ROUTES_PAUSE: Duration = Duration::from_millis(250);

/// Reports the host's addresses, except those of `tun`, after each change of them and after a
/// change of the host's routes to our site.
pub async fn watch(tun: TunName, scope: SharedScope, events: mpsc::Sender<Event>) {
    loop {
        if let Err(error) = report_changes(&tun, &scope, &events).await {
            tracing::warn!(%error, "The host's addresses are not watched");
        }

        sleep(RETRY).await;
    }
}

async fn report_changes(
    tun: &TunName,
    scope: &SharedScope,
    events: &mpsc::Sender<Event>,
) -> Result<(), LinksError> {
    let mut watch = Watch::open(scope.clone())?;
    let mut routes = Watch::of_routes()?;
    let mut last: Option<(Arc<Scope>, Links)> = None;
    // Report the first reading too: something may have changed before the watch began.
    let mut always = true;

    loop {
        let seen = scope.load_full();
        let links = links::read(tun, &seen).await?;
        // Routes change for many reasons, including our own tunnels, so an equal reading is not
        // reported. A reading for another scope does not count: a reload has read the links by
        // itself, and they may have changed since.
        let is_known = last
            .as_ref()
            .is_some_and(|(scope, last)| Arc::ptr_eq(scope, &seen) && *last == links);
        if always || !is_known {
            last = Some((seen.clone(), links.clone()));
            // The receiver is gone only when the daemon ends.
            let _ = events.send(Event::Links(links)).await;
        }

        always = tokio::select! {
            changed = watch.change() => changed.map(|()| true)?,
            changed = routes.change() => {
                changed?;
                sleep(ROUTES_PAUSE).await;
                false
            }
            () = replaced(scope, &seen) => false,
        };
    }
}

/// Waits until a reload has stored a scope other than `seen`.
async fn replaced(scope: &SharedScope, seen: &Arc<Scope>) {
    while Arc::ptr_eq(&scope.load_full(), seen) {
        sleep(ROUTES_PAUSE).await;
    }
}
