//! Watches the host's interfaces and addresses, and its routes to our site.

use std::time::Duration;

use ringway_config::TunName;
use ringway_host::links::{self, LinksError, SharedScope, Watch};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;

/// Pause after the kernel could not be asked.
const RETRY: Duration = Duration::from_secs(1);

/// Least time between two readings because of routes: on some hosts they change all the time.
const ROUTES_PAUSE: Duration = Duration::from_millis(250);

/// Reports the host's addresses, `tun`'s left out, after each change, and after a change of its
/// routes to our site.
pub async fn watch(tun: TunName, scope: SharedScope, events: mpsc::Sender<Event>) {
    loop {
        if let Err(error) = follow(&tun, &scope, &events).await {
            tracing::warn!(%error, "The host's addresses are not watched");
        }

        sleep(RETRY).await;
    }
}

async fn follow(
    tun: &TunName,
    scope: &SharedScope,
    events: &mpsc::Sender<Event>,
) -> Result<(), LinksError> {
    let mut watch = Watch::open(scope.clone())?;
    let mut routes = Watch::of_routes()?;
    let mut last = None;
    // The first time too: something may have changed before the watch began.
    let mut always = true;

    loop {
        let links = links::read(tun, &scope.load()).await?;
        // Routes change for many reasons, our own tunnels among them.
        if always || last.as_ref() != Some(&links) {
            last = Some(links.clone());
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
        };
    }
}
