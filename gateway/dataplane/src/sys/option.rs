//! setsockopt(2) for the integer options that `socket2` does not know.
//!
//! Soundness: the one block passes a pointer to an `int` and its size; the kernel only reads it.
//! The socket is borrowed, so its descriptor is open during the call.

use std::io;
use std::os::fd::AsRawFd;

/// Sets an integer option. Error: the kernel does not know it, or refuses the value.
pub(crate) fn set(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is a live `int` of `size` bytes; setsockopt(2) reads no more than that.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size,
        )
    };

    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
