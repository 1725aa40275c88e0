//! One rtnetlink socket, the task that reads it, and a bound on how long the kernel may take.
//!
//! The socket belongs to the network namespace of the thread that opens it.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use rtnetlink::Handle;
use tokio::task::JoinHandle;

/// The kernel answers in microseconds; after this the host is broken, not busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open socket. Dropping it ends the task that reads it.
#[derive(Debug)]
pub(super) struct Netlink {
    handle: Handle,
    reader: JoinHandle<()>,
}

impl Netlink {
    /// Opens a socket with strict checking, so that the kernel filters dumps. Needs a tokio runtime.
    pub(super) fn open() -> io::Result<Netlink> {
        let (connection, handle, _multicast) = rtnetlink::new_connection_with_strict_check()?;
        Ok(Netlink { handle, reader: tokio::spawn(connection) })
    }

    /// For requests.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Waits for a request.
pub(super) async fn answer<T>(request: impl Future<Output = Result<T, rtnetlink::Error>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(result) => result.map_err(errno),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer over netlink")),
    }
}

/// Waits for all of a dump.
pub(super) async fn dump<T>(stream: impl Stream<Item = Result<T, rtnetlink::Error>>) -> io::Result<Vec<T>> {
    answer(stream.try_collect()).await
}

fn errno(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
