//! [`ControlSink`]: what the data plane hands to the control plane, and the [`Event`]s that it
//! reports.
//!
//! A receiving thread owns its sink and must never wait. An implementation tries to put things into
//! bounded queues and says whether it could.

use std::net::{IpAddr, SocketAddr};

use crate::shutdown::Failure;

/// Takes QUIC datagrams and events.
pub trait ControlSink: Send {
    /// A QUIC datagram, sent `from` the peer's address `to` this local address (if the kernel says
    /// so), with the two ECN bits of its IP header. False if the queue is full and the datagram
    /// lost.
    fn quic(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    ) -> bool;

    /// Something has happened. False if the queue is full and the event lost.
    fn event(&mut self, event: Event) -> bool;
}

/// What the control plane must know of the data plane. Addresses are in their plain form: IPv4 is
/// never mapped into IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The echo of a probe has arrived.
    Echo {
        /// Our index of the session that it arrived on.
        index: u32,
        /// The probe's token.
        probe: u64,
        /// The sender's address: the echo proves that the peer receives there.
        from: SocketAddr,
        /// The local address that it was sent to, if the kernel says so.
        to: Option<IpAddr>,
    },
    /// The newest packet of a session came from another address than the peer's. The session's path
    /// stays as it is; the control plane may challenge the address.
    OffPath {
        /// Our index of the session.
        index: u32,
        /// The sender's address.
        from: SocketAddr,
        /// The local address that it was sent to, if the kernel says so.
        to: Option<IpAddr>,
    },
    /// The data plane has ended by itself. No packet moves any more; this is the last event.
    Failed(Failure),
}
