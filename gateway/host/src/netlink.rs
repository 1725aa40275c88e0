//! The two rtnetlink sockets: [`Netlink`] for requests, [`Changes`] for notifications.
//!
//! A socket belongs to the network namespace of the thread that opens it. A task on the runtime
//! reads it, and ends with the value that owns it.

pub(crate) mod raw;

use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use ringway_intent::Scope;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::links::SharedScope;
use super::virtual_address;

/// The kernel answers in microseconds; after this the host is broken, not busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Changes come in bursts. A burst ends when there was none for this long.
const LULL: Duration = Duration::from_millis(20);
/// Maximum duration of a burst.
const BURST: Duration = Duration::from_millis(500);

/// A socket for requests.
#[derive(Debug)]
pub(super) struct Netlink {
    handle: Handle,
    reader: JoinHandle<()>,
}

impl Netlink {
    /// Opens a socket with strict checking, so that the kernel filters dumps. Needs a tokio
    /// runtime.
    pub(super) fn open() -> io::Result<Netlink> {
        let (connection, handle, _multicast) = rtnetlink::new_connection_with_strict_check()?;

        Ok(Netlink {
            handle,
            reader: tokio::spawn(connection),
        })
    }

    /// Builds requests; wait for them with [`answer`] or [`dump`].
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        // By itself, the task ends only when the socket fails.
        self.reader.abort();
    }
}

/// Notifications that something changed, without saying what.
pub(super) struct Changes {
    /// Unbounded inside the library, filled by the kernel; [`Changes::next`] empties it.
    messages: Pin<Box<dyn Stream<Item = ()> + Send>>,
    reader: JoinHandle<()>,
}

impl Changes {
    /// Listens for changes of links and addresses, except those that `scope` leaves out. Needs a
    /// tokio runtime.
    pub(super) fn listen(scope: SharedScope) -> io::Result<Changes> {
        use MulticastGroup::{Ipv4Ifaddr, Ipv6Ifaddr, Link};
        Changes::listen_to(&[Link, Ipv4Ifaddr, Ipv6Ifaddr], scope)
    }

    /// Listens for changes of routes. Needs a tokio runtime.
    pub(super) fn listen_to_routes() -> io::Result<Changes> {
        use MulticastGroup::{Ipv4Route, Ipv6Route};
        Changes::listen_to(&[Ipv4Route, Ipv6Route], SharedScope::default())
    }

    fn listen_to(groups: &[MulticastGroup], scope: SharedScope) -> io::Result<Changes> {
        let (connection, _handle, messages) = rtnetlink::new_multicast_connection(groups)?;

        Ok(Changes {
            // netlink(7): messages may be lost, so their contents are ignored, and the caller reads
            // everything again. But virtual addresses are renewed twice a second: ignore those
            // renewals.
            messages: Box::pin(messages.filter_map(move |(message, _)| {
                ready((!is_left_out(&message.payload, &scope)).then_some(()))
            })),
            reader: tokio::spawn(connection),
        })
    }

    /// Waits for a change and for the end of its burst, so that the caller reads the links once.
    /// After an error there are no more notifications.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        self.messages.next().await.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the netlink socket reports no more changes",
            )
        })?;

        // On a timeout the burst goes on; the next call reports the rest.
        _ = timeout(BURST, async {
            while let Ok(Some(())) = timeout(LULL, self.messages.next()).await {}
        })
        .await;
        Ok(())
    }
}

fn is_left_out(payload: &NetlinkPayload<RouteNetlinkMessage>, scope: &ArcSwap<Scope>) -> bool {
    use RouteNetlinkMessage::{DelAddress, NewAddress};
    let NetlinkPayload::InnerMessage(NewAddress(message) | DelAddress(message)) = payload else {
        return false;
    };

    virtual_address::local(message).is_some_and(|address| scope.load().left_out.contains(&address))
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Waits for the answer to a request.
pub(super) async fn answer<T>(
    request: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> io::Result<T> {
    match timeout(ANSWER_TIMEOUT, request).await {
        Ok(result) => result.map_err(errno),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the kernel did not answer over netlink",
        )),
    }
}

/// Collects a whole dump.
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
