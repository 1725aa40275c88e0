//! [`Lanes`]: each lane has a pair of threads, a queue of the TUN device, a socket on the tunnel's
//! one port, and in every session an index and keys.
//!
//! ```text
//!   flow ─ hash ─► TUN queue n ─► sending thread n ─► index of the peer's lane n
//!                                    ─► the peer's socket n ─► its receiving thread n
//! ```
//! A flow stays in order because nothing on its way is chosen per packet: the kernel chooses the
//! queue by the hash of addresses and ports; the thread seals for one lane of the peer; and the
//! peer's kernel chooses the socket by the index ([`share_port`]). Two gateways may have different
//! numbers of lanes: the n-th thread seals for the peer's lane n modulo their count. A packet that
//! reaches another lane's socket all the same is opened there, since the lanes share the tables;
//! only its order is not guaranteed.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::{io, ops};

use socket2::SockRef;

use crate::session::Outgoing;
use crate::sys::steer;

/// The sealing directions of one session, one for each lane of the peer that is used; never empty.
#[derive(Clone)]
pub struct Lanes(Arc<[Arc<Outgoing>]>);

impl Lanes {
    /// Lane 0 first. `None` if there is none.
    pub fn new(lanes: impl IntoIterator<Item = Arc<Outgoing>>) -> Option<Lanes> {
        let lanes: Arc<[_]> = lanes.into_iter().collect();
        (!lanes.is_empty()).then_some(Lanes(lanes))
    }

    /// The direction that the sending thread of our lane number `lane` seals with.
    pub fn lane(&self, lane: usize) -> &Arc<Outgoing> {
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

/// Distributes what arrives on a port over the sockets that are bound to it, given in the order of
/// their lanes (SO_REUSEPORT, socket(7)): a data packet goes to the socket whose number is its
/// index modulo their count, anything else to the first.
///
/// The TTL or hop limit of a socket is smaller by the number of its lane. A receiving kernel joins
/// only datagrams of the same TTL, and so never packets of two lanes.
pub fn share_port<S: AsFd>(sockets: &[Arc<S>]) -> io::Result<()> {
    // One socket gets everything without a program.
    let [first, _, ..] = sockets else {
        return Ok(());
    };

    for (lane, socket) in (0..).zip(sockets) {
        let socket = SockRef::from(&**socket);
        let ttl = socket.ttl_v4()?.saturating_sub(lane);
        socket.set_ttl_v4(ttl.max(1))?;

        if socket.local_addr()?.is_ipv6() {
            let hops = socket.unicast_hops_v6()?.saturating_sub(lane);
            socket.set_unicast_hops_v6(hops.max(1))?;
        }
    }

    steer::by_index(&*SockRef::from(&**first), sockets.len() as u32)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Three sockets on one free port.
    fn sockets(address: &str) -> Vec<Arc<UdpSocket>> {
        let mut address: SocketAddr = address.parse().unwrap();
        let mut sockets = Vec::new();
        for _ in 0..3 {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&address.into()).unwrap();
            let socket = UdpSocket::from(socket);
            let timeout = Some(Duration::from_secs(5));
            socket.set_read_timeout(timeout).unwrap();
            // The first bind chooses the port for all of them.
            address = socket.local_addr().unwrap();
            sockets.push(Arc::new(socket));
        }
        sockets
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
            let arrives_at = |datagram: &[u8], socket: usize| {
                sender.send_to(datagram, (host, port)).unwrap();
                let len = sockets[socket]
                    .recv(&mut [0; 64])
                    .unwrap_or_else(|e| panic!("{datagram:?}: {e}"));
                assert_eq!(len, datagram.len());
            };
            for index in (0..64u32).chain(u32::MAX - 64..=u32::MAX) {
                let datagram = [&[1, 0, 0, 0][..], &index.to_be_bytes(), &[0; 8]].concat();
                arrives_at(&datagram, (index % 3) as usize);
                arrives_at(&[&[0x43, 0, 0, 0][..], &index.to_be_bytes()].concat(), 0);
            }
            arrives_at(&[1, 2, 3], 0);
            arrives_at(&[], 0);
        }
    }

    #[test]
    fn no_kernel_joins_packets_of_two_lanes() {
        let sockets = sockets("[::]:0");
        share_port(&sockets).unwrap();
        let sockets = sockets.iter().map(|socket| SockRef::from(&**socket));
        let limits: Vec<_> = sockets
            .map(|socket| [socket.ttl_v4().unwrap(), socket.unicast_hops_v6().unwrap()])
            .collect();
        let [first, second, third] = limits[..] else {
            panic!("three sockets")
        };
        assert_eq!(second, first.map(|limit| limit - 1));
        assert_eq!(third, first.map(|limit| limit - 2));
    }
}
