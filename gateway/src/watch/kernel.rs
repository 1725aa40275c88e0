//! Watches our objects in the kernel: rules, routes, the TUN device, forwarding and nftables. The
//! shell compares them each second anyway; a notification makes it compare at once.

use std::io;
use std::time::Duration;

use ringway_host::links::SharedScope;
use ringway_host::watch::{Authors, Events};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;

/// Pause before the socket is opened again after an error.
const RETRY: Duration = Duration::from_secs(1);

/// Reports each change of rules, routes, links, addresses and forwarding, except renewals of the
/// addresses that `scope` leaves out.
pub async fn watch_routes(authors: Authors, scope: SharedScope, events: mpsc::Sender<Event>) {
    watch(|| Events::of_routes(authors.clone(), scope.clone()), events).await;
}

/// Reports each change of nftables.
pub async fn watch_nftables(authors: Authors, events: mpsc::Sender<Event>) {
    watch(|| Events::of_nftables(authors.clone()), events).await;
}

/// Reports the events of the socket that `listen` opens; opens it again after an error.
async fn watch(listen: impl Fn() -> io::Result<Events>, events: mpsc::Sender<Event>) {
    let mut was_told = false;

    loop {
        // Meanwhile the shell's comparison of each second goes on.
        if let Err(error) = report_changes(listen(), &events).await
            && !was_told
        {
            was_told = true;
            tracing::warn!(%error, "The kernel does not report changes; they are found later");
        }

        sleep(RETRY).await;
    }
}

async fn report_changes(
    changes: io::Result<Events>,
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    let mut changes = changes?;

    loop {
        changes.next().await?;
        // The receiver is gone only when the daemon ends.
        let _ = events.send(Event::Kernel).await;
    }
}
