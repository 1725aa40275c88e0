//! [`Jobs`]: runs work off the loop. Results come back as [`Event`]s.

use ringway_config::Faults;
use ringway_dns::Zone;
use ringway_identity::Identity;
use ringway_shell::{ChangeId, Input};
use tokio::sync::mpsc;

use super::in_force::{Narrowed, ReadConfig};
use crate::health::Probed;
use crate::names::derive::Derived;
use crate::tasks::Tasks;
use crate::zones::{Checked, Merged, Prepared};

/// The result of a job.
#[derive(Debug)]
pub enum Event {
    /// An input for the shell.
    Shell(Input),
    /// The files were read.
    ConfigRead {
        /// The change that the job belongs to.
        change: ChangeId,
        /// The new configuration, or what is wrong with it.
        result: Result<Box<ReadConfig>, Faults>,
    },
    /// The files of a refused reload were read, each by itself.
    Narrowed {
        /// The change that the job belongs to.
        change: ChangeId,
        /// What remains in force.
        narrowed: Box<Narrowed>,
    },
    /// Our zone was built.
    ZoneBuilt {
        /// The change that the job belongs to.
        change: ChangeId,
        /// The zone, with its serial.
        result: Result<Zone, Faults>,
    },
    /// Our certificate and key were read.
    IdentityRead {
        /// The change that the job belongs to.
        change: ChangeId,
        /// The pair, checked.
        result: Result<Box<Identity>, Faults>,
    },
    /// A fragment from a peer was checked.
    ZoneChecked(Box<Checked>),
    /// An organization's fragments were merged into its zone.
    ZoneMerged(Box<Merged>),
    /// Our hosts' addresses were probed.
    Probed(Probed),
    /// Our fragment was made.
    Derived {
        /// Which of them it is.
        number: u64,
        /// The fragment.
        derived: Derived,
    },
    /// Our fragment is ready to be offered to peers.
    ZonePrepared(Box<Prepared>),
}

/// Starts jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

impl Jobs {
    /// Runs jobs as `tasks`, which report to `events`.
    pub fn new(events: mpsc::Sender<Event>, tasks: Tasks) -> Jobs {
        Jobs { events, tasks }
    }

    /// Runs `job` on a blocking thread.
    pub(super) fn run(&self, job: impl FnOnce() -> Event + Send + 'static) {
        let events = self.events.clone();

        // The receiver is gone only when the daemon ends.
        self.tasks
            .spawn_blocking(move || _ = events.blocking_send(job()));
    }

    /// Runs `job`, which may be aborted when the daemon stops.
    pub(super) fn spawn(&self, job: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();

        self.tasks
            .spawn(async move { _ = events.send(job.await).await });
    }

    /// Runs `job` to completion even when the daemon stops, because it writes to the kernel.
    pub(super) fn spawn_to_end(&self, job: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();

        self.tasks
            .spawn_to_end(async move { _ = events.send(job.await).await });
    }

    /// As [`Jobs::spawn_to_end`], without a result.
    pub(super) fn run_to_end(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_to_end(job);
    }

    /// As [`Jobs::run`], without a result.
    pub(super) fn run_silently(&self, job: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking(job);
    }
}
