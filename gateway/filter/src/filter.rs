//! [`Filter`]: judges every packet that leaves a tunnel, and every one that enters one.
//!
//! What each packet needs is inlined by force from here down to the table's words: left to itself,
//! the compiler passes keys and headers through memory, which takes two fifths of a verdict's time.
//! What few packets need is kept out of line, and parses the packet again: a header that is handed
//! to it would be in memory for all.

mod arrival;
mod departure;
mod flow_views;
mod parts;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use ringway_config::Prefix;

use self::arrival::Arrival;
use self::departure::Departure;
use crate::MOST_UNSHARED;
use crate::cache::{FilterCache, View};
use crate::clock::Clock;
use crate::counts::{Counts, HostAnswers};
use crate::denied::{Denied, DeniedPacket, DeniedRing, Direction};
use crate::flows::Flows;
use crate::fragments::Fragments;
use crate::grace::Grace;
use crate::holders::Holder;
use crate::neighbour::Neighbour;
use crate::packet::{Header, Transport};
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
pub struct Filter {
    clock: Clock,
    flows: Flows,
    fragments: Fragments,
    grace: Grace,
    drops: [AtomicU64; Reason::ALL.len()],
    denied: DeniedRing,
    is_sharing: AtomicBool,
    /// Flows of ours that other gateways of this site do not know yet.
    unshared: ArrayQueue<FlowRecord>,
    lost_records: AtomicU64,
}

impl Filter {
    /// A filter without flows, in grace from `now` on. `secret` is the key of its hash tables:
    /// random, and new for each process.
    pub fn new(settings: &Settings, secret: [u8; 16], now: Instant) -> Filter {
        Filter {
            clock: Clock::new(now),
            flows: Flows::new(settings.flows, secret),
            fragments: Fragments::new(secret),
            grace: Grace::new(settings),
            drops: std::array::from_fn(|_| AtomicU64::new(0)),
            denied: DeniedRing::new(),
            is_sharing: AtomicBool::new(false),
            unshared: ArrayQueue::new(MOST_UNSHARED),
            lost_records: AtomicU64::new(0),
        }
    }

    /// What a packet thread keeps of this filter.
    pub fn cache(&self) -> FilterCache {
        FilterCache::new(&self.flows)
    }

    /// Judges a packet that a gateway of site `from` has sealed, after `admit` has checked its
    /// addresses: gateways of `from` serve the source, the destination is ours. The rules that
    /// count are those for the site of the source.
    pub fn arrives(&self, rules: &Rules, from: u32, packet: &[u8], now: Instant) -> Verdict {
        self.arrives_by(&mut self.cache(), rules, from, packet, now)
    }

    /// [`Filter::arrives`] for a thread that judges many packets.
    pub fn arrives_by(
        &self,
        cache: &mut FilterCache,
        rules: &Rules,
        from: u32,
        packet: &[u8],
        now: Instant,
    ) -> Verdict {
        self.arrives_unless(cache, rules, from, packet, now, |_| false)
    }

    /// What would be refused is offered to `hand_over` first; if that takes it, it is not counted
    /// here.
    fn arrives_unless(
        &self,
        cache: &mut FilterCache,
        rules: &Rules,
        from: u32,
        packet: &[u8],
        now: Instant,
        hand_over: impl FnOnce(Reason) -> bool,
    ) -> Verdict {
        let header = match Header::parse(packet) {
            Ok(header) => header,
            Err(reason) => return self.drop_unread(reason),
        };
        let Some(site) = rules.sender(from, &header) else {
            return self.drop_unread(Reason::Stranger);
        };

        let view = cache.view(&self.clock, now);
        let arrival = Arrival {
            filter: self,
            tables: view.tables,
            rules,
            from,
            site,
            packet,
            now: view.now,
            is_handed: false,
        };
        match arrival.judge(&header) {
            Verdict::Drop(reason) if hand_over(reason) => Verdict::HandedOver,
            Verdict::Drop(reason) => {
                self.refuse(Direction::Arriving, rules, Some(site), reason, packet, view)
            }
            verdict => verdict,
        }
    }

    /// Judges a packet from site `from`, which another gateway of our site has received and knows
    /// nothing about: it passes if it belongs to a flow of ours. Rules and grace let none in: that
    /// gateway has judged by them.
    pub fn answers(&self, rules: &Rules, from: u32, packet: &[u8], now: Instant) -> Verdict {
        let header = match Header::parse(packet) {
            Ok(header) => header,
            Err(reason) => return Verdict::Drop(reason),
        };
        let Some(site) = rules.sender(from, &header) else {
            return Verdict::Drop(Reason::Stranger);
        };

        let mut cache = self.cache();
        let view = cache.view(&self.clock, now);
        let arrival = Arrival {
            filter: self,
            tables: view.tables,
            rules,
            from,
            site,
            packet,
            now: view.now,
            is_handed: true,
        };
        match arrival.judge(&header) {
            // It has been counted nowhere yet.
            Verdict::Drop(reason) => {
                self.refuse(Direction::Arriving, rules, Some(site), reason, packet, view)
            }
            verdict => verdict,
        }
    }

    /// [`Filter::arrives`] for the packets of a batch, which mostly continue the flow of the one
    /// before. `now` must be the same for all that are to share a verdict.
    pub fn arrives_beside<'r>(
        &self,
        neighbour: &mut Neighbour<'r>,
        rules: &'r Rules,
        from: u32,
        packet: &[u8],
        now: Instant,
    ) -> Verdict {
        self.arrives_beside_unless(neighbour, rules, from, packet, now, |_| false)
    }

    /// [`Filter::arrives_beside`], but what would be refused is offered to `hand_over` first: true
    /// if another gateway of our site was given it.
    pub fn arrives_beside_unless<'r>(
        &self,
        neighbour: &mut Neighbour<'r>,
        rules: &'r Rules,
        from: u32,
        packet: &[u8],
        now: Instant,
        hand_over: impl FnOnce(Reason) -> bool,
    ) -> Verdict {
        if neighbour.covers(rules, from, packet, now) {
            return Verdict::Pass;
        }

        let granted = self.grace.passed.load(Relaxed);
        let cache = &mut neighbour.cache;
        let verdict = self.arrives_unless(cache, rules, from, packet, now, hand_over);

        // Each packet that grace lets in counts, so that none is the neighbour of another.
        if verdict == Verdict::Pass && self.grace.passed.load(Relaxed) == granted {
            neighbour.remember(rules, from, packet, now);
        }
        verdict
    }

    /// Judges a packet (a super-packet as a whole) of a host in our site, after `route` has checked
    /// its addresses, and records its flow. To be called before the packet is sealed, and before
    /// anything else may drop it.
    pub fn leaves(&self, rules: &Rules, packet: &[u8], now: Instant) -> Verdict {
        self.leaves_by(&mut self.cache(), rules, packet, now)
    }

    /// [`Filter::leaves`] for a thread that judges many packets.
    pub fn leaves_by(
        &self,
        cache: &mut FilterCache,
        rules: &Rules,
        packet: &[u8],
        now: Instant,
    ) -> Verdict {
        let header = match Header::parse(packet) {
            Ok(header) => header,
            Err(reason) => return self.drop_unread(reason),
        };

        let view = cache.view(&self.clock, now);
        let departure = Departure {
            filter: self,
            tables: view.tables,
            rules,
            packet,
            now: view.now,
        };
        match departure.judge(&header) {
            Verdict::Drop(reason) => self.refuse_leaving(rules, reason, packet, view),
            verdict => verdict,
        }
    }

    /// Counts a packet of a host in our site that does not pass.
    #[cold]
    fn refuse_leaving(
        &self,
        rules: &Rules,
        reason: Reason,
        packet: &[u8],
        view: View<'_>,
    ) -> Verdict {
        let site = Header::parse(packet).ok().and_then(|header| {
            match rules.holder(header.v6, header.destination) {
                Holder::Site(site) => Some(site),
                Holder::Own | Holder::Nobody => None,
            }
        });
        self.refuse(Direction::Leaving, rules, site, reason, packet, view)
    }

    fn drop_unread(&self, reason: Reason) -> Verdict {
        self.drops[reason as usize].fetch_add(1, Relaxed);
        Verdict::Drop(reason)
    }

    /// Counts a packet from or to `site` that does not pass.
    #[inline(always)]
    fn refuse(
        &self,
        direction: Direction,
        rules: &Rules,
        site: Option<usize>,
        reason: Reason,
        packet: &[u8],
        view: View<'_>,
    ) -> Verdict {
        if let Some(site) = site {
            rules.count_denied(site);
        }
        self.drops[reason as usize].fetch_add(1, Relaxed);

        if self.denied.takes_at(view.now) {
            // Places change with each reload; numbers last, for the ring.
            let number = site.map(|site| rules.number_of(site));
            self.keep_denied(direction, number, reason, packet, view.at);
        }

        if rules.wants_reject() {
            answer(reason, packet)
        } else {
            Verdict::Drop(reason)
        }
    }

    #[cold]
    fn keep_denied(
        &self,
        direction: Direction,
        site: Option<u32>,
        reason: Reason,
        packet: &[u8],
        at: Instant,
    ) {
        let Ok(header) = Header::parse(packet) else {
            return;
        };
        self.denied.push(Denied {
            at,
            direction,
            site,
            reason,
            source: header.source_address(),
            destination: header.destination_address(),
            protocol: header.protocol,
            ports: transport_of(&header).map_or((0, 0), |transport| transport.shown_ports()),
        });
    }

    /// Uses new settings. Flows stay; if there are fewer places, as many as there is room for.
    /// Takes milliseconds if the number of flows changes: not for a packet thread.
    pub fn configure(&self, settings: &Settings, now: Instant) {
        self.grace.configure(settings);
        self.flows.resize(settings.flows, self.clock.tick(now));
    }

    /// Begins a time of grace: this gateway has taken over from another one.
    pub fn begin_grace(&self, now: Instant) {
        self.grace.begin(self.clock.tick(now));
    }

    /// While true, TCP with ACK, SYN-ACK too, to ports of grace passes without end: this site has
    /// other gateways, and no session to them carries records of flows.
    pub fn set_endless_grace(&self, endless: bool) {
        self.grace.set_endless(endless);
    }

    /// True if grace without end is on.
    pub fn has_endless_grace(&self) -> bool {
        self.grace.is_endless()
    }

    /// While true, [`Filter::next_record`] has a record of each new flow of ours.
    pub fn set_sharing(&self, sharing: bool) {
        self.is_sharing.store(sharing, Relaxed);
    }

    /// The next record of a flow that appeared, or whose SYN was sent again, since the call before.
    /// At most [`MOST_UNSHARED`](crate::MOST_UNSHARED) wait; more are counted, and told by the next
    /// [`Filter::for_each_record`].
    pub fn next_record(&self) -> Option<FlowRecord> {
        self.unshared.pop()
    }

    /// Every flow of ours that a packet of our hosts through this gateway has refreshed: to be sent
    /// to the site's other gateways every 30 s. Takes milliseconds for a full table: not for a
    /// packet thread.
    pub fn for_each_record(&self, now: Instant, visit: &mut dyn FnMut(FlowRecord)) {
        flow_views::for_each_record(self, now, visit);
    }

    /// Believes a record that a gateway of this site sent. False if it is refused: it must be about
    /// an address of this site and one of another site, and about no flow of theirs.
    pub fn import(&self, rules: &Rules, record: &FlowRecord, now: Instant) -> bool {
        flow_views::import(self, rules, record, now)
    }

    /// Every open TCP flow, ours and theirs, whose far end lies in one of `towards`. Takes
    /// milliseconds for a full table: not for a packet thread.
    pub fn for_each_tcp(&self, towards: &[Prefix], now: Instant, visit: &mut dyn FnMut(TcpFlow)) {
        flow_views::for_each_tcp(self, towards, now, visit);
    }

    /// Which hosts of ours answer the TCP connections of others: the first 1,024 of them. Takes
    /// milliseconds for a full table: not for a packet thread.
    pub fn host_answers(&self, now: Instant) -> Vec<HostAnswers> {
        flow_views::host_answers(self, now)
    }

    /// How many TCP connections of `remote` to our host `local` wait for its first packet, of those
    /// that began after the last one that it answered. Takes milliseconds for a full table: not for
    /// a packet thread.
    pub fn unanswered(&self, remote: IpAddr, local: SocketAddr, now: Instant) -> u64 {
        flow_views::unanswered(self, remote, local, now)
    }

    /// One TCP flow: after a challenge ACK, its acknowledgement.
    pub fn tcp_flow(&self, local: SocketAddr, remote: SocketAddr, now: Instant) -> Option<TcpFlow> {
        flow_views::tcp_flow(self, local, remote, now)
    }

    /// Our host was sent a reset for the flow. It stays known for 10 min, so that the far end's
    /// next segment meets our host's own reset.
    pub fn mark_reset(&self, local: SocketAddr, remote: SocketAddr, now: Instant) {
        flow_views::mark_reset(self, local, remote, now);
    }

    /// The numbers.
    pub fn counts(&self) -> Counts {
        let (ours, theirs) = self.flows.used();
        Counts {
            ours: ours.into(),
            theirs: theirs.into(),
            grace: self.grace.passed.load(Relaxed),
            evicted: self.flows.evicted.load(Relaxed),
            unrecorded: self.flows.unrecorded.load(Relaxed),
            unshared: self.lost_records.load(Relaxed),
            drops: std::array::from_fn(|reason| self.drops[reason].load(Relaxed)),
        }
    }

    /// The last denied packets, the oldest first; at most
    /// [`MOST_DENIED_KEPT`](crate::MOST_DENIED_KEPT). `rules` tell the organizations.
    pub fn denied(&self, rules: &Rules) -> Vec<DeniedPacket> {
        let packets = self.denied.packets().into_iter();
        packets
            .map(|(number, denied)| denied.packet(number, rules))
            .collect()
    }

    /// Keeps a record for the site's other gateways.
    fn share(&self, record: impl FnOnce() -> FlowRecord) {
        if self.is_sharing.load(Relaxed) && self.unshared.push(record()).is_err() {
            self.lost_records.fetch_add(1, Relaxed);
        }
    }
}

/// The verdict about a packet that is dropped, where senders are answered.
#[cold]
fn answer(reason: Reason, packet: &[u8]) -> Verdict {
    let is_about_opening = matches!(
        reason,
        Reason::Denied | Reason::NoFlow | Reason::Protocol | Reason::Egress
    );
    let is_answered = is_about_opening
        && Header::parse(packet)
            .ok()
            .and_then(|header| transport_of(&header))
            .is_some_and(|transport| transport.may_be_answered());

    if is_answered {
        Verdict::Reject(reason)
    } else {
        Verdict::Drop(reason)
    }
}

/// The transport header of a packet that is dropped.
fn transport_of<'p>(header: &Header<'p>) -> Option<Transport<'p>> {
    // A later fragment has none.
    if header.fragment.is_some_and(|fragment| !fragment.is_first()) {
        return None;
    }
    let (transport, _) = Transport::parse(header).ok()?;
    Some(transport)
}
