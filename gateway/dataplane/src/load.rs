//! [`Loader`]: what was read from the TUN device, checked and sealed into the train.
//!
//! ```text
//!  a super-packet ─► egress ─► its session ─► cut ─► each piece sealed in the train ─┐
//!  or a packet    ─► egress ─► its session ───────► sealed in the train ─────────────┤
//!  ◄───────── full, of another length or to another peer: it leaves before ◄─────────┘
//! ```
//! The pieces of one super-packet share their addresses, so that checking the whole checks all.
//!
//! The kernel's routes know how long packets to a peer may be: it has fragmented, or answered by ICMP, what
//! is longer. What comes all the same (the path has just shrunk, or takes less than the 1280 bytes of IPv6) goes on,
//! TCP in shorter segments and everything else in outer fragments.

use std::io;
use std::sync::Arc;

use crate::checksum;
use crate::counters::DropReason;
use crate::dataplane::Shared;
use crate::egress::route;
use crate::header::Checksum;
use crate::link::Link;
use crate::mss;
use crate::offload::{OFFLOAD_LEN, Offload, Sum};
use crate::session::Outgoing;
use crate::split::Split;
use crate::train::Train;
use crate::transport::Transport;

/// The train that is loading, and what it takes to load it.
pub(crate) struct Loader<'a> {
    shared: &'a Shared,
    link: Link<'a>,
    train: Train,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(shared: &'a Shared) -> io::Result<Self> {
        Ok(Loader {
            shared,
            link: Link::of(&shared.socket)?,
            train: Train::new(),
        })
    }

    /// Sends what was loaded.
    pub(crate) fn leave(&mut self) {
        self.train.leave(&self.link);
    }

    /// Loads what one read gave: one packet, or one super-packet.
    pub(crate) fn handle(&mut self, input: &mut [u8]) {
        let counters = &self.shared.counters;
        let snapshot = self.shared.snapshot.load();
        let Some((head, packet)) = input.split_first_chunk_mut::<OFFLOAD_LEN>() else {
            return counters.drop_packet(DropReason::Malformed);
        };
        match Offload::decode(head).and_then(|offload| Ok((route(&snapshot, packet)?, offload))) {
            Ok((session, offload)) => {
                let session = session.of(self.shared.lane);
                if let Err((reason, count)) = self.load(session, packet, &offload) {
                    session.counters().drop_packets(reason, count);
                }
            }
            Err(reason) => counters.drop_packet(reason),
        }
    }

    /// Error: why how many packets were dropped.
    fn load(
        &mut self,
        session: &Arc<Outgoing>,
        packet: &mut [u8],
        offload: &Offload,
    ) -> Result<(), (DropReason, usize)> {
        let Some(cut) = &offload.cut else {
            let checksum = settle(packet, offload.checksum).map_err(|reason| (reason, 1))?;
            clamp(packet, checksum, session);
            let number = session.reserve(1).map_err(|reason| (reason, 1))?;
            let write = |slot: &mut [u8]| slot.copy_from_slice(packet);
            let what = (checksum, packet.len());
            return self
                .train
                .load(&self.link, session, number, what, write)
                .map_err(|reason| (reason, 1));
        };
        let mut split = Split::new(packet, cut, session.room()).map_err(|reason| (reason, 1))?;
        let count = split.count();
        let first = session.reserve(count).map_err(|reason| (reason, count))?;
        for (at, number) in (0..count).zip(first..) {
            let what = (Checksum::Partial, split.len(at));
            let write = |slot: &mut [u8]| split.write(at, slot);
            self.train
                .load(&self.link, session, number, what, write)
                .map_err(|reason| (reason, count - at))?;
        }
        Ok(())
    }
}

/// What the near end of a new connection takes comes back by the peer's tunnel, which is no wider than ours.
fn clamp(packet: &mut [u8], checksum: Checksum, session: &Outgoing) {
    let syn = Transport::locate(packet).filter(|transport| mss::applies_to(packet, transport));
    if let Some(transport) = syn {
        mss::clamp(packet, &transport, checksum, session.room());
    }
}

/// Leaves a checksum partial if the receiver will find the same place for it; else completes it.
fn settle(packet: &mut [u8], sum: Option<Sum>) -> Result<Checksum, DropReason> {
    let Some(sum) = sum else {
        return Ok(Checksum::Complete);
    };
    if Transport::locate(packet).is_some_and(|transport| Sum::of(&transport) == sum) {
        return Ok(Checksum::Partial);
    }
    let complete = checksum::complete(packet, sum.start, sum.field);
    if complete {
        Ok(Checksum::Complete)
    } else {
        Err(DropReason::Malformed)
    }
}
