//! [`Jobs`]: work off the loop, whose results come back as [`Event`]s.

use std::sync::Arc;

use ringway_config::Faults;
use ringway_dns::{Zone, ZoneError};
use ringway_identity::Identity;
use ringway_shell::{ChangeId, Input};
use tokio::sync::mpsc;

use super::in_force::{Narrowed, ReadConfig};
use crate::health::Probed;
use crate::tasks::Tasks;
use crate::zones::{Checked, Merged, Prepared};

/// The result of a job.
#[derive(Debug)]
pub enum Event {
    /// For the shell as it is.
    Shell(Input),
    /// The files were read.
    ConfigRead {
        /// The change that asked for it.
        change: ChangeId,
        /// What they say.
        result: Result<Box<ReadConfig>, Faults>,
    },
    /// The files of a refused reload were read, each by itself.
    Narrowed {
        /// The change that asked for it.
        change: ChangeId,
        /// What they leave of what is in force.
        narrowed: Box<Narrowed>,
    },
    /// Our zone was built.
    ZoneBuilt {
        /// The change that asked for it.
        change: ChangeId,
        /// The zone, with its serial.
        result: Result<Zone, Faults>,
    },
    /// Our certificate and key were read.
    IdentityRead {
        /// The change that asked for it.
        change: ChangeId,
        /// The pair, checked.
        result: Result<Box<Identity>, Faults>,
    },
    /// What a peer sent as its fragment was checked.
    ZoneChecked(Box<Checked>),
    /// An organization's zone was made of its fragments.
    ZoneMerged(Box<Merged>),
    /// Our hosts' addresses were probed.
    Probed(Probed),
    /// The addresses that fail were left out of our fragment.
    Checked {
        /// The fragment as it is configured.
        of: Arc<Zone>,
        /// What is left of it.
        result: Result<Zone, ZoneError>,
    },
    /// Our fragment is ready to be offered.
    ZonePrepared(Box<Prepared>),
}

/// Starts jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

impl Jobs {
    /// Jobs that run as `tasks` and report to `events`.
    pub fn new(events: mpsc::Sender<Event>, tasks: Tasks) -> Jobs {
        Jobs { events, tasks }
    }

    /// Runs `job` on a thread that may block.
    pub(super) fn run(&self, job: impl FnOnce() -> Event + Send + 'static) {
        let events = self.events.clone();

        // The receiver is gone only when the daemon ends.
        self.tasks
            .spawn_blocking(move || _ = events.blocking_send(job()));
    }

    /// Runs `job`, which may be cut off when the daemon stops.
    pub(super) fn spawn(&self, job: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();

        self.tasks
            .spawn(async move { _ = events.send(job.await).await });
    }

    /// Runs `job` to its end: it writes to the kernel.
    pub(super) fn spawn_to_end(&self, job: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();

        self.tasks
            .spawn_to_end(async move { _ = events.send(job.await).await });
    }

    /// Runs `job` to its end: it writes to the kernel. It has no result.
    pub(super) fn run_to_end(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_to_end(job);
    }

    /// Runs `job` on a thread that may block. It has no result.
    pub(super) fn run_silently(&self, job: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking(job);
    }
}
