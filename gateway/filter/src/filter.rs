//! [`Filter`]: judges every packet that leaves a tunnel, and every one that enters one.

use std::net::SocketAddr;
use std::time::Instant;

use ringway_config::Prefix;

use crate::counts::Counts;
use crate::denied::DeniedPacket;
use crate::record::FlowRecord;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::tcp_flow::TcpFlow;
use crate::verdict::{Reason, Verdict};

/// The state behind the verdicts: flows, fragments, counts. One for the life of the process, shared
/// by all threads; rules are an argument, since they are replaced by each reload.
///
/// Neither verdict takes a lock, allocates or does I/O. `now` must come from one clock; it need not
/// be exact (one look at the clock for a batch is enough).
pub struct Filter {}

impl Filter {
    /// A filter without flows, in grace from `now` on. `secret` is the key of its hash tables:
    /// random, and new for each process.
    pub fn new(settings: &Settings, secret: [u8; 16], now: Instant) -> Filter {
        let _ = (settings, secret, now);
        Filter {}
    }

    /// Judges a packet that a gateway of site `from` has sealed, after `admit` has checked its
    /// addresses: the source is authorized for `from`, the destination is ours.
    pub fn arrives(&self, rules: &Rules, from: u32, packet: &[u8], now: Instant) -> Verdict {
        let _ = (rules, from, packet, now);
        Verdict::Drop(Reason::Denied)
    }

    /// Judges a packet (a super-packet as a whole) of a host in our site, after `route` has checked
    /// its addresses, and records its flow. To be called before the packet is sealed, and before
    /// anything else may drop it.
    pub fn leaves(&self, rules: &Rules, packet: &[u8], now: Instant) -> Verdict {
        let _ = (rules, packet, now);
        Verdict::Drop(Reason::Denied)
    }

    /// Uses new settings. Flows stay; if there are fewer places, the best ones do.
    pub fn configure(&self, settings: &Settings, now: Instant) {
        let _ = (settings, now);
    }

    /// Begins a time of grace: this gateway has taken over from another one.
    pub fn begin_grace(&self, now: Instant) {
        let _ = now;
    }

    /// While true, TCP with ACK, SYN-ACK too, to ports of grace passes without end: this site has
    /// other gateways, and no session to them carries records of flows.
    pub fn set_endless_grace(&self, endless: bool) {
        let _ = endless;
    }

    /// True if grace without end is on.
    pub fn has_endless_grace(&self) -> bool {
        false
    }

    /// While true, [`Filter::next_record`] has a record of each new flow of ours.
    pub fn set_sharing(&self, sharing: bool) {
        let _ = sharing;
    }

    /// The next record of a flow that appeared, or whose SYN was sent again, since the call before.
    /// At most [`MOST_UNSHARED`](crate::MOST_UNSHARED) wait; more are counted, and told by the next
    /// [`Filter::for_each_record`].
    pub fn next_record(&self) -> Option<FlowRecord> {
        None
    }

    /// Every flow of ours that a packet of our hosts through this gateway has refreshed: to be sent
    /// to the site's other gateways every 30 s. Takes milliseconds for a full table: not for a
    /// packet thread.
    pub fn for_each_record(&self, now: Instant, visit: &mut dyn FnMut(FlowRecord)) {
        let _ = (now, visit);
    }

    /// Believes a record that a gateway of this site sent. False if it is refused: it must be about
    /// an address of this site and one of another site.
    pub fn import(&self, rules: &Rules, record: &FlowRecord, now: Instant) -> bool {
        let _ = (rules, record, now);
        false
    }

    /// Every open TCP flow, ours and theirs, whose far end lies in one of `towards`. Takes
    /// milliseconds for a full table: not for a packet thread.
    pub fn for_each_tcp(&self, towards: &[Prefix], now: Instant, visit: &mut dyn FnMut(TcpFlow)) {
        let _ = (towards, now, visit);
    }

    /// One TCP flow: after a challenge ACK, its acknowledgement.
    pub fn tcp_flow(&self, local: SocketAddr, remote: SocketAddr, now: Instant) -> Option<TcpFlow> {
        let _ = (local, remote, now);
        None
    }

    /// Our host was sent a reset for the flow. It stays known for 10 min, so that the far end's
    /// next segment meets our host's own reset.
    pub fn mark_reset(&self, local: SocketAddr, remote: SocketAddr, now: Instant) {
        let _ = (local, remote, now);
    }

    /// The numbers.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// The last denied packets, the oldest first; at most
    /// [`MOST_DENIED_KEPT`](crate::MOST_DENIED_KEPT).
    pub fn denied(&self) -> Vec<DeniedPacket> {
        Vec::new()
    }
}
