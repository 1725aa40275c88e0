//! [`Events`]: the kernel's notifications that something was changed of what this daemon has set:
//! rules, routes, links, addresses, forwarding, nftables.
//!
//! They only say *when* to compare, and perhaps who it was. Messages may be lost (netlink(7)), so
//! nothing else is believed of them.

use std::io;
use std::time::Duration;

use rtnetlink::sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use tokio::time::{Instant, sleep_until, timeout};

use super::authors::Authors;

/// Groups of linux/rtnetlink.h: links, addresses and routes of both families, rules of both, and
/// forwarding (`netconf`) of both.
const ROUTE_GROUPS: [u32; 9] = [1, 5, 9, 7, 11, 8, 19, 24, 25];
/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h.
const NFTABLES_GROUP: u32 = 7;

/// A burst is over when nothing came for this long.
const LULL: Duration = Duration::from_millis(5);
/// The longest burst that is waited for.
const BURST: Duration = Duration::from_millis(50);
/// Least time between two reports: a host whose routes change all the time costs no more than some
/// thirty looks a second. Programs that remove one thing after the other are hardly slower.
const PAUSE: Duration = Duration::from_millis(30);

/// Longer notifications are cut off: what names the author comes first.
const DATAGRAM: usize = 8 * 1024;

/// One socket, and how its notifications are read.
pub struct Events {
    socket: TokioSocket,
    authors: Authors,
    note: fn(&Authors, &[u8]),
    buffer: Vec<u8>,
    /// No report before.
    quiet: Instant,
}

impl Events {
    /// Rules, routes, links, addresses and forwarding. In the network namespace of the calling
    /// thread; needs a tokio runtime.
    pub fn of_routes(authors: Authors) -> io::Result<Events> {
        Events::listen(NETLINK_ROUTE, &ROUTE_GROUPS, authors, Authors::note_routes)
    }

    /// Nftables: the end of every transaction.
    pub fn of_nftables(authors: Authors) -> io::Result<Events> {
        Events::listen(
            NETLINK_NETFILTER,
            &[NFTABLES_GROUP],
            authors,
            Authors::note_nftables,
        )
    }

    fn listen(
        protocol: isize,
        groups: &[u32],
        authors: Authors,
        note: fn(&Authors, &[u8]),
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
            buffer: Vec::with_capacity(DATAGRAM),
            quiet: Instant::now(),
        })
    }

    /// Waits for a change, and then for the end of its burst.
    pub async fn next(&mut self) -> io::Result<()> {
        self.read().await?;
        sleep_until(self.quiet).await;

        let end = Instant::now() + BURST;
        while Instant::now() < end {
            match timeout(LULL, self.read()).await {
                Ok(result) => result?,
                Err(_) => break,
            }
        }
        self.quiet = Instant::now() + PAUSE;
        Ok(())
    }

    /// Reads one datagram, and waits for it.
    async fn read(&mut self) -> io::Result<()> {
        self.buffer.clear();

        let result = self.socket.recv(&mut self.buffer).await;
        match result {
            Ok(_) => (self.note)(&self.authors, &self.buffer),
            // Notifications were lost (netlink(7)): something was changed, in any case.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
