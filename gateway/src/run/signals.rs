//! [`Signals`]: the signals that the daemon handles; [`Outside`]: these, and changes of its files.

use std::sync::Arc;
use std::time::SystemTime;

use ringway_config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;
use crate::watch;

/// Handles signals from the first moment on: a signal during the start is not lost and does not
/// kill a daemon that is half set up.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub(super) async fn ended(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// SIGTERM and SIGINT cancel `stop`, SIGHUP goes to `reloads`.
    fn forward(self, stop: &CancellationToken, reloads: mpsc::Sender<()>, tasks: &Tasks) {
        tasks.spawn(cancel(self.terminate, stop.clone()));
        tasks.spawn(cancel(self.interrupt, stop.clone()));
        tasks.spawn(forward(self.hangup, reloads));
    }
}

/// What makes a gateway reload or end, apart from requests.
pub(super) struct Outside {
    pub(super) signals: Signals,
    /// Time from which changes of the files count; `None` if they are not watched.
    pub(super) changes: Option<SystemTime>,
}

impl Outside {
    /// Cancels `stop` when the gateway must end; sends to `reloads` when it must reload.
    pub(super) fn forward(
        self,
        stop: &CancellationToken,
        config: &Arc<Config>,
        reloads: mpsc::Sender<()>,
        tasks: &Tasks,
    ) {
        if let Some(begin) = self.changes {
            let changes = watch::files::watch(config.clone(), begin, reloads.clone());
            tasks.spawn(changes);
        }

        self.signals.forward(stop, reloads, tasks);
    }
}

async fn cancel(mut signal: Signal, stop: CancellationToken) {
    signal.recv().await;

    stop.cancel();
}

async fn forward(mut signal: Signal, reloads: mpsc::Sender<()>) {
    while signal.recv().await.is_some() {
        // If the queue is full, the pending reload covers this one. If it is closed, the loop has
        // ended.
        let _ = reloads.try_send(());
    }
}
