//! [`Events`]: the kernel's notifications about changes that may affect our objects: rules, routes,
//! links, addresses, forwarding, nftables.
//!
//! They decide only *when* to compare, and may name the program. The kernel may drop notifications
//! (netlink(7)), so nothing else depends on them.

use std::io;
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_intent::Scope;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use tokio::time::{Instant, sleep_until, timeout};

use super::authors::Authors;
use crate::links::SharedScope;
use crate::virtual_address;

/// Groups of linux/rtnetlink.h: links, addresses and routes of both families, rules of both, and
/// forwarding (`netconf`) of both.
const ROUTE_GROUPS: [u32; 9] = [1, 5, 9, 7, 11, 8, 19, 24, 25];
/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h.
const NFTABLES_GROUP: u32 = 7;

/// A burst ends after this long without a notification.
const LULL: Duration = Duration::from_millis(5);
/// Maximum duration of a burst.
const BURST: Duration = Duration::from_millis(50);
/// Minimum time between two reports. On a host whose routes change all the time, it limits the
/// comparisons to about thirty a second.
const PAUSE: Duration = Duration::from_millis(30);

/// Maximum length. The part of a longer notification that names the author is not truncated.
const DATAGRAM: usize = 8 * 1024;

/// A socket for one kind of notifications.
pub struct Events {
    socket: TokioSocket,
    authors: Authors,
    note: fn(&Authors, &[u8]),
    /// Its `left_out` addresses are renewed all the time, which is not a change.
    scope: SharedScope,
    buffer: Vec<u8>,
    /// The earliest time of the next report.
    earliest: Instant,
}

impl Events {
    /// Listens for rules, routes, links, addresses and forwarding, in the network namespace of the
    /// calling thread. Needs a tokio runtime.
    pub fn of_routes(authors: Authors, scope: SharedScope) -> io::Result<Events> {
        let note = Authors::note_routes;
        Events::listen(NETLINK_ROUTE, &ROUTE_GROUPS, authors, note, scope)
    }

    /// Listens for the end of every nftables transaction.
    pub fn of_nftables(authors: Authors) -> io::Result<Events> {
        let note = Authors::note_nftables;
        let scope = SharedScope::default();
        Events::listen(NETLINK_NETFILTER, &[NFTABLES_GROUP], authors, note, scope)
    }

    fn listen(
        protocol: isize,
        groups: &[u32],
        authors: Authors,
        note: fn(&Authors, &[u8]),
        scope: SharedScope,
    ) -> io::Result<Events> {
        let mut socket = TokioSocket::new(protocol)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in groups {
            socket.socket_mut().add_membership(*group)?;
        }

        Ok(Events {
            socket,
            authors,
            note,
            scope,
            buffer: Vec::with_capacity(DATAGRAM),
            earliest: Instant::now(),
        })
    }

    /// Waits for a change, and for the end of its burst.
    pub async fn next(&mut self) -> io::Result<()> {
        self.read().await?;
        // Notifications during the pause after the last report belong to this burst.
        sleep_until(self.earliest).await;

        let end = Instant::now() + BURST;
        while Instant::now() < end {
            match timeout(LULL, self.read()).await {
                Ok(result) => result?,
                Err(_) => break,
            }
        }
        self.earliest = Instant::now() + PAUSE;
        Ok(())
    }

    /// Waits for the next relevant datagram and reads it.
    async fn read(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();

            let result = self.socket.recv(&mut self.buffer).await;
            match result {
                Ok(_) if is_renewal(&self.buffer, &self.scope) => continue,
                Ok(_) => (self.note)(&self.authors, &self.buffer),
                // Notifications were lost (netlink(7)), so something has changed.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

/// True for a notification that the lifetime of a virtual address was renewed. The kernel sends one
/// datagram for each change of an address.
fn is_renewal(datagram: &[u8], scope: &ArcSwap<Scope>) -> bool {
    let scope = scope.load();
    // Most gateways have no virtual addresses.
    if scope.left_out.is_empty() {
        return false;
    }
    let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram) else {
        return false;
    };

    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
            let address = virtual_address::local(&message);
            address.is_some_and(|address| scope.left_out.contains(&address))
        }
        _ => false,
    }
}
