//! The emulator's contact with the world: two TUN devices, the clock, and commands on standard input.
//!
//! One thread. It reads what both devices have, in turns, and between turns sends what is due; when there is
//! nothing to do it sleeps in ppoll(2) until the next packet is due, with a timer slack of a nanosecond. Every
//! command is answered by one line: `ok`, the counts as JSON, or `error: ` and why. Ends with its input.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use serde_json::{Value, json};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::command::Command;
use super::link::{End, Link};
use super::packet::Packet;

/// Packets read from one device before what is due is sent.
const TURN: usize = 32;
/// Packets that may wait in front of a device while the emulator is busy with the other.
const QUEUE: u32 = 10_000;
/// The largest packet that enters; smaller MTUs are a condition.
const MTU: u16 = 1500;

/// The emulator while it runs.
pub struct Shell {
    link: Link,
    left: SyncDevice,
    right: SyncDevice,
    started: Instant,
    /// What a device would not take.
    refused: u64,
    /// Standard input up to the next end of a line.
    line: Vec<u8>,
}

impl Shell {
    /// Makes the devices `left` and `right` in this network namespace and sets them up.
    pub fn new(left: &str, right: &str, seed: u64) -> Result<Shell> {
        let (left, right) = (device(left)?, device(right)?);
        let (link, started) = (Link::new(seed), Instant::now());
        Ok(Shell {
            link,
            left,
            right,
            started,
            refused: 0,
            line: Vec::new(),
        })
    }

    /// Carries packets and obeys commands until standard input ends.
    pub fn run(&mut self) -> Result<()> {
        nix::sys::prctl::set_timerslack(1).context("cannot have precise timers")?;
        say("ready")?;
        let mut buffer = [0; 65_536];
        loop {
            let [left, right, told] = self.wait()?;
            for (end, ready) in [(End::Left, left), (End::Right, right)] {
                if ready {
                    self.take_in(end, &mut buffer)?;
                }
                self.send_due();
            }
            if told && !self.obey(&mut buffer)? {
                return Ok(());
            }
        }
    }

    /// Until a device or the input is readable, or a packet is due. Says which of the three are readable.
    fn wait(&self) -> Result<[bool; 3]> {
        let due = self
            .link
            .poll_timeout()
            .map(|due| due.saturating_sub(self.started.elapsed()));
        let input = io::stdin();
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = [self.left.as_fd(), self.right.as_fd(), input.as_fd()].map(readable);
        match ppoll(&mut fds, due.map(TimeSpec::from_duration), None) {
            Err(Errno::EINTR) => Ok([false; 3]),
            Err(error) => Err(error).context("cannot wait"),
            Ok(_) => Ok([0, 1, 2].map(|n: usize| fds[n].any().unwrap_or(false))),
        }
    }

    /// Reads what the device at `end` has, as far as it is this device's turn.
    fn take_in(&mut self, end: End, buffer: &mut [u8]) -> Result<()> {
        let device = if end == End::Left {
            &self.left
        } else {
            &self.right
        };
        for _ in 0..TURN {
            match device.recv(buffer) {
                Ok(len) => {
                    if let Some(packet) = Packet::new(buffer[..len].to_vec()) {
                        self.link.handle(end, packet, self.started.elapsed());
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
        while let Some((end, packet)) = self.link.poll(self.started.elapsed()) {
            let device = if end == End::Left {
                &self.left
            } else {
                &self.right
            };
            if device.send(packet.bytes()).is_err() {
                self.refused += 1;
            }
        }
    }

    /// Reads commands and obeys them; false at the end of the input.
    fn obey(&mut self, buffer: &mut [u8]) -> Result<bool> {
        // Not through `Stdin`, which would keep back lines that ppoll knows nothing of.
        let mut input = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let len = input.read(buffer).context("cannot read commands")?;
        self.line.extend_from_slice(&buffer[..len]);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            say(&self.answer(&String::from_utf8_lossy(&line)))?;
        }
        Ok(len > 0)
    }

    fn answer(&mut self, line: &str) -> String {
        match line.parse::<Command>() {
            Err(error) => format!("error: {error}"),
            Ok(command) => match self.link.apply(&command) {
                None => "ok".into(),
                Some(counts) => self.whole(counts).to_string(),
            },
        }
    }

    /// The link's counts, with what was lost before it and behind it.
    fn whole(&self, mut counts: Value) -> Value {
        let dropped =
            |device: &SyncDevice| device.name().ok().and_then(|name| dropped_before(&name));
        counts["shell"] = json!({
            "refused": self.refused, "dropped_before": dropped(&self.left).zip(dropped(&self.right)).map(|(a, b)| a + b),
        });
        counts
    }
}

fn device(name: &str) -> Result<SyncDevice> {
    let builder = DeviceBuilder::new().name(name).mtu(MTU).with(|linux| {
        linux.tx_queue_len(QUEUE);
    });
    let device = builder
        .build_sync()
        .with_context(|| format!("cannot make the TUN device {name}"))?;
    device.set_nonblocking(true)?;
    Ok(device)
}

/// Packets that the kernel dropped in front of the device because the emulator was too slow, which makes the
/// measurement void. The twelfth number of proc_net_dev(5): transmit, drop.
fn dropped_before(device: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    let (_, numbers) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == device)?;
    numbers.split_whitespace().nth(11)?.parse().ok()
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("nobody listens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_has_dropped_nothing_that_can_be_read() {
        assert_eq!(dropped_before("lo"), Some(0));
        assert_eq!(dropped_before("there is no such device"), None);
    }
}
