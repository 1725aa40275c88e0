//! [`Background`]: a program that runs beside the test and ends with it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::{Scene, eventually};

/// How long a program may take to start or to end.
const LIMIT: u64 = 15;

/// A running program whose output goes to a file in the laboratory's directory.
pub struct Background {
    child: Child,
    output: PathBuf,
}

impl Background {
    /// Starts `program` on `node`. `label` names its output file.
    pub fn start(
        scene: &Scene,
        node: &str,
        label: &str,
        program: &str,
        arguments: &[&str],
    ) -> Background {
        let mut command = scene
            .command(node, program)
            .expect("a node of the laboratory");
        command.args(arguments);
        Background::spawn(scene, label, command)
    }

    /// Starts `command`, whose output goes to the file `label`.
    pub fn spawn(scene: &Scene, label: &str, mut command: Command) -> Background {
        let output = scene.topology().dir().join(format!("{label}.out"));
        let file = File::create(&output).expect("the laboratory's directory is writable");
        let copy = file.try_clone().expect("a file handle can be copied");
        let child = command.stdout(copy).stderr(file).spawn();
        Background {
            child: child.unwrap_or_else(|error| panic!("{label}: {error}")),
            output,
        }
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
        eventually(
            &format!("{program} to listen on port {port} of {node}"),
            LIMIT,
            || {
                !scene
                    .output(node, "ss", &["-Hltn", &format!("sport = :{port}")])
                    .is_empty()
            },
        );
        server
    }

    /// What it has printed so far, stdout and stderr.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Waits until it has printed `text`.
    pub fn wait_for(&self, text: &str) {
        eventually(
            &format!("{text:?} in {}", self.output.display()),
            LIMIT,
            || self.printed().contains(text),
        );
    }

    /// Sends `signal` to it.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("it has not been waited for");
    }

    /// Ends it with `signal` and returns all that it printed.
    pub fn stop(mut self, signal: Signal) -> String {
        self.signal(signal);
        self.wait();
        self.printed()
    }

    /// Waits until it ends by itself within `limit`, and returns whether it succeeded and what it printed.
    pub fn finish(mut self, limit: Duration) -> (bool, String) {
        let mut success = None;
        eventually(
            &format!("the end of {}", self.output.display()),
            limit.as_secs(),
            || {
                success = self
                    .child
                    .try_wait()
                    .expect("a child can be waited for")
                    .map(|status| status.success());
                success.is_some()
            },
        );
        (success == Some(true), self.printed())
    }

    fn wait(&mut self) {
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        eventually(
            &format!("the end of {}", self.output.display()),
            LIMIT,
            || ended(&mut self.child),
        );
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Fails only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
