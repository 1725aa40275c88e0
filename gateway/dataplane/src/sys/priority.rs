//! setpriority(2) for the calling thread.
//!
//! Soundness: the one block passes three numbers.

use std::io;

/// Sets the nice value of the calling thread: on Linux, not of its process.
pub(crate) fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: setpriority(2) takes no pointers.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
