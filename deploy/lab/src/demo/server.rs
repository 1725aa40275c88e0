//! [`Server`]: the demonstration's server on a machine, and what its client says ([`Sent`]).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::laboratory::Lab;

/// This program on the machine `node`; it contains the demonstration's server and clients.
pub(super) fn this_program(lab: &Lab, node: &str) -> Result<Command> {
    lab.command(node, std::env::current_exe()?)
}

/// The demonstration's server on a machine. It ends when the value is dropped.
pub(super) struct Server(Child);

impl Server {
    pub(super) fn start(lab: &Lab, node: &str) -> Result<Server> {
        let mut child = this_program(lab, node)?
            .args(["serve", node])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let server = Server(child);

        // Wait for the line: otherwise a client could connect before the server listens.
        let mut line = String::new();
        BufReader::new(stdout.context("the server has no stdout")?).read_line(&mut line)?;
        ensure!(
            line.trim() == "serving",
            "the server on {node} did not start"
        );
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The last line that the sending client prints.
pub(super) struct Sent {
    /// Throughput at the receiver, Gbit/s.
    pub(super) gigabits: f64,
    /// The longest time without data at the receiver.
    pub(super) pause: Duration,
}

impl Sent {
    /// Parses the last line of the client's output.
    pub(super) fn parse(printed: &str) -> Option<Sent> {
        let (rate, pause) = printed.lines().last()?.split_once(' ')?;
        let rate: f64 = rate.parse().ok()?;

        Some(Sent {
            gigabits: rate / 1e9,
            pause: Duration::from_millis(pause.parse().ok()?),
        })
    }
}
