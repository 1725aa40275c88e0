//! [`Process`]: a process identified by its number and its start time.
//!
//! The kernel reuses process numbers. With the start time, a process that has taken the number of
//! an ended one is not mistaken for it and is never signalled.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// A process that runs or has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// Process number.
    pub pid: u32,
    /// Start time in clock ticks since boot (`starttime` in proc(5)).
    pub started: u64,
}

impl Process {
    /// The process that has the number `pid` now; `None` if there is none or it has ended.
    pub fn of(pid: u32) -> Option<Process> {
        let stat = read_stat(pid)?;

        // If the first thread is a zombie, others may still hold sockets and devices.
        let has_ended = stat.state == 'Z' && stat.threads <= 1;
        (!has_ended).then_some(Process {
            pid,
            started: stat.started,
        })
    }

    /// True until the process has ended.
    pub fn is_alive(&self) -> bool {
        Process::of(self.pid) == Some(*self)
    }

    /// Sends `signal`, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // The only failure left is that it ends in between, which most signals are for.
            _ = kill(Pid::from_raw(self.pid.cast_signed()), signal);
        }
    }

    /// Waits until the process has ended.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let what = format!("process {} to end", self.pid);
        wait::until(&what, limit, || Ok((!self.is_alive()).then_some(())))
    }
}

/// Fields 3, 20 and 22 of `/proc/<pid>/stat`.
struct Stat {
    state: char,
    threads: u32,
    started: u64,
}

fn read_stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;

    // Field 2 is the program's name in parentheses, which may itself contain any character.
    let (_, from_field_3) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = from_field_3.split(' ').collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        threads: fields.get(17)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_distinguished_from_a_later_one_with_the_same_id() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_alive());

        let other = Process {
            started: process.started + 1,
            ..process
        };
        assert!(!other.is_alive(), "the start time differs");

        process.signal(Signal::SIGKILL);
        process.wait(Duration::from_secs(5)).unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
