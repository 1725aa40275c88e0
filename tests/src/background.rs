//! [`Background`]: a program that runs beside the test and ends with it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::{Scene, eventually};

/// Limit in seconds for a program to start or to end.
const LIMIT: u64 = 15;

/// A running program whose output goes to a file in the laboratory's directory.
pub struct Background {
    child: Child,
    output: PathBuf,
}

/// How a program ended.
pub struct Finished {
    /// True if its exit code was 0.
    pub success: bool,
    /// Its stdout and stderr.
    pub printed: String,
}

impl Background {
    /// Starts `program` on `node`. Its output goes to the file `<label>.out`.
    pub fn start(
        scene: &Scene,
        node: &str,
        label: &str,
        program: &str,
        arguments: &[&str],
    ) -> Background {
        let mut command = scene
            .command(node, program)
            .expect("a machine of the laboratory");
        command.args(arguments);
        Background::spawn(scene, label, command)
    }

    /// Starts `command`. Its output goes to the file `<label>.out`.
    pub fn spawn(scene: &Scene, label: &str, mut command: Command) -> Background {
        let output = scene.topology().dir().join(format!("{label}.out"));
        let file = File::create(&output).expect("the laboratory's directory is writable");
        let copy = file.try_clone().expect("a file handle can be copied");

        let child = command
            .stdout(copy)
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{label}: {error}"));
        Background { child, output }
    }

    /// Starts `program`, a server, and waits until it listens on the TCP port `port`.
    pub fn server(
        scene: &Scene,
        node: &str,
        port: u16,
        program: &str,
        arguments: &[&str],
    ) -> Background {
        let server = Background::start(scene, node, &format!("{node}-{port}"), program, arguments);

        let filter = format!("sport = :{port}");
        let what = format!("{program} to listen on port {port} of {node}");
        eventually(&what, LIMIT, || {
            let listening = scene.output(node, "ss", &["-Hltn", &filter]);
            !listening.is_empty()
        });
        server
    }

    /// All that it has printed so far, stdout and stderr.
    pub fn printed(&self) -> String {
        let bytes = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has printed `text`.
    pub fn wait_for(&self, text: &str) {
        let what = format!("{text:?} in {}", self.output.display());
        eventually(&what, LIMIT, || self.printed().contains(text));
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to it.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("the child has not been waited for");
    }

    /// Ends it with `signal` and returns all that it printed.
    pub fn stop(mut self, signal: Signal) -> String {
        self.signal(signal);
        self.wait(Duration::from_secs(LIMIT));
        self.printed()
    }

    /// Waits until it ends by itself; fails the test if it does not within `limit`.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let success = self.wait(limit);
        Finished {
            success,
            printed: self.printed(),
        }
    }

    /// Waits until it has ended; true if its exit code was 0.
    fn wait(&mut self, limit: Duration) -> bool {
        let mut status = None;
        let what = format!("the end of {}", self.output.display());
        eventually(&what, limit.as_secs(), || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.is_some_and(|status| status.success())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
