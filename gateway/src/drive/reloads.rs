//! [`Reloads`]: the clients that wait for a reload, and the result of the last one.

use std::time::SystemTime;

use ringway_config::Faults;
use ringway_shell::ChangeId;
use tokio::sync::oneshot;

use crate::admin::ReloadReport;
use crate::admin::daemon::rfc3339;

/// Maximum number of waiting clients; the admin socket serves fewer at once.
const MAX_WAITING: usize = 64;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Reloads {
    waiting: Vec<Waiting>,
    /// Changes of the current reload, and warnings.
    changes: Vec<String>,
    failed_tests: Vec<String>,
    warnings: Vec<String>,
    last: Option<ReloadReport>,
}

#[derive(Debug)]
struct Waiting {
    /// Number of the last change before the request. A later one has read the files after it.
    after: ChangeId,
    reply: oneshot::Sender<ReloadReport>,
}

impl Reloads {
    /// Registers a client that waits for a reload later than the change `after`. If too many wait,
    /// it gets no answer.
    pub(super) fn add_waiting(&mut self, after: ChangeId, reply: oneshot::Sender<ReloadReport>) {
        // Otherwise the client's connection closes, and it may ask again.
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(Waiting { after, reply });
        }
    }

    /// Records failed tests and warnings of the current reload.
    pub(super) fn add_findings(&mut self, failed_tests: &Faults, warnings: &Faults) {
        self.failed_tests = texts(failed_tests);
        self.warnings = texts(warnings);
    }

    /// Records changes that the current reload makes.
    pub(super) fn add_changes(&mut self, changes: Vec<String>) {
        self.changes.extend(changes);
    }

    /// Records the result of a reload and answers the clients that waited for it.
    pub(super) fn finish(&mut self, change: ChangeId, result: Result<(), Faults>) {
        // If the reload was refused, its faults are reported and not its tests.
        let failed_tests = std::mem::take(&mut self.failed_tests);
        let (adopted, faults) = match result {
            Ok(()) => (true, failed_tests),
            Err(faults) => (false, texts(&faults)),
        };
        let report = ReloadReport {
            at: rfc3339(SystemTime::now()),
            adopted,
            changes: std::mem::take(&mut self.changes),
            faults,
            warnings: std::mem::take(&mut self.warnings),
        };

        // Later clients wait for the next reload, which reads what they have written.
        let served = self
            .waiting
            .extract_if(.., |waiting| waiting.after < change);
        for waiting in served {
            // The client may have disconnected.
            _ = waiting.reply.send(report.clone());
        }
        self.last = Some(report);
    }

    pub(super) fn last(&self) -> Option<&ReloadReport> {
        self.last.as_ref()
    }
}

fn texts(faults: &Faults) -> Vec<String> {
    faults.0.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_that_began_before_it_was_asked_for_is_no_answer() {
        let mut reloads = Reloads::default();
        let (reply, mut answer) = oneshot::channel();
        reloads.add_waiting(ChangeId(4), reply);

        reloads.add_changes(vec!["beta is a member now".to_owned()]);
        reloads.finish(ChangeId(4), Ok(()));
        assert!(answer.try_recv().is_err());
        reloads.finish(ChangeId(5), Ok(()));
        let report = answer.try_recv().unwrap();
        assert!(
            report.adopted && report.changes.is_empty(),
            "of the second one"
        );
        assert!(reloads.last().is_some());
    }

    #[test]
    fn more_clients_than_may_wait_get_no_answer() {
        let mut reloads = Reloads::default();
        let answers: Vec<_> = (0..2 * MAX_WAITING)
            .map(|_| {
                let (reply, answer) = oneshot::channel();
                reloads.add_waiting(ChangeId(0), reply);
                answer
            })
            .collect();

        reloads.finish(ChangeId(1), Err(Faults::default()));
        let served = answers
            .into_iter()
            .filter_map(|mut answer| answer.try_recv().ok());
        assert_eq!(served.count(), MAX_WAITING);
    }
}
