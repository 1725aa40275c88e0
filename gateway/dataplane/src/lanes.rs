//! Lanes: a pair of threads each, with a queue of the TUN device, a socket of the tunnel's one port, and an index and
//! keys in every session.
//!
//! ```text
//!   flow ─ hash ─► TUN queue n ─► sealing thread n ─► index of the peer's lane n ─► its socket n ─► opening thread n
//! ```
//! A flow stays in order because nothing on its way is chosen per packet: the kernel chooses the queue by the hash of
//! addresses and ports; the thread has one lane of the peer's; and the peer's kernel chooses the socket by the index
//! ([`share_port`]). Two gateways may have different numbers of lanes: the n-th thread seals for the peer's lane
//! n mod its number. Whatever reaches another lane's socket all the same is opened there: the replay window is
//! shared, only the order is not.

use std::net::UdpSocket;
use std::sync::Arc;
use std::{io, ops};

use socket2::SockRef;

use crate::session::Outgoing;
use crate::sys::steer;

/// The sealing directions of one session, one for each lane of the peer's that is used; never empty.
#[derive(Clone)]
pub struct Lanes(Arc<[Arc<Outgoing>]>);

impl Lanes {
    /// Lane 0 first. `None` if there is none.
    pub fn new(lanes: impl IntoIterator<Item = Arc<Outgoing>>) -> Option<Lanes> {
        let lanes: Arc<[_]> = lanes.into_iter().collect();
        (!lanes.is_empty()).then_some(Lanes(lanes))
    }

    /// What the sealing thread of our lane `lane` seals with.
    pub fn of(&self, lane: usize) -> &Arc<Outgoing> {
        &self.0[lane % self.0.len()]
    }
}

impl From<Arc<Outgoing>> for Lanes {
    fn from(only: Arc<Outgoing>) -> Lanes {
        Lanes([only].into())
    }
}

impl ops::Deref for Lanes {
    type Target = [Arc<Outgoing>];

    fn deref(&self) -> &[Arc<Outgoing>] {
        &self.0
    }
}

/// Has the sockets, bound to one port in the order of their lanes (SO_REUSEPORT, socket(7)), share what comes there:
/// a data packet goes to the socket whose number is its index modulo their count, anything else to the first.
///
/// The TTL or hop limit of a socket is smaller by the number of its lane: a receiving kernel joins only datagrams that
/// have the same one, and so never packets of two lanes.
pub fn share_port(sockets: &[Arc<UdpSocket>]) -> io::Result<()> {
    let Some(first) = sockets.first().filter(|_| sockets.len() > 1) else {
        return Ok(());
    };
    for (lane, socket) in (0..).zip(sockets) {
        socket.set_ttl(socket.ttl()?.saturating_sub(lane).max(1))?;
        if socket.local_addr()?.is_ipv6() {
            let socket = SockRef::from(&**socket);
            socket.set_unicast_hops_v6(socket.unicast_hops_v6()?.saturating_sub(lane).max(1))?;
        }
    }
    steer::by_index(&**first, sockets.len() as u32)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Three sockets on a port of their own.
    fn sockets(address: &str) -> Vec<Arc<UdpSocket>> {
        let mut address: SocketAddr = address.parse().unwrap();
        let bind = |_| {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&address.into()).unwrap();
            let socket = UdpSocket::from(socket);
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            address = socket.local_addr().unwrap();
            Arc::new(socket)
        };
        (0..3).map(bind).collect()
    }

    #[test]
    fn a_data_packet_goes_to_the_socket_of_its_index_and_anything_else_to_the_first() {
        for (bind, host) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let sockets = sockets(bind);
            share_port(&sockets).unwrap();
            let port = sockets[0].local_addr().unwrap().port();
            let sender = UdpSocket::bind((host, 0)).unwrap();
            let lands_at = |datagram: &[u8], socket: usize| {
                sender.send_to(datagram, (host, port)).unwrap();
                let len = sockets[socket]
                    .recv(&mut [0; 64])
                    .unwrap_or_else(|e| panic!("{datagram:?}: {e}"));
                assert_eq!(len, datagram.len());
            };
            for index in (0..64u32).chain(u32::MAX - 64..=u32::MAX) {
                let datagram = [&[1, 0, 0, 0][..], &index.to_be_bytes(), &[0; 8]].concat();
                lands_at(&datagram, (index % 3) as usize);
                lands_at(&[&[0x43, 0, 0, 0][..], &index.to_be_bytes()].concat(), 0);
            }
            lands_at(&[1, 2, 3], 0);
            lands_at(&[], 0);
        }
    }

    #[test]
    fn no_kernel_joins_packets_of_two_lanes() {
        let sockets = sockets("[::]:0");
        share_port(&sockets).unwrap();
        let limits = |socket: &Arc<UdpSocket>| {
            (
                socket.ttl().unwrap(),
                SockRef::from(&**socket).unicast_hops_v6().unwrap(),
            )
        };
        let limits: Vec<_> = sockets.iter().map(limits).collect();
        assert!(
            limits
                .windows(2)
                .all(|two| two[0].0 == two[1].0 + 1 && two[0].1 == two[1].1 + 1),
            "{limits:?}"
        );
    }
}
