//! Packets to another site that a gateway of our site, which has no tunnel there, has passed on.
//! They are judged like those of the site's hosts and sealed for the tunnel that leads there, in
//! the receiving thread. The kernel does not see them, because its reverse-path check would drop
//! sources of our own site that come out of the TUN device.
//!
//! `admit` has checked that the source is of this site, and that the tunnel is our own: what is
//! passed on here goes to no gateway of this site.

use std::time::Instant;

use ringway_filter::{Filter, FilterCache, Verdict};

use super::Receiver;
use crate::counters::DropReason;
use crate::gso_batch::{GsoBatch, Plaintext};
use crate::header::Checksum;
use crate::ip;
use crate::outlet::Outlet;
use crate::sealer::clamp_mss;
use crate::session::Incoming;
use crate::sink::ControlSink;
use crate::snapshot::Snapshot;
use crate::traffic_class::TrafficClass;
use crate::tun::Tun;
use crate::udp::Udp;

/// What the receiving thread needs to send.
pub(super) struct Passing {
    batch: GsoBatch,
    judged: FilterCache,
}

impl Passing {
    fn new(filter: &Filter) -> Passing {
        Passing {
            batch: GsoBatch::new(),
            judged: filter.cache(),
        }
    }
}

impl<T: Tun, U: Udp, S: ControlSink> Receiver<'_, T, U, S> {
    /// Sends an admitted packet of session `from` to another site, with the batch. Errors:
    /// [`DropReason::Denied`], also for a fragment that comes before its first, and those of
    /// sealing.
    pub(super) fn pass_on(
        &mut self,
        snapshot: &Snapshot,
        from: &Incoming,
        checksum: Checksum,
        packet: &mut [u8],
        now: Instant,
    ) -> Result<(), DropReason> {
        let lane = self.lane;
        let rules = snapshot.rules().ok_or(DropReason::Denied)?;
        let destination = ip::parse(packet)?.destination;
        let lanes = snapshot.route(destination).ok_or(DropReason::NoRoute)?;
        let to = lanes.lane(lane.number);

        let passing = self
            .passing
            .get_or_insert_with(|| Passing::new(&lane.filter));
        let judged = &mut passing.judged;
        if lane.filter.leaves_by(judged, rules, packet, now) != Verdict::Pass {
            return Err(DropReason::Denied);
        }

        // Its way from here on may be narrower than the one to this gateway.
        clamp_mss(packet, checksum, to);
        let plaintext = Plaintext {
            number: to.reserve(1)?,
            checksum,
            class: TrafficClass::of(packet),
            len: packet.len(),
        };
        let outlet = Outlet {
            udp: &*lane.udp,
            shutdown: &lane.shutdown,
            retries: 0,
        };
        passing.batch.push(&outlet, to, &plaintext, |segment| {
            segment.copy_from_slice(packet);
        })?;

        from.counters().received(packet.len());
        Ok(())
    }

    /// Sends what was passed on.
    pub(super) fn flush_passed_on(&mut self) {
        let Some(passing) = &mut self.passing else {
            return;
        };

        passing.batch.flush(&Outlet {
            udp: &*self.lane.udp,
            shutdown: &self.lane.shutdown,
            retries: 0,
        });
    }
}
