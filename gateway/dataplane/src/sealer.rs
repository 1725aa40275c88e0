//! [`Sealer`]: packets that were read from the TUN device, routed, checked and sealed into the GSO
//! batch.
//!
//! ```text
//!  a super-packet ─► egress ─► filter ─► cut ─► each segment sealed into the batch ──────┐
//!  or a packet    ─► egress ─► filter ───────► sealed into the batch ────────────────────┤
//!         no session ─► filter ─► unrouted: held or answered                             │
//!  ◄───────── full, of another length or to another peer: the batch is flushed first ◄───┘
//! ```
//! The segments of a super-packet share their addresses, so that one check of the whole covers them
//! all.
//!
//! The kernel's routes know how long packets to a peer may be: it has fragmented longer ones, or
//! answered them by ICMP. Packets that are too long all the same (the path has just become
//! narrower, or carries less than IPv6's 1280 bytes) go on, TCP in shorter segments and everything
//! else in outer fragments.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_filter::{FilterCache, Reason, Verdict, Waiting};

use crate::checksum;
use crate::counters::{Counters, DropReason};
use crate::dataplane::Lane;
use crate::egress::{Route, RouteCache, is_judged};
use crate::gso_batch::{GsoBatch, Plaintext};
use crate::header::Checksum;
use crate::mss;
use crate::offload::{ChecksumPlace, Gso, OFFLOAD_LEN, Offload};
use crate::outlet::{MAX_RETRIES, Outlet};
use crate::session::Outgoing;
use crate::snapshot::Snapshot;
use crate::split::Split;
use crate::traffic_class::TrafficClass;
use crate::transport::Transport;
use crate::tun::Tun;
use crate::udp::Udp;
use crate::unrouted::Unrouted;

/// Packets of one read that were dropped for one reason.
struct Dropped {
    reason: DropReason,
    packets: usize,
}

impl From<DropReason> for Dropped {
    fn from(reason: DropReason) -> Dropped {
        Dropped { reason, packets: 1 }
    }
}

/// The batch that is being filled, and what it takes to fill it.
pub(crate) struct Sealer<'a, T, U> {
    lane: &'a Lane<T, U>,
    batch: GsoBatch,
    filter: FilterCache,
    unrouted: Unrouted<'a, T>,
    /// Later fragments whose first was not read yet.
    fragments: Waiting,
}

impl<'a, T: Tun, U: Udp> Sealer<'a, T, U> {
    pub(crate) fn new(lane: &'a Lane<T, U>) -> Self {
        Sealer {
            lane,
            batch: GsoBatch::new(),
            filter: lane.filter.cache(),
            unrouted: Unrouted::new(lane),
            fragments: Waiting::new(),
        }
    }

    /// How long the thread may wait for packets: SYNs that are held have to be looked at.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let now = self.lane.udp.now();
        let next = self.unrouted.next_review()?;

        // poll(2) counts in milliseconds.
        let wait = next.saturating_duration_since(now);
        Some(wait.max(Duration::from_millis(1)))
    }

    /// Sends the SYNs that were held and have a session now.
    pub(crate) fn release_held(&mut self, routes: &mut RouteCache<'_>) {
        let Some(at) = self.unrouted.next_review() else {
            return;
        };
        let now = self.lane.udp.now();
        if now < at {
            return;
        }

        for mut read in self.unrouted.review(routes.tables(), now) {
            self.handle(routes, &mut read, now);
        }
        self.flush();
    }

    /// Sends what was sealed.
    pub(crate) fn flush(&mut self) {
        self.batch.flush(&outlet(self.lane));
    }

    /// Seals what one read gave: an offload header and one packet or super-packet. `now` may be a
    /// batch old.
    pub(crate) fn handle(&mut self, routes: &mut RouteCache<'_>, read: &mut [u8], now: Instant) {
        let verdict = self.judge_and_seal(routes, read, now);

        // A host that sends its fragments in disorder: the first is mostly read next.
        if verdict == Verdict::WaitForFirstFragment && !self.fragments.hold(0, read, now) {
            self.lane.counters.drop_packet(DropReason::Denied);
        }
    }

    /// Seals the fragments whose first has come meanwhile.
    pub(crate) fn release_fragments(&mut self, routes: &mut RouteCache<'_>, now: Instant) {
        if self.fragments.is_empty() {
            return;
        }

        let mut fragments = mem::take(&mut self.fragments);
        fragments.review(now, |_, read| self.judge_and_seal(routes, read, now));
        self.fragments = fragments;
    }

    /// The filter's verdict. Unless it is to wait, the packet has been sealed, or dropped and
    /// counted.
    fn judge_and_seal(
        &mut self,
        routes: &mut RouteCache<'_>,
        read: &mut [u8],
        now: Instant,
    ) -> Verdict {
        let gateway: &Counters = &self.lane.counters;
        let dropped = Verdict::Drop(Reason::Malformed);

        let Some((header, packet)) = read.split_first_chunk_mut::<OFFLOAD_LEN>() else {
            gateway.drop_packet(DropReason::Malformed);
            return dropped;
        };
        let offload = match Offload::decode(header) {
            Ok(offload) => offload,
            Err(reason) => {
                gateway.drop_packet(reason);
                return dropped;
            }
        };

        // A drop before this is the gateway's: without a route there is no peer to count it at.
        let Route {
            snapshot,
            session,
            is_judged,
        } = match routes.route(packet) {
            Ok(route) => route,
            Err(DropReason::NoRoute) => {
                self.handle_unrouted(routes, read, now);
                return dropped;
            }
            Err(reason) => {
                gateway.drop_packet(reason);
                return dropped;
            }
        };

        let verdict = if is_judged {
            self.leaves(snapshot, packet, now)
        } else {
            Verdict::Pass
        };
        match verdict {
            Verdict::Pass => self.seal(session, packet, &offload),
            // What leaves is never handed over.
            Verdict::WaitForFirstFragment | Verdict::HandedOver => {}
            Verdict::Drop(_) => session.counters().drop_packet(DropReason::Denied),
            Verdict::Reject(_) => {
                session.counters().drop_packet(DropReason::Denied);
                self.unrouted.deny(packet, now);
            }
        }
        verdict
    }

    /// A packet that no session carries. The filter is asked all the same: what our host has
    /// acknowledged is the number of an exact reset, and no answer tells what it may not open.
    fn handle_unrouted(&mut self, routes: &mut RouteCache<'_>, read: &[u8], now: Instant) {
        let tables = routes.tables();
        let packet = read.get(OFFLOAD_LEN..).unwrap_or_default();

        if !is_judged(tables, packet) || self.leaves(tables, packet, now) == Verdict::Pass {
            self.unrouted.handle(tables, read, now);
        } else {
            self.lane.counters.drop_packet(DropReason::Denied);
        }
    }

    /// Judges a packet; a super-packet as a whole, since its segments have the same headers. Its
    /// flow is recorded before anything of it is sealed.
    fn leaves(&mut self, snapshot: &Snapshot, packet: &[u8], now: Instant) -> Verdict {
        let filter = &self.lane.filter;
        match snapshot.rules() {
            Some(rules) => filter.leaves_by(&mut self.filter, rules, packet, now),
            None => Verdict::Drop(Reason::Egress),
        }
    }

    fn seal(&mut self, session: &Arc<Outgoing>, packet: &mut [u8], offload: &Offload) {
        let sealed = match &offload.gso {
            Some(gso) => self.seal_segments(session, packet, gso),
            None => self.seal_packet(session, packet, offload.checksum),
        };

        if let Err(Dropped { reason, packets }) = sealed {
            session.counters().drop_packets(reason, packets);
        }
    }

    fn seal_packet(
        &mut self,
        session: &Arc<Outgoing>,
        packet: &mut [u8],
        partial: Option<ChecksumPlace>,
    ) -> Result<(), Dropped> {
        let checksum = settle_checksum(packet, partial)?;
        clamp_mss(packet, checksum, session);

        // A number that is reserved and not sent only leaves a gap in the peer's window.
        let plaintext = Plaintext {
            number: session.reserve(1)?,
            checksum,
            class: TrafficClass::of(packet),
            len: packet.len(),
        };

        self.batch
            .push(&outlet(self.lane), session, &plaintext, |segment| {
                segment.copy_from_slice(packet);
            })?;

        Ok(())
    }

    fn seal_segments(
        &mut self,
        session: &Arc<Outgoing>,
        packet: &mut [u8],
        gso: &Gso,
    ) -> Result<(), Dropped> {
        let class = TrafficClass::of(packet);
        let mut split = Split::new(packet, gso, session.max_packet())?;
        let count = split.count();

        // All at once, so that the numbers of one super-packet are consecutive.
        let first = session.reserve(count).map_err(|reason| Dropped {
            reason,
            packets: count,
        })?;

        for (at, number) in (0..count).zip(first..) {
            let plaintext = Plaintext {
                number,
                checksum: Checksum::Partial,
                class,
                len: split.len(at),
            };
            self.batch
                .push(&outlet(self.lane), session, &plaintext, |segment| {
                    split.write(at, segment);
                })
                .map_err(|reason| Dropped {
                    reason,
                    packets: count - at,
                })?;
        }
        Ok(())
    }
}

fn outlet<T, U>(lane: &Lane<T, U>) -> Outlet<'_, U> {
    Outlet {
        udp: &*lane.udp,
        shutdown: &lane.shutdown,
        retries: MAX_RETRIES,
    }
}

/// Lowers the MSS of a SYN. The segments that it speaks of come back through the peer's tunnel,
/// whose path is taken to be no wider than ours.
pub(crate) fn clamp_mss(packet: &mut [u8], checksum: Checksum, session: &Outgoing) {
    let syn = Transport::locate(packet).filter(|transport| mss::applies_to(packet, transport));
    if let Some(transport) = syn {
        mss::clamp(packet, &transport, checksum, session.max_packet());
    }
}

/// Leaves a checksum partial if the receiver will find the same place for it; completes it
/// otherwise.
fn settle_checksum(
    packet: &mut [u8],
    partial: Option<ChecksumPlace>,
) -> Result<Checksum, DropReason> {
    let Some(place) = partial else {
        return Ok(Checksum::Complete);
    };

    // The peer locates the transport header by the same rules, so the place needs no bytes on the
    // wire.
    if Transport::locate(packet).is_some_and(|transport| transport.checksum_place() == place) {
        return Ok(Checksum::Partial);
    }

    if checksum::complete(packet, place.start, place.field) {
        Ok(Checksum::Complete)
    } else {
        Err(DropReason::Malformed)
    }
}

#[cfg(test)]
mod tests;
