//! [`Child`]: a running command, in a process group of its own, so that its descendants are
//! terminated with it.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use ringway_config::{Escaped, Hook};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Bytes kept of each output; the rest is read and dropped.
const OUTPUT: usize = 4096;

/// Characters of the output in a finding.
const SHOWN: usize = 200;

/// How long a command may take to end after SIGTERM, and after SIGKILL.
const TERM_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval at which the command is polled after SIGTERM.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long descendants of an ended command may keep its output open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    /// It did not start.
    #[error("it does not start: {0}")]
    Start(#[source] std::io::Error),
    /// It ended with a code other than 0, or by a signal.
    #[error("{0}{1}")]
    Failed(ExitStatus, String),
    /// It exceeded its time limit.
    #[error("it has not ended within {} s", .0.as_secs())]
    Slow(Duration),
    /// The role changed while it ran.
    #[error("another role came meanwhile")]
    Superseded,
}

/// A running command.
pub(super) struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
    outputs: Vec<JoinHandle<Vec<u8>>>,
}

impl Child {
    pub(super) fn start(
        hook: &Hook,
        environment: &[(&'static str, String)],
    ) -> Result<Child, HookError> {
        let mut process = Command::new(&hook.program)
            .args(&hook.arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(HookError::Start)?;

        let group = process.id().and_then(|id| i32::try_from(id).ok());
        let mut outputs = Vec::new();
        outputs.extend(process.stdout.take().map(|out| tokio::spawn(read(out))));
        outputs.extend(process.stderr.take().map(|out| tokio::spawn(read(out))));
        Ok(Child {
            process,
            group: group.map(Pid::from_raw),
            outputs,
        })
    }

    /// Waits for the command to end. Terminates it after `limit`.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<(), HookError> {
        let Ok(ended) = timeout(limit, self.process.wait()).await else {
            self.terminate().await;
            return Err(HookError::Slow(limit));
        };
        let status = ended.map_err(HookError::Start)?;

        let text = self.output().await;
        if status.success() {
            tracing::debug!(
                name = "output",
                found = text,
                "A command has printed something"
            );
            return Ok(());
        }
        let output = if text.is_empty() {
            String::new()
        } else {
            format!(": {}", start_of(&text))
        };
        Err(HookError::Failed(status, output))
    }

    /// Terminates the command and its descendants.
    pub(super) async fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + TERM_TIMEOUT;
        while !self.has_ended() && Instant::now() < until {
            sleep(POLL_INTERVAL).await;
        }

        // Descendants may ignore SIGTERM and outlive the command itself.
        self.signal(Signal::SIGKILL);
        // SIGKILL ends every process, except one that is stuck in a request to a broken disk.
        _ = timeout(TERM_TIMEOUT, self.process.wait()).await;
    }

    /// Polls without reaping the process (WNOWAIT): once it is reaped, the kernel may give its
    /// process id, and its group's, to another process.
    fn has_ended(&self) -> bool {
        let Some(id) = self.group.filter(|_| self.process.id().is_some()) else {
            return true;
        };
        let options = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;

        waitid(Id::Pid(id), options) != Ok(WaitStatus::StillAlive)
    }

    /// Sends `signal` to the group. Safe as long as the process is not reaped: its id is not
    /// reused.
    fn signal(&self, signal: Signal) {
        if self.process.id().is_some()
            && let Some(group) = self.group
        {
            // Fails if the process is just ending.
            _ = killpg(group, signal);
        }
    }

    /// The output as one line, escaped for a terminal.
    async fn output(&mut self) -> String {
        let mut text = Vec::new();
        for output in self.outputs.drain(..) {
            let abort = output.abort_handle();
            match timeout(OUTPUT_TIMEOUT, output).await {
                Ok(Ok(bytes)) => text.extend(bytes),
                _ => abort.abort(),
            }
        }

        let text = String::from_utf8_lossy(&text);
        Escaped(text.trim()).to_string()
    }
}

/// The start of `text`, as much of it as a finding shows.
fn start_of(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        for output in &self.outputs {
            output.abort();
        }
    }
}

/// Reads an output to its end and returns the first [`OUTPUT`] bytes.
async fn read(mut output: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];

    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        // Read on after the limit: a full pipe would block the command.
        let room = OUTPUT - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_the_start_of_a_long_output() {
        assert_eq!(start_of("no such address"), "no such address");

        let shown = start_of(&"ä".repeat(16_000));
        assert_eq!(shown.chars().count(), SHOWN + 1);
        assert!(shown.ends_with("ä…"));
    }
}
