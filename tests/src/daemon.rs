//! [`Daemon`]: a gateway or node that a test added to its laboratory, as a process.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that can be started again and again. It runs on when the value is dropped: its owner
/// ends it, with its network.
#[derive(Debug, Default)]
pub(crate) struct Daemon(Option<Child>);

impl Daemon {
    /// Starts it; what it prints is appended to `log` in `dir`.
    pub(crate) fn start(&mut self, mut command: Command, dir: &Path) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"));
        let log = log.expect("the laboratory's directory is writable");

        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .spawn();
        self.0 = Some(process.expect("it starts"));
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.0.take() {
            process.kill().expect("it has not been waited for");
            process.wait().expect("it has been killed");
        }
    }
}

/// The program `binary` in the namespace `netns`, with the configuration in `dir`.
pub(crate) fn ringway(netns: &str, binary: &Path, dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", netns])
        .arg(binary)
        .args(arguments)
        .arg("-c")
        .arg(dir.join("gateway.toml"));
    command
}
