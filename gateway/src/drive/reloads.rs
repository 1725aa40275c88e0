//! [`Reloads`]: who waits for a reload, and what became of the last one.

use std::time::SystemTime;

use ringway_config::Faults;
use ringway_shell::ChangeId;
use tokio::sync::oneshot;

use crate::admin::ReloadReport;
use crate::admin::daemon::rfc3339;

/// Clients that wait; the admin socket serves fewer at once.
const MOST: usize = 64;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Reloads {
    waiting: Vec<Waiting>,
    /// What the reload under way has changed so far, and what was found beside.
    changes: Vec<String>,
    failed_tests: Vec<String>,
    warnings: Vec<String>,
    last: Option<ReloadReport>,
}

#[derive(Debug)]
struct Waiting {
    /// A reload with a greater number has read the files after it was asked for.
    after: ChangeId,
    reply: oneshot::Sender<ReloadReport>,
}

impl Reloads {
    /// A client waits for a reload that is later than the change `after`. It is not answered if too
    /// many wait.
    pub(super) fn wait(&mut self, after: ChangeId, reply: oneshot::Sender<ReloadReport>) {
        // The rest sees its connection close, and may ask again.
        if self.waiting.len() < MOST {
            self.waiting.push(Waiting { after, reply });
        }
    }

    /// The files were read: tests that failed, and what is worth a look.
    pub(super) fn read(&mut self, failed_tests: &Faults, warnings: &Faults) {
        self.failed_tests = texts(failed_tests);
        self.warnings = texts(warnings);
    }

    /// The reload under way has changed this.
    pub(super) fn changed(&mut self, changes: Vec<String>) {
        self.changes.extend(changes);
    }

    /// A reload has ended.
    pub(super) fn ended(&mut self, change: ChangeId, result: Result<(), Faults>) {
        // A refused reload is refused for its faults, whatever its tests said.
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

        // Those that came later wait for the next one, which reads what they wrote.
        let served = self
            .waiting
            .extract_if(.., |waiting| waiting.after < change);
        for waiting in served {
            // The client may have given up.
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
        reloads.wait(ChangeId(4), reply);

        reloads.changed(vec!["beta is a member now".to_owned()]);
        reloads.ended(ChangeId(4), Ok(()));
        assert!(answer.try_recv().is_err());
        reloads.ended(ChangeId(5), Ok(()));
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
        let answers: Vec<_> = (0..2 * MOST)
            .map(|_| {
                let (reply, answer) = oneshot::channel();
                reloads.wait(ChangeId(0), reply);
                answer
            })
            .collect();

        reloads.ended(ChangeId(1), Err(Faults::default()));
        let served = answers
            .into_iter()
            .filter_map(|mut answer| answer.try_recv().ok());
        assert_eq!(served.count(), MOST);
    }
}
