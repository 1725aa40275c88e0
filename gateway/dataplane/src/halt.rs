//! [`Halt`]: one signal that ends all threads, and why.
//!
//! The signal is a pipe whose writing end closes: readable for every poll(2) from then on.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

pub(crate) struct Halt {
    closed: PipeReader,
    /// Says the same to a thread that is too busy to poll.
    set: AtomicBool,
    /// Locked only to end, never per packet.
    writer: Mutex<Option<PipeWriter>>,
    failure: OnceLock<String>,
}

impl Halt {
    pub(crate) fn new() -> io::Result<Halt> {
        let (closed, writer) = io::pipe()?;
        Ok(Halt {
            closed,
            set: AtomicBool::new(false),
            writer: Mutex::new(Some(writer)),
            failure: OnceLock::new(),
        })
    }

    /// Readable once it is time to stop.
    pub(crate) fn signal(&self) -> BorrowedFd<'_> {
        self.closed.as_fd()
    }

    /// True once it is time to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Relaxed)
    }

    /// Tells all threads to stop.
    pub(crate) fn stop(&self) {
        self.set.store(true, Relaxed);
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Tells all threads to stop because one of them cannot go on. The first reason stays.
    pub(crate) fn fail(&self, reason: String) {
        let _ = self.failure.set(reason);
        self.stop();
    }

    /// Why a thread could not go on, if one could not.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}
