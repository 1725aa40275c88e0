//! TUNSETQUEUE (linux/if_tun.h): takes a queue of a TUN device out of service for reading.
//!
//! Soundness: the one block passes a pointer to a zeroed `ifreq` with its flags set; the kernel
//! only reads it. The descriptor is borrowed, so it is open during the call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Detaches a queue: the kernel hands it no more packets. It can still be written to.
pub(crate) fn detach(queue: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an `ifreq` is made of integers, arrays of them and pointers; all zero is one of its
    // values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_flags = libc::IFF_DETACH_QUEUE as libc::c_short;

    // SAFETY: TUNSETQUEUE reads one `ifreq`, which is live.
    let result = unsafe {
        libc::ioctl(
            queue.as_raw_fd(),
            libc::TUNSETQUEUE as _,
            &raw const request,
        )
    };

    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
