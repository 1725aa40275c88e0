//! [`Child`]: one command while it runs, in a process group of its own, so that what it starts ends
//! with it.

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

/// Bytes of each output that are kept; the rest is read and dropped.
const OUTPUT: usize = 4096;

/// How long a command may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// How long what it has started may hold its output open.
const REST: Duration = Duration::from_millis(200);

/// Why a command has not done what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    /// It did not start.
    #[error("it does not start: {0}")]
    Start(#[source] std::io::Error),
    /// It ended with a code, or by a signal.
    #[error("{0}{1}")]
    Failed(ExitStatus, String),
    /// It took too long.
    #[error("it has not ended within {} s", .0.as_secs())]
    Slow(Duration),
    /// Its role is over.
    #[error("another role came meanwhile")]
    Superseded,
}

/// A command that runs.
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

    /// Waits for its end, and ends it if it takes longer than `limit`.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<(), HookError> {
        let Ok(ended) = timeout(limit, self.process.wait()).await else {
            self.end().await;
            return Err(HookError::Slow(limit));
        };
        let status = ended.map_err(HookError::Start)?;

        let text = self.output().await;
        if status.success() {
            tracing::debug!(
                name = "output",
                found = text,
                "A command has said something"
            );
            return Ok(());
        }
        let said = if text.is_empty() {
            String::new()
        } else {
            format!(": {text}")
        };
        Err(HookError::Failed(status, said))
    }

    /// Ends it, and what it has started.
    pub(super) async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + FAREWELL;
        while !self.has_ended() && Instant::now() < until {
            sleep(LOOK).await;
        }

        // What it has started may take no notice of SIGTERM, and outlive it.
        self.signal(Signal::SIGKILL);
        // A killed process ends, but for one in the middle of a broken disk's request.
        _ = timeout(FAREWELL, self.process.wait()).await;
    }

    /// Looks without waiting for it in the sense of wait(2): from that on, another process may get
    /// its number, and its group's.
    fn has_ended(&self) -> bool {
        let Some(id) = self.group.filter(|_| self.process.id().is_some()) else {
            return true;
        };
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;

        waitid(Id::Pid(id), look) != Ok(WaitStatus::StillAlive)
    }

    /// Its number is its own until it was waited for.
    fn signal(&self, signal: Signal) {
        if self.process.id().is_some()
            && let Some(group) = self.group
        {
            // It may be ending just now.
            _ = killpg(group, signal);
        }
    }

    /// What it has said, as one line that has no effect on a terminal.
    async fn output(&mut self) -> String {
        let mut text = Vec::new();
        for output in self.outputs.drain(..) {
            let abort = output.abort_handle();
            match timeout(REST, output).await {
                Ok(Ok(bytes)) => text.extend(bytes),
                _ => abort.abort(),
            }
        }

        let text = String::from_utf8_lossy(&text);
        Escaped(text.trim()).to_string()
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

/// The first bytes of an output, once it is closed.
async fn read(mut output: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];

    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        // Read to its end all the same: a full pipe would stop the command.
        let room = OUTPUT - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
    kept
}
