//! Packets that match no flow known here: hands them over to the site's other gateways, and accepts
//! those that these hand over.

use std::io::IoSlice;
use std::time::Instant;

use ringway_filter::{Reason, Verdict};

use super::{Arrival, Batch, Receiver, deliver};
use crate::counters::DropReason;
use crate::handover;
use crate::header::{Checksum, HEADER_LEN, TAG_LEN};
use crate::ip;
use crate::session::Incoming;
use crate::sink::ControlSink;
use crate::snapshot::{SiteNo, Snapshot};
use crate::transport::Transport;
use crate::tun::Tun;
use crate::udp::Udp;

/// Hands a packet that would be refused to the other gateways of this site, if one of them may know
/// what it answers. False if not.
pub(super) fn hand_over<U: Udp>(
    udp: &U,
    snapshot: &Snapshot,
    session: &Incoming,
    checksum: Checksum,
    packet: &[u8],
    reason: Reason,
    now: Instant,
) -> bool {
    let companions = snapshot.companions();
    // The budget comes last: only a packet that is handed over takes from it.
    let is_handed = !companions.is_empty()
        && handover::may_answer(reason, packet)
        && session.peer().may_hand_over(now);

    if is_handed {
        handover::send(udp, companions, checksum, packet);
    }
    is_handed
}

impl<T: Tun, U: Udp, S: ControlSink> Receiver<'_, T, U, S> {
    /// Writes out what another gateway of this site has received, if it answers a flow of ours.
    /// Errors: [`DropReason::HandedOver`], [`DropReason::Source`], [`DropReason::Denied`], and
    /// those of [`admit`].
    pub(super) fn accept_handed<'b, W: FnMut(&[IoSlice<'_>], usize)>(
        &mut self,
        batch: &mut Batch<'b, '_, W>,
        arrival: &Arrival,
        session: &Incoming,
        checksum: Checksum,
        datagram: &'b mut [u8],
    ) -> Result<(), DropReason> {
        let snapshot = batch.snapshot;
        // Only a gateway of this site may hand over. From one of another site, this would be a way
        // to deliver packets in the name of any member.
        if session.site() != snapshot.site() || !session.peer().may_hand_over(arrival.at) {
            return Err(DropReason::HandedOver);
        }

        let packet = &datagram[HEADER_LEN..datagram.len() - TAG_LEN];
        let source = ip::parse(packet)?.source;
        let from = snapshot.holder(source).ok_or(DropReason::Source)?;
        // A packet of our own hosts never comes out of a tunnel.
        if from == snapshot.site() || snapshot.is_node(from) {
            return Err(DropReason::Source);
        }
        batch.admitted.admit(from, packet)?;
        let transport = Transport::locate(packet);
        if checksum == Checksum::Partial && transport.is_none() {
            return Err(DropReason::Malformed);
        }

        // The gateway that received it has judged by rules and grace already. A flow of ours is all
        // that counts here; without one it is refused, since two gateways would hand it back and
        // forth.
        let rules = snapshot.rules().ok_or(DropReason::HandedOver)?;
        let SiteNo(number) = from;
        let verdict = self.lane.filter.answers(rules, number, packet, arrival.at);
        if let Verdict::Reject(_) = verdict
            && let Some(back) = snapshot.route(source)
        {
            self.reject(session, back.lane(0), packet, arrival.at);
        }
        if verdict != Verdict::Pass {
            return Err(DropReason::Denied);
        }

        session.counters().received(packet.len());
        let back = || snapshot.route(source).map(|back| back.lane(0).max_packet());
        deliver(batch, datagram, checksum, transport, back);
        Ok(())
    }
}
