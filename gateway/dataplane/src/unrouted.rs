//! [`Unrouted`]: packets of this site to which no session leads, in one sending thread.
//!
//! ```text
//!   outage? ─┬─ none ──► dropped and counted                 review, some times a second:
//!            ├─ SYN ──► held ─────────────────────────────►  a session is back: sent
//!            │     └──► refused ◄──────────────────────────  the outage lasts: refused
//!            ├─ segment ──► dropped; reset once the tunnel has been dead for a while
//!            └─ others ──► ICMP error
//! ```
//! `outage` decides by time, `answer` writes, `held_syns` holds. Answers are written to the TUN
//! device, as if the peer had sent them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::answer::UpperLayer;
use crate::answers::Answers;
use crate::counters::{Counters, DropReason};
use crate::dataplane::Lane;
use crate::held_syns::{Connection, Decision, HeldSyns};
use crate::ip;
use crate::offload::OFFLOAD_LEN;
use crate::outage::SynDecision;
use crate::snapshot::Snapshot;
use crate::transport::tcp_flags::{ACK, FIN, RST, SYN};
use crate::tun::Tun;

/// Time between two looks at the SYNs that are held.
const REVIEW: Duration = Duration::from_millis(10);

/// The state of one sending thread.
pub(crate) struct Unrouted<'a, T> {
    /// The gateway's.
    counters: &'a Counters,
    /// The number of the lane, and how many there are.
    lane: usize,
    lanes: usize,
    held: HeldSyns,
    next_review: Option<Instant>,
    answers: Answers<'a, T>,
}

impl<'a, T: Tun> Unrouted<'a, T> {
    /// For the sending thread of `lane`.
    pub(crate) fn new<U>(lane: &'a Lane<T, U>) -> Self {
        Unrouted {
            counters: &lane.counters,
            lane: lane.number,
            lanes: lane.count,
            held: HeldSyns::new(0),
            next_review: None,
            answers: Answers::new(&lane.tun),
        }
    }

    /// Handles what was read, offload header first: a packet that may leave this site by the rules,
    /// and that no session carries.
    pub(crate) fn handle(&mut self, tables: &Snapshot, read: &[u8], now: Instant) {
        self.counters.drop_packet(DropReason::NoRoute);

        let packet = read.get(OFFLOAD_LEN..).unwrap_or_default();
        let Ok(addresses) = ip::parse(packet) else {
            return;
        };
        let Some(outage) = tables.outage(addresses.destination) else {
            return;
        };

        let tcp = UpperLayer::of(packet).and_then(|upper| upper.tcp(packet));
        // Everything else is answered from the beginning of an outage on.
        let Some(tcp) = tcp else {
            return self.answers.give(packet, addresses.source, now);
        };
        if tcp.flags & (SYN | ACK | RST | FIN) != SYN {
            // Before that, the tunnel may be back and the connection go on.
            if outage.resets(tables.tunnel(), now) {
                self.answers.give(packet, addresses.source, now);
            }
            return;
        }

        let connection = Connection {
            source: SocketAddr::new(addresses.source, tcp.source),
            destination: SocketAddr::new(addresses.destination, tcp.destination),
        };
        match outage.syn(tables.tunnel(), now) {
            SynDecision::Hold => self.hold(tables, read, connection, now),
            SynDecision::Refuse => self.answers.give(packet, addresses.source, now),
        }
    }

    fn hold(&mut self, tables: &Snapshot, read: &[u8], connection: Connection, now: Instant) {
        // Threads do not share their places: a flow stays with its thread.
        let capacity = tables.tunnel().held_syns as usize;
        self.held.set_capacity(capacity.div_ceil(self.lanes));

        // One that is too long carries data: the host repeats it without.
        if self.held.hold(read, connection, now) {
            self.next_review.get_or_insert(now + REVIEW);
        }
    }

    /// Answers a packet that the policy does not let leave.
    pub(crate) fn deny(&self, packet: &[u8], now: Instant) {
        if let Ok(addresses) = ip::parse(packet) {
            self.answers.deny(packet, addresses.source, now);
        }
    }

    /// When [`Unrouted::review`] is to be called; `None` if nothing is held.
    pub(crate) fn next_review(&self) -> Option<Instant> {
        self.next_review
    }

    /// Looks at every SYN that is held. Those to which a session leads again are given back, to be
    /// handled as if they had just been read, the newest first and so many in a second for each
    /// peer; those whose outage lasts are refused.
    pub(crate) fn review(&mut self, tables: &Snapshot, now: Instant) -> Vec<Box<[u8]>> {
        let answers = &self.answers;
        let lane = self.lane;

        let released = self.held.review(now, |connection, read| {
            let destination = connection.destination.ip();
            if let Some(session) = tables.route(destination) {
                return if session.lane(lane).may_send_held_syn(now) {
                    Decision::Release
                } else {
                    Decision::Keep
                };
            }

            // Without an outage its destination is no member's any more.
            let decision = tables
                .outage(destination)
                .map(|outage| outage.syn(tables.tunnel(), now));
            if decision == Some(SynDecision::Hold) {
                return Decision::Keep;
            }
            if decision == Some(SynDecision::Refuse) {
                answers.give(&read[OFFLOAD_LEN..], connection.source.ip(), now);
            }
            Decision::Drop
        });

        self.next_review = (!self.held.is_empty()).then(|| now + REVIEW);
        released
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::{Prefix, Tunnel};

    use super::*;
    use crate::outage::{Outage, OutageCause};
    use crate::snapshot::{SiteNo, SnapshotBuilder};
    use crate::tun::ChannelTun;

    /// A SYN of this host of the site, behind its offload header.
    fn syn(host: u8) -> Vec<u8> {
        let mut read = vec![0; OFFLOAD_LEN];
        read.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        read.extend([10, 1, 0, host, 10, 2, 0, 1]);
        read.extend([0x9c, 0x40, 0x1b, 0x8b, 0, 0, 0, 1, 0, 0, 0, 0]);
        read.extend([0x50, SYN, 0, 0, 0, 0, 0, 0]);
        read
    }

    #[test]
    fn the_places_for_syns_are_shared_by_the_lanes() {
        let now = Instant::now();
        let theirs: Prefix = "10.2.0.0/16".parse().unwrap();
        let mut builder = SnapshotBuilder::new(SiteNo(1));
        builder.tunnel(Tunnel {
            held_syns: 64,
            ..Tunnel::default()
        });
        let cause = OutageCause::Lost;
        builder.outage(theirs, Outage { since: now, cause });
        let tables = builder.build();

        let (tun, _host) = ChannelTun::new(8).unwrap();
        let counters = Counters::new();
        for (lanes, places) in [(1, 64), (3, 22), (16, 4)] {
            let mut unrouted = Unrouted {
                counters: &counters,
                lane: 0,
                lanes,
                held: HeldSyns::new(0),
                next_review: None,
                answers: Answers::new(&tun),
            };
            for host in 1..=100 {
                unrouted.handle(&tables, &syn(host), now);
            }

            let mut held = 0;
            unrouted.held.review(now, |_, _| {
                held += 1;
                Decision::Keep
            });
            assert_eq!(held, places, "{lanes} lanes");
        }
    }
}
