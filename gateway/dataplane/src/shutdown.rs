//! [`Shutdown`]: the signal that ends all threads of a data plane, and the [`Failure`] that caused
//! it, if any.
//!
//! The signal is a pipe whose writing end is closed: from then on the reading end is readable for
//! every poll(2).

use std::fmt;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Why a data plane has ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A thread's device or socket is gone.
    Io {
        /// The thread.
        thread: ThreadRole,
        /// The kernel's error number; 0 if the error was not the kernel's.
        errno: i32,
    },
    /// A thread has panicked.
    Panic {
        /// The thread.
        thread: ThreadRole,
        /// The panic's message.
        message: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io { thread, errno } => {
                write!(f, "{thread}: {}", io::Error::from_raw_os_error(*errno))
            }
            Failure::Panic { thread, message } => write!(f, "{thread}: panicked: {message}"),
        }
    }
}

impl std::error::Error for Failure {}

/// What a thread of the data plane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadRole {
    /// TUN to UDP.
    Sending,
    /// UDP to TUN.
    Receiving,
    /// Resets of connections that an outage has cut.
    Resetting,
}

impl fmt::Display for ThreadRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ThreadRole::Sending => "sending",
            ThreadRole::Receiving => "receiving",
            ThreadRole::Resetting => "resetting",
        })
    }
}

/// The signal, shared by all threads.
pub(crate) struct Shutdown {
    signal: PipeReader,
    /// The same for a thread that is too busy to poll.
    requested: AtomicBool,
    /// Locked once, to close it; never per packet.
    writer: Mutex<Option<PipeWriter>>,
    failure: OnceLock<Failure>,
}

impl Shutdown {
    /// Error: the process has no descriptors left.
    pub(crate) fn new() -> io::Result<Shutdown> {
        let (signal, writer) = io::pipe()?;

        Ok(Shutdown {
            signal,
            requested: AtomicBool::new(false),
            writer: Mutex::new(Some(writer)),
            failure: OnceLock::new(),
        })
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Relaxed)
    }

    /// Ends all threads.
    pub(crate) fn request(&self) {
        self.requested.store(true, Relaxed);

        // Dropping the writer closes the pipe, which wakes all threads that poll.
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Ends all threads because one of them cannot go on. The first failure is kept.
    pub(crate) fn fail(&self, failure: Failure) {
        // Later failures are mostly consequences of the first.
        let _ = self.failure.set(failure);
        self.request();
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }
}

/// Readable once shutdown is requested.
impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
