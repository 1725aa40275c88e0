//! One rtnetlink socket, the task that reads it, and a bound on how long the kernel may take; and another that
//! tells changes.
//!
//! The socket belongs to the network namespace of the thread that opens it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;

/// The kernel answers in microseconds; after this the host is broken, not busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change seldom comes alone: how long none must come to end a burst, and the longest burst.
const LULL: Duration = Duration::from_millis(20);
const BURST: Duration = Duration::from_millis(500);

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
        Ok(Netlink {
            handle,
            reader: tokio::spawn(connection),
        })
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

/// Notices that links or addresses changed; says no more than that.
pub(super) struct Changes {
    /// Unbounded by the library; [`Changes::next`] empties it.
    messages: Pin<Box<dyn Stream<Item = ()> + Send>>,
    reader: JoinHandle<()>,
}

impl Changes {
    /// Listens from now on. Needs a tokio runtime.
    pub(super) fn listen() -> io::Result<Changes> {
        use MulticastGroup::{Ipv4Ifaddr, Ipv6Ifaddr, Link};
        let (connection, _handle, messages) =
            rtnetlink::new_multicast_connection(&[Link, Ipv4Ifaddr, Ipv6Ifaddr])?;
        Ok(Changes {
            messages: Box::pin(messages.map(|_| ())),
            reader: tokio::spawn(connection),
        })
    }

    /// Waits for a change, and then for the end of a burst, but not for long. An error: no more will come.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        let ended = || {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "netlink tells no more changes",
            )
        };
        self.messages.next().await.ok_or_else(ended)?;
        let _ = tokio::time::timeout(BURST, async {
            while let Ok(Some(_)) = tokio::time::timeout(LULL, self.messages.next()).await {}
        })
        .await;
        Ok(())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Waits for a request.
pub(super) async fn answer<T>(
    request: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(result) => result.map_err(errno),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the kernel did not answer over netlink",
        )),
    }
}

/// Waits for all of a dump.
pub(super) async fn dump<T>(
    stream: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> io::Result<Vec<T>> {
    answer(stream.try_collect()).await
}

fn errno(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
