//! The sending thread: TUN → UDP. Owns the TUN device's reading end and the order in which packets leave.
//!
//! ```text
//!  read ─► backlog ─┬─ small: loaded at once ─────────────┐
//!   ▲               └─ a super-packet: kept               ├─► train
//!   └───────── device empty: the oldest that was kept ────┘
//!              nothing kept either: the train leaves, wait
//! ```
//! Nothing waits for more to come: when the device is empty and nothing is kept, the train leaves.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use crate::backlog::{Backlog, Fate};
use crate::dataplane::Shared;
use crate::load::Loader;
use crate::receive::BACK_OFF;
use crate::sys::poll;

/// Reads after which what is loaded leaves and what is kept has its turn, although more may be waiting.
const ENOUGH: usize = 64;

/// Bytes of what was kept that leave before the device is looked at again: one super-packet, or many packets.
const SHARE: usize = 1 << 16;

/// The sending thread's state.
pub(crate) struct Send<'a> {
    shared: &'a Shared,
    backlog: Backlog,
    loader: Loader<'a>,
}

impl<'a> Send<'a> {
    pub(crate) fn new(shared: &'a Shared) -> io::Result<Self> {
        Ok(Send {
            shared,
            backlog: Backlog::new(),
            loader: Loader::new(shared)?,
        })
    }

    /// Sends until it is time to stop. Error: the device is gone.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let shared = self.shared;
        while !shared.halt.is_set() {
            match self.drain() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll::wait(Some(shared.tun.as_fd()), shared.halt.signal(), None)?;
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EBADF | libc::EBADFD) => return Err(error),
                    Some(libc::EINTR) => {}
                    // A device that is down comes up again.
                    _ => poll::wait(None, shared.halt.signal(), Some(BACK_OFF))?,
                },
            }
        }
        Ok(())
    }

    /// Sends what the device has and a share of what was kept. Error: the device's, and nothing is left behind.
    fn drain(&mut self) -> io::Result<()> {
        let read = self.read();
        let mut share = 0;
        while share < SHARE {
            let Some(oldest) = self.backlog.next() else {
                self.loader.leave();
                return read;
            };
            share += oldest.len();
            self.loader.handle(oldest);
        }
        Ok(())
    }

    /// Reads what the device has, up to [`ENOUGH`] packets. What does not have to wait is gone afterwards.
    fn read(&mut self) -> io::Result<()> {
        let mut overtaken = false;
        let mut result = Ok(());
        for _ in 0..ENOUGH {
            if self.backlog.is_full() {
                break;
            }
            match self.shared.tun.read(self.backlog.vacant()) {
                Ok(len) => match self.backlog.accept(len) {
                    Fate::Now(packet) => {
                        self.loader.handle(packet);
                        overtaken = true;
                    }
                    Fate::Kept => {}
                },
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if overtaken {
            self.loader.leave();
        }
        result
    }
}
