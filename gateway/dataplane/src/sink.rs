//! [`ControlSink`]: what the data plane hands to the control plane.
//!
//! The receiving thread owns the sink and must never wait: an implementation tries to put things into
//! bounded queues and says whether they were taken.

use std::net::{IpAddr, SocketAddr};

/// Takes what is not data, and what happened to data that the control plane must know.
pub trait ControlSink: Send {
    /// A QUIC datagram, `from` a peer's address, sent `to` this local address (if the kernel told), with the
    /// two ECN bits of its IP header. Never waits; false if the queue is full and the datagram lost.
    fn quic(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    ) -> bool;

    /// Something happened. Never waits; false if the queue is full. [`Event::Proved`] is offered again with
    /// the next packet, the others are lost.
    fn event(&mut self, event: Event) -> bool;
}

/// What the control plane must know of the data plane. Addresses are in their plain form: IPv4 is never
/// mapped into IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The echo of a probe arrived.
    Echo {
        /// Our index of the session it arrived on.
        index: u32,
        /// The probe's token.
        probe: u64,
        /// Where it came from: proof that the peer receives what is sent there.
        from: SocketAddr,
        /// The local address it was sent to, if the kernel told.
        to: Option<IpAddr>,
    },
    /// The first packet of a session passed the AEAD.
    Proved {
        /// Our index of the session.
        index: u32,
    },
    /// The newest packet of a session came from another address than the peer's. Nothing moves by that: the
    /// control plane may challenge the address.
    OffPath {
        /// Our index of the session.
        index: u32,
        /// Where it came from.
        from: SocketAddr,
        /// The local address it was sent to, if the kernel told.
        to: Option<IpAddr>,
    },
    /// A thread ended by itself: no packet moves any more. The last event.
    Failed {
        /// Which thread, and why.
        reason: String,
    },
}
