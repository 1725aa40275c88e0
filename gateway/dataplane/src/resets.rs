//! [`Resets`]: ends the TCP connections of hosts in our site towards a peer that stays away. A host
//! that only receives would otherwise wait for minutes, until its own keep-alives fail.
//!
//! ```text
//!   outage lasts ──► flows towards it ──► a segment that draws an acknowledgement,
//!   (reset-after)    (the filter's)       which the filter sees ──┬─ number known ──► RST
//!                                                  ▲              │
//!                                                  └── unknown ───┘ 3 attempts
//! ```
//! A reset counts only at exactly the sequence number that the host expects next (RFC 5961, section
//! 3.2): the highest acknowledgement that it has sent. The last that went through this gateway may
//! be older: another one may have been lost on the way here, or have left by another gateway of
//! this site. A reset below the number is dropped without an answer, so that the host is asked
//! first. One above it draws a challenge ACK, which [`super::unrouted`] answers with a reset.
//!
//! The filter keeps a flow that was reset for a while, so that the far end's next segment reaches
//! the host and meets the host's own reset.
//!
//! Runs in a thread of its own: to look through a full table takes milliseconds.

use std::collections::{HashSet, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ringway_config::Prefix;
use ringway_filter::{Filter, TcpFlow};

use crate::answer::{Answer, Segment};
use crate::dataplane::Lane;
use crate::snapshot::Snapshot;
use crate::sys::poll;
use crate::transport::tcp_flags::{ACK, RST};
use crate::tun::Tun;
use crate::turns::Turns;
use crate::udp::Udp;

/// Time between two steps while there are connections to reset, and otherwise.
const STEP: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(250);

/// Segments in one step: 5,000 a second.
const PER_STEP: usize = 100;

/// Segments that draw an acknowledgement, and the time that a host has for it.
const ATTEMPTS: u32 = 3;
const ATTEMPT: Duration = Duration::from_millis(333);

/// The same where a number is known: it is most likely the right one.
const CONFIRMATION: Duration = Duration::from_millis(100);

/// Connections that wait for their reset. More are found by the next search.
const MAX_WAITING: usize = 1 << 16;

/// Time between two searches during an outage: another gateway of this site, or a grace, may have
/// brought flows since.
const SEARCH: Duration = Duration::from_secs(10);

/// A connection to reset.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    local: SocketAddr,
    remote: SocketAddr,
    attempts: u32,
    /// Not before.
    at: Instant,
}

/// What is to be reset, and when was looked for more.
#[derive(Debug, Default)]
pub(crate) struct Resets {
    waiting: VecDeque<Waiting>,
    /// The outages of the last search.
    searched: HashSet<Prefix>,
    next_search: Option<Instant>,
}

impl Resets {
    /// Does what is due by `now`. `write` is given segments for the TUN device. Gives the time
    /// until the next call.
    pub(crate) fn step(
        &mut self,
        tables: &Snapshot,
        filter: &Filter,
        now: Instant,
        mut write: impl FnMut(&Answer),
    ) -> Duration {
        self.search(tables, filter, now);

        // Each at most once in a step.
        let count = self.waiting.len().min(PER_STEP);
        for _ in 0..count {
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            if now < waiting.at {
                self.waiting.push_back(waiting);
            } else if is_due(tables, waiting.remote, now) {
                self.reset(&waiting, filter, now, &mut write);
            }
        }

        if self.waiting.is_empty() { IDLE } else { STEP }
    }

    /// Looks for connections that outages have cut, once an outage has lasted long enough and then
    /// from time to time.
    fn search(&mut self, tables: &Snapshot, filter: &Filter, now: Instant) {
        let due: Vec<Prefix> = tables
            .outages()
            .iter()
            .filter(|(_, outage)| outage.resets(tables.tunnel(), now))
            .map(|(prefix, _)| *prefix)
            .collect();
        if due.is_empty() {
            // The next outage is searched at once, even if it is of the same prefixes.
            self.searched.clear();
            return;
        }

        let is_known = due.iter().all(|prefix| self.searched.contains(prefix));
        let is_early = self.next_search.is_some_and(|at| now < at);
        // While some of the last search are waiting, another one would find them again.
        if !self.waiting.is_empty() || (is_known && is_early) {
            return;
        }

        let waiting = &mut self.waiting;
        filter.for_each_tcp(&due, now, &mut |flow: TcpFlow| {
            if waiting.len() < MAX_WAITING {
                waiting.push_back(Waiting {
                    local: flow.local,
                    remote: flow.remote,
                    attempts: 0,
                    at: now,
                });
            }
        });
        self.searched = due.into_iter().collect();
        self.next_search = Some(now + SEARCH);
    }

    fn reset(
        &mut self,
        waiting: &Waiting,
        filter: &Filter,
        now: Instant,
        write: &mut impl FnMut(&Answer),
    ) {
        let Waiting { local, remote, .. } = *waiting;
        // Gone, or closed since.
        let Some(flow) = filter.tcp_flow(local, remote, now) else {
            return;
        };

        match flow.ack {
            Some(acknowledged) if waiting.attempts > 0 => {
                // It has been asked once, so that its answer, if there was one, is in the flow by
                // now.
                write(&Answer::segment(&Segment {
                    from: remote,
                    to: local,
                    sequence: acknowledged,
                    acknowledgement: 0,
                    flags: RST,
                }));
                filter.mark_reset(local, remote, now);
            }
            acknowledged if waiting.attempts < ATTEMPTS => {
                write(&Answer::segment(&drawing(waiting, acknowledged)));
                let pause = acknowledged.map_or(ATTEMPT, |_| CONFIRMATION);
                self.waiting.push_back(Waiting {
                    attempts: waiting.attempts + 1,
                    at: now + pause,
                    ..*waiting
                });
            }
            _ => {}
        }
    }
}

/// A segment that a host answers with an acknowledgement of what it expects (RFC 9293, section
/// 3.10.7.4, first), because its sequence number lies outside of the window: right before what the
/// host has acknowledged, as that of a keep-alive. If that is unknown, it lies in another place
/// with each attempt.
fn drawing(waiting: &Waiting, acknowledged: Option<u32>) -> Segment {
    let sequence = match acknowledged {
        Some(acknowledged) => acknowledged.wrapping_sub(1),
        None => waiting.attempts.wrapping_mul(u32::MAX / ATTEMPTS),
    };

    Segment {
        from: waiting.remote,
        to: waiting.local,
        sequence,
        acknowledgement: 0,
        flags: ACK,
    }
}

/// True while no session leads to `remote` and its connections are to be reset. The peer may have
/// come back meanwhile, and a part of a prefix may have a way of its own.
fn is_due(tables: &Snapshot, remote: SocketAddr, now: Instant) -> bool {
    let outage = tables.outage(remote.ip());
    outage.is_some_and(|outage| outage.resets(tables.tunnel(), now))
}

/// Resets connections until shutdown is requested.
pub(crate) fn run<T: Tun, U: Udp>(lane: &Lane<T, U>, turns: &Turns) -> io::Result<()> {
    let mut resets = Resets::default();
    let mut pause = IDLE;

    while !lane.shutdown.is_requested() {
        turns.rest();
        poll::wait(None, lane.shutdown.as_fd(), Some(pause))?;

        turns.begin();
        let tables = lane.snapshot.load_full();
        pause = resets.step(&tables, &lane.filter, lane.udp.now(), |segment| {
            // A device that is down refuses; its routes are gone with it.
            let _ = lane.tun.write(&[IoSlice::new(segment.bytes())]);
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ringway_config::Tunnel;
    use ringway_filter::{FlowProtocol, FlowRecord};

    use super::*;
    use crate::harness;
    use crate::outage::{Outage, OutageCause};
    use crate::snapshot::{SiteNo, SnapshotBuilder};

    #[test]
    fn many_connections_are_asked_and_reset_a_hundred_in_a_step() {
        const CONNECTIONS: u16 = 250;
        let now = Instant::now();
        let [own, theirs]: [Prefix; 2] = ["10.1.0.0/16", "10.2.0.0/16"].map(|p| p.parse().unwrap());
        let filter = harness::filter(now);
        let rules = harness::permissive(1, &[own], &[(2, theirs)]);
        for port in 0..CONNECTIONS {
            let record = FlowRecord {
                protocol: FlowProtocol::Tcp,
                local: SocketAddr::from(([10, 1, 0, 1], 40_000 + port)),
                remote: SocketAddr::from(([10, 2, 0, 1], 7051)),
                ack: Some(77),
                idle: 0,
            };
            assert!(filter.import(&rules, &record, now));
        }
        let mut builder = SnapshotBuilder::new(SiteNo(1));
        let outage = Outage {
            since: now,
            cause: OutageCause::Lost,
        };
        builder.outage(theirs, outage);
        let tables = builder.build();

        let mut resets = Resets::default();
        let dead = now + Tunnel::default().reset_after;
        let mut step = |at| {
            let mut written = 0;
            let pause = resets.step(&tables, &filter, at, |_| written += 1);
            (written, pause)
        };
        assert_eq!(step(dead - STEP), (0, IDLE));
        for count in [100, 100, 50, 0] {
            assert_eq!(step(dead), (count, STEP), "asked");
        }
        for (count, pause) in [(100, STEP), (100, STEP), (50, IDLE), (0, IDLE)] {
            assert_eq!(step(dead + CONFIRMATION), (count, pause), "reset");
        }
    }

    #[test]
    fn no_more_connections_wait_for_their_reset_than_there_are_places() {
        let now = Instant::now();
        let [own, theirs]: [Prefix; 2] = ["10.1.0.0/16", "10.2.0.0/16"].map(|p| p.parse().unwrap());
        let filter = harness::filter(now);
        let rules = harness::permissive(1, &[own], &[(2, theirs)]);
        for number in 0..MAX_WAITING as u32 + 500 {
            let [_, host, high, low] = number.to_be_bytes();
            let record = FlowRecord {
                protocol: FlowProtocol::Tcp,
                local: SocketAddr::from(([10, 1, high, host], 40_000 + u16::from(low))),
                remote: SocketAddr::from(([10, 2, 0, 1], 7051)),
                ack: Some(77),
                idle: 0,
            };
            assert!(filter.import(&rules, &record, now));
        }
        let mut builder = SnapshotBuilder::new(SiteNo(1));
        let cause = OutageCause::Lost;
        builder.outage(theirs, Outage { since: now, cause });

        let mut resets = Resets::default();
        let dead = now + Tunnel::default().reset_after;
        resets.step(&builder.build(), &filter, dead, |_| {});
        assert_eq!(resets.waiting.len(), MAX_WAITING);
    }
}
