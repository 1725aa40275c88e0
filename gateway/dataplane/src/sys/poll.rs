//! poll(2) over two descriptors: one to work on, one that asks to stop.
//!
//! Soundness: the one block passes poll(2) an array of two initialized `pollfd`s and its length;
//! the kernel writes only their `revents`. The descriptors are borrowed, so they stay open during
//! the call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Waits until `work` is readable (or broken), `stop` is, or `timeout` has passed; `None` waits
/// forever. True if `work` is ready.
pub(crate) fn wait(
    work: Option<BorrowedFd<'_>>,
    stop: BorrowedFd<'_>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    // poll(2) ignores negative descriptors.
    let work = work.map_or(-1, |work| work.as_raw_fd());
    poll(work, libc::POLLIN, stop, timeout)
}

/// Waits until `socket` can be written to, `stop` is readable, or `timeout` has passed.
pub(crate) fn wait_for_room(
    socket: BorrowedFd<'_>,
    stop: BorrowedFd<'_>,
    timeout: Duration,
) -> io::Result<()> {
    poll(socket.as_raw_fd(), libc::POLLOUT, stop, Some(timeout)).map(|_| ())
}

/// True if something happened at `work`.
fn poll(
    work: RawFd,
    events: libc::c_short,
    stop: BorrowedFd<'_>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut fds =
        [(work, events), (stop.as_raw_fd(), libc::POLLIN)].map(|(fd, events)| libc::pollfd {
            fd,
            events,
            revents: 0,
        });

    let millis = timeout.map_or(-1, |timeout| {
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    });

    // SAFETY: `fds` is an initialized array of as many elements as its length says, alive during
    // the call.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }

    Ok(fds[0].revents != 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn work_stop_and_time_each_end_the_wait() {
        let (work, mut feed) = io::pipe().unwrap();
        let (stop, writer) = io::pipe().unwrap();
        let timeout = Some(Duration::from_millis(1));
        assert!(!wait(Some(work.as_fd()), stop.as_fd(), timeout).unwrap());

        feed.write_all(b"x").unwrap();
        assert!(wait(Some(work.as_fd()), stop.as_fd(), None).unwrap());

        drop(writer);
        assert!(!wait(None, stop.as_fd(), None).unwrap());
    }
}
