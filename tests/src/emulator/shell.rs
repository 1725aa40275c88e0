//! The emulator's contact with the world: two TUN devices, the clock, and commands on standard
//! input.
//!
//! One thread reads both devices in turns, and between turns sends what is due. With nothing to do
//! it sleeps in ppoll(2) until the next packet is due, with a timer slack of one nanosecond. It
//! answers every command with one line: `ok`, the counts as JSON, or `error: ` and the reason. It
//! ends with its input.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use serde_json::{Value, json};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::command::Command;
use super::link::{End, Link};
use super::packet::Packet;

/// Number of packets read from one device before due packets are sent.
const TURN: usize = 32;

/// Number of packets that wait before a device while the emulator is busy. The kernel drops more,
/// and `dropped_before` reports that.
const QUEUE: u32 = 10_000;

/// MTU of the devices. A smaller one is a condition of the link.
const MTU: u16 = 1500;

/// The running emulator.
pub struct Shell {
    link: Link,
    left: SyncDevice,
    right: SyncDevice,
    started: Instant,
    /// Packets that a device did not accept.
    refused: u64,
    /// Input that does not yet end with a newline.
    line: Vec<u8>,
}

/// What the emulator waited for.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    left: bool,
    right: bool,
    input: bool,
}

impl Shell {
    /// Creates the devices `left` and `right` in this network namespace and sets them up.
    pub fn new(left: &str, right: &str, seed: u64) -> Result<Shell> {
        Ok(Shell {
            link: Link::new(seed),
            left: create_device(left)?,
            right: create_device(right)?,
            started: Instant::now(),
            refused: 0,
            line: Vec::new(),
        })
    }

    /// Carries packets and applies commands until standard input ends.
    pub fn run(&mut self) -> Result<()> {
        nix::sys::prctl::set_timerslack(1).context("cannot have precise timers")?;
        print_line("ready")?;
        let mut buffer = [0; 65_536];

        loop {
            let ready = self.wait()?;
            if ready.left {
                self.receive(End::Left, &mut buffer)?;
            }
            self.send_due();
            if ready.right {
                self.receive(End::Right, &mut buffer)?;
            }
            self.send_due();
            if ready.input && !self.read_commands(&mut buffer)? {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until a device or the input is readable, or a packet is due.
    fn wait(&self) -> Result<Ready> {
        let timeout = self
            .link
            .poll_timeout()
            .map(|due| due.saturating_sub(self.now()));

        let input = io::stdin();
        let mut fds = [
            readable(self.left.as_fd()),
            readable(self.right.as_fd()),
            readable(input.as_fd()),
        ];
        match ppoll(&mut fds, timeout.map(TimeSpec::from_duration), None) {
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(error) => return Err(error).context("cannot wait"),
            Ok(_) => {}
        }
        let [left, right, input] = fds.map(|fd| fd.any().unwrap_or(false));
        Ok(Ready { left, right, input })
    }

    fn device(&self, end: End) -> &SyncDevice {
        match end {
            End::Left => &self.left,
            End::Right => &self.right,
        }
    }

    /// Reads at most [`TURN`] packets from the device at `end`.
    fn receive(&mut self, end: End, buffer: &mut [u8]) -> Result<()> {
        for _ in 0..TURN {
            match self.device(end).recv(buffer) {
                Ok(len) => {
                    let now = self.now();
                    if let Some(packet) = Packet::new(buffer[..len].to_vec()) {
                        self.link.handle(end, packet, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read a TUN device"),
            }
        }
        Ok(())
    }

    fn send_due(&mut self) {
        while let Some((end, packet)) = self.link.poll(self.now()) {
            if self.device(end).send(packet.bytes()).is_err() {
                self.refused += 1;
            }
        }
    }

    /// Reads and applies commands; returns false at the end of the input.
    fn read_commands(&mut self, buffer: &mut [u8]) -> Result<bool> {
        // `Stdin` would buffer further lines, and ppoll does not see those.
        let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let len = input.read(buffer).context("cannot read commands")?;
        self.line.extend_from_slice(&buffer[..len]);

        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            print_line(&self.answer(&String::from_utf8_lossy(&line)))?;
        }
        Ok(len > 0)
    }

    fn answer(&mut self, line: &str) -> String {
        match line.parse::<Command>() {
            Err(error) => format!("error: {error}"),
            Ok(command) => match self.link.apply(&command) {
                None => "ok".into(),
                Some(counts) => self.with_devices(counts).to_string(),
            },
        }
    }

    /// Adds to the link's counts the packets that were lost before and after it.
    fn with_devices(&self, mut counts: Value) -> Value {
        let left = dropped_before(&self.left);
        let right = dropped_before(&self.right);
        counts["shell"] = json!({
            "refused": self.refused,
            "dropped_before": left.zip(right).map(|(left, right)| left + right),
        });
        counts
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

fn create_device(name: &str) -> Result<SyncDevice> {
    let device = DeviceBuilder::new()
        .name(name)
        .mtu(MTU)
        .with(|linux| {
            linux.tx_queue_len(QUEUE);
        })
        .build_sync()
        .with_context(|| format!("cannot create the TUN device {name}"))?;
    device.set_nonblocking(true)?;
    Ok(device)
}

/// Packets that the kernel dropped before the device because the emulator was too slow. Any makes a
/// measurement void.
fn dropped_before(device: &SyncDevice) -> Option<u64> {
    transmit_drops(&device.name().ok()?)
}

/// The twelfth number of the device's line in `/proc/net/dev` (proc_net_dev(5)): transmit, drop.
fn transmit_drops(device: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    let (_, numbers) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == device)?;
    numbers.split_whitespace().nth(11)?.parse().ok()
}

fn print_line(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("cannot write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_for_a_device_that_exists() {
        assert_eq!(transmit_drops("lo"), Some(0));
        assert_eq!(transmit_drops("no-such-device"), None);
    }
}
