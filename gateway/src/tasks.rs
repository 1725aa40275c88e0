//! [`Tasks`]: tracks every task of the daemon, so that none outlives it. When the daemon stops, a
//! task is either aborted or waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks and waits for them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task that may be aborted at any await when the daemon stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let stop = self.0.stop.clone();

        self.0
            .tracker
            .spawn(async move {
                stop.run_until_cancelled(task).await;
            })
            .abort_handle()
    }

    /// Starts a task that the daemon waits for when it stops, because it writes to the kernel or to
    /// a file, or sends something to a peer. It must have a time limit of its own.
    pub fn spawn_to_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tracker.spawn(task);
    }

    /// Runs `job` on a blocking thread. The daemon waits for it.
    pub fn spawn_blocking(&self, job: impl FnOnce() + Send + 'static) {
        self.0.tracker.spawn_blocking(job);
    }

    /// Cancelled when the daemon stops.
    pub fn stop(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Waits until every task has ended. After `patience`, aborts those that may be aborted and
    /// returns false.
    pub async fn end_within(&self, patience: Duration) -> bool {
        // `wait` returns only for a closed tracker.
        self.0.tracker.close();
        let in_time = timeout(patience, self.0.tracker.wait()).await.is_ok();

        self.end().await;
        in_time
    }

    /// Stops every task, and waits until all have ended.
    pub async fn end(&self) {
        self.0.stop.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_end_cuts_tasks_off_and_waits_for_those_that_run_to_their_end() {
        let tasks = Tasks::default();
        let ended = Arc::new(AtomicUsize::new(0));
        tasks.spawn(std::future::pending());
        let written = ended.clone();
        tasks.spawn_to_end(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            written.fetch_add(1, Ordering::Relaxed);
        });
        let stored = ended.clone();
        tasks.spawn_blocking(move || _ = stored.fetch_add(1, Ordering::Relaxed));

        tasks.end().await;
        assert_eq!(ended.load(Ordering::Relaxed), 2);
    }
}
