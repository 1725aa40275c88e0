//! Watches the host's interfaces and addresses.

use std::time::Duration;

use ringway_config::TunName;
use ringway_host::links::{self, LinksError, Watch};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;

/// Pause after the kernel could not be asked.
const RETRY: Duration = Duration::from_secs(1);

/// Reports the host's addresses, `tun`'s left out, after each change.
pub async fn watch(tun: TunName, events: mpsc::Sender<Event>) {
    loop {
        if let Err(error) = follow(&tun, &events).await {
            tracing::warn!(%error, "The host's addresses are not watched");
        }

        sleep(RETRY).await;
    }
}

async fn follow(tun: &TunName, events: &mpsc::Sender<Event>) -> Result<(), LinksError> {
    let mut watch = Watch::open()?;

    loop {
        // The first time too: something may have changed before the watch began.
        let links = links::read(tun).await?;
        // The receiver is gone only when the daemon ends.
        let _ = events.send(Event::Links(links)).await;

        watch.change().await?;
    }
}
