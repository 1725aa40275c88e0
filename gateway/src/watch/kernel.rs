//! Watches what the daemon has set in the kernel: rules, routes, the TUN device, forwarding and
//! nftables. The shell has it compared each second anyway; this makes it at once.

use std::io;
use std::time::Duration;

use ringway_host::links::SharedScope;
use ringway_host::watch::{Authors, Events};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;

/// Pause after the kernel could not be asked.
const RETRY: Duration = Duration::from_secs(1);

/// Reports each change of rules, routes, links, addresses and forwarding, but for the renewals of
/// the addresses that `scope` leaves out.
pub async fn watch_routes(authors: Authors, scope: SharedScope, events: mpsc::Sender<Event>) {
    watch(|| Events::of_routes(authors.clone(), scope.clone()), events).await;
}

/// Reports each change of nftables.
pub async fn watch_nftables(authors: Authors, events: mpsc::Sender<Event>) {
    watch(|| Events::of_nftables(authors.clone()), events).await;
}

/// `listen` opens one socket.
async fn watch(listen: impl Fn() -> io::Result<Events>, events: mpsc::Sender<Event>) {
    let mut was_told = false;

    loop {
        // The look of each second goes on.
        if let Err(error) = follow(listen(), &events).await
            && !was_told
        {
            was_told = true;
            tracing::warn!(%error, "The kernel does not report changes; they are found later");
        }

        sleep(RETRY).await;
    }
}

async fn follow(changes: io::Result<Events>, events: &mpsc::Sender<Event>) -> io::Result<()> {
    let mut changes = changes?;

    loop {
        changes.next().await?;
        // The receiver is gone only when the daemon ends.
        let _ = events.send(Event::Kernel).await;
    }
}
