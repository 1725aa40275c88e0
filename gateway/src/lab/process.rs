//! A process known by its number and start time, so that a number the kernel has given to another process
//! since is never signalled.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait;

/// A process that is or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (proc(5), `starttime`).
    pub started: u64,
}

impl Process {
    /// The process that has the number `pid` now.
    pub fn of(pid: u32) -> Option<Process> {
        let Stat {
            state,
            threads,
            started,
        } = stat(pid)?;
        // The first thread may be a zombie while others still hold sockets and devices.
        let has_ended = state == 'Z' && threads <= 1;
        (!has_ended).then_some(Process { pid, started })
    }

    /// True until it has ended.
    pub fn is_alive(&self) -> bool {
        Process::of(self.pid) == Some(*self)
    }

    /// Sends `signal`, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end in between: that is what most signals want, and no error.
            let _ = kill(Pid::from_raw(self.pid.cast_signed()), signal);
        }
    }

    /// Waits until it has ended.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        wait::until("a process to end", limit, || {
            Ok((!self.is_alive()).then_some(()))
        })
    }
}

struct Stat {
    state: char,
    threads: u32,
    started: u64,
}

/// Fields 3, 20 and 22. The second, the program's name in parentheses, may hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let state = fields.first()?.chars().next()?;
    Some(Stat {
        state,
        threads: fields.get(17)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_ends_once_and_its_number_is_not_mistaken_for_it() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_alive());
        assert!(
            !Process {
                started: process.started + 1,
                ..process
            }
            .is_alive()
        );
        process.signal(Signal::SIGKILL);
        process.wait(Duration::from_secs(5)).unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
