//! Type-4 packets: what a gateway has received although no flow that it knows is answered by it.
//! Another gateway of its site may know the flow; that one writes the packet out.
//!
//! Owns how they are sent, and which. What a receiver believes, and refuses, is the receiver's to
//! say.

use ringway_filter::Reason;

use crate::companions::Companions;
use crate::header::{Checksum, HEADER_LEN, Kind, OVERHEAD};
use crate::traffic_class::TrafficClass;
use crate::transport::{Protocol, Transport};
use crate::udp::{self, Udp};

/// True if a packet that was refused for `reason` may answer a flow that another gateway knows.
pub(crate) fn may_answer(reason: Reason, packet: &[u8]) -> bool {
    match reason {
        Reason::NoFlow | Reason::IcmpError => true,
        // An answer over UDP looks like the beginning of something.
        Reason::Denied => {
            Transport::locate(packet).is_some_and(|transport| transport.protocol == Protocol::Udp)
        }
        _ => false,
    }
}

/// Sends an IP packet to the other gateways of this site.
pub(crate) fn send<U: Udp>(udp: &U, to: &Companions, checksum: Checksum, packet: &[u8]) {
    // Few are sent in a second: memory of their own costs nothing.
    let mut datagram = vec![0; packet.len() + OVERHEAD];

    for session in to.sessions() {
        datagram[HEADER_LEN..][..packet.len()].copy_from_slice(packet);
        let sealed = session
            .reserve(1)
            .and_then(|number| session.seal(Kind::Handed(checksum), number, &mut datagram));
        if sealed.is_ok() {
            // What the socket has no room for is lost, as it would have been.
            let class = TrafficClass::default();
            let _ = udp::send_along(udp, session, &datagram, None, class);
        }
    }
}
