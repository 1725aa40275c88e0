//! [`Outages`]: the remote prefixes to which no session leads, since when, and why. The data plane
//! answers packets to these prefixes.
//!
//! ```text
//!   first seen ──► Down(since) ◄── its session ended, or the claim was withdrawn ── Served
//!                     └────────────────── a session with keys leads there ────────────▲
//! ```
//! A session that never carried a packet does not end an outage: a firewall may pass handshakes and
//! nothing else.
//!
//! The prefixes are those of the member records, and more specific ones that were served: their
//! connections are cut in the same way. The more specific ones are removed after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ringway_config::{GatewayId, OrgId, Prefix, SiteId};
use ringway_core::{ByeCode, CloseReason, ConnectionError, Membership, TunnelError};

/// How long a served part of a prefix is remembered after it was lost: as long as connections that
/// were reset are.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Lost parts of prefixes that are remembered. A peer could announce another part each time.
const MAX_PARTS: usize = 4096;

/// Why no session leads to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutageCause {
    /// This gateway has started, and its first attempts to reach the peer are not over.
    Starting,
    /// The last session was lost, or there never was one.
    Lost,
    /// The peer has stopped in an orderly way.
    Announced,
    /// The peer is connected and does not announce the prefix.
    Unserved,
}

/// No session leads to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the last one ended; without one, when this gateway learned of the prefix.
    pub since: Instant,
    /// Why.
    pub cause: OutageCause,
}

/// The outages of all remote prefixes.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    /// The prefixes of other sites, and the gateways that may serve them.
    remote: BTreeMap<Prefix, BTreeSet<GatewayId>>,
    prefixes: BTreeMap<Prefix, State>,
    peers: BTreeMap<GatewayId, Peer>,
    /// The other gateways of our site. Their own ends say nothing about another site.
    siblings: BTreeSet<GatewayId>,
}

/// The state of one prefix.
#[derive(Debug)]
struct State {
    is_served: bool,
    /// The gateway that serves it or served it last.
    server: Option<GatewayId>,
    /// When the current or last outage began.
    since: Instant,
    /// When the outage before that began.
    before: Instant,
}

/// The state of the tunnel to one gateway.
#[derive(Debug, Default)]
struct Peer {
    /// An attempt to reach it has ended, with success or without.
    is_attempted: bool,
    /// When its tunnel came up.
    up: Option<Instant>,
    /// Its last session ended in an orderly way.
    has_announced: bool,
}

impl Outages {
    /// The first attempt to reach `peer` has failed.
    pub(crate) fn attempted(&mut self, peer: &GatewayId) {
        self.peer(peer).is_attempted = true;
    }

    /// The tunnel to `peer` is up.
    pub(crate) fn up(&mut self, peer: &GatewayId, now: Instant) {
        let peer = self.peer(peer);
        peer.is_attempted = true;
        peer.has_announced = false;
        peer.up = Some(now);
    }

    /// The tunnel to `peer` has gone down. `proved`: its last session has carried packets.
    pub(crate) fn down(
        &mut self,
        peer: &GatewayId,
        reason: &TunnelError,
        proved: bool,
        now: Instant,
    ) {
        let known = self.peer(peer);
        known.up = None;
        known.has_announced = is_announced(reason);
        if proved {
            return;
        }

        // The tables may have changed before this was known.
        let theirs = self
            .prefixes
            .values_mut()
            .filter(|state| state.server.as_ref() == Some(peer));
        for state in theirs {
            if state.is_served {
                state.is_served = false;
            } else if state.since == now {
                state.since = state.before;
            }
        }
    }

    /// Takes remote prefixes and gateways from the membership.
    pub(crate) fn set_membership(&mut self, membership: &Membership) {
        self.remote = remote_prefixes(membership);
        self.siblings = siblings(membership);
        self.peers
            .retain(|peer, _| membership.gateways.contains_key(peer));
    }

    /// `served`: each prefix that a session leads to, and the gateway. Returns the outages of all
    /// others.
    pub(crate) fn update(
        &mut self,
        served: &BTreeMap<Prefix, GatewayId>,
        now: Instant,
    ) -> BTreeMap<Prefix, Outage> {
        self.remove_old(now);

        for prefix in self.remote.keys().chain(served.keys()) {
            let state = self.prefixes.entry(*prefix).or_insert(State {
                is_served: false,
                server: None,
                since: now,
                before: now,
            });
            match served.get(prefix) {
                Some(server) => {
                    state.is_served = true;
                    if !self.siblings.contains(server) {
                        state.server = Some(server.clone());
                    }
                }
                None => lose(state, now),
            }
        }

        // More specific prefixes that were served until now and are in no record.
        let lost_parts = self.prefixes.iter_mut();
        for (_, state) in lost_parts.filter(|(prefix, _)| !served.contains_key(prefix)) {
            lose(state, now);
        }
        self.outages(served)
    }

    fn outages(&self, served: &BTreeMap<Prefix, GatewayId>) -> BTreeMap<Prefix, Outage> {
        self.prefixes
            .iter()
            .filter(|(prefix, state)| {
                // Another gateway may serve what is around a lost part.
                !state.is_served
                    && (self.remote.contains_key(prefix)
                        || !served.keys().any(|other| other.covers(prefix)))
            })
            .map(|(prefix, state)| (*prefix, self.outage(prefix, state)))
            .collect()
    }

    fn outage(&self, prefix: &Prefix, state: &State) -> Outage {
        // A served part has the gateways of the prefix around it.
        let around = self.remote.get(prefix).or_else(|| {
            let mut covering = self.remote.iter().filter(|(other, _)| other.covers(prefix));
            covering.next().map(|(_, gateways)| gateways)
        });
        let gateways = around.into_iter().flatten();
        let peers: Vec<Option<&Peer>> = gateways.map(|peer| self.peers.get(peer)).collect();

        // A peer announces its prefixes a moment after its tunnel has come up.
        let up = peers.iter().flatten().filter_map(|peer| peer.up).min();
        if let Some(up) = up {
            return Outage {
                since: up.max(state.since),
                cause: OutageCause::Unserved,
            };
        }

        let server = state.server.as_ref().and_then(|peer| self.peers.get(peer));
        let is_first = peers
            .iter()
            .any(|peer| peer.is_none_or(|peer| !peer.is_attempted));
        let cause = match server {
            Some(server) if server.has_announced => OutageCause::Announced,
            None if is_first => OutageCause::Starting,
            _ => OutageCause::Lost,
        };
        Outage {
            since: state.since,
            cause,
        }
    }

    /// Removes prefixes that no longer belong to a member, and parts that were lost long ago.
    fn remove_old(&mut self, now: Instant) {
        let remote = &self.remote;
        let mut parts = 0;
        self.prefixes.retain(|prefix, state| {
            if remote.contains_key(prefix) {
                return true;
            }
            // Parts come from the wire, so that both their age and their number have a limit.
            let is_recent = state.is_served || now < state.since + REMEMBERED;
            let is_part = is_recent && remote.keys().any(|around| around.covers(prefix));
            parts += usize::from(is_part);
            is_part && parts <= MAX_PARTS
        });
    }

    fn peer(&mut self, peer: &GatewayId) -> &mut Peer {
        self.peers.entry(peer.clone()).or_default()
    }
}

fn lose(state: &mut State, now: Instant) {
    if state.is_served {
        state.is_served = false;
        state.before = state.since;
        state.since = now;
    }
}

fn siblings(membership: &Membership) -> BTreeSet<GatewayId> {
    let gateways = membership.gateways.iter();
    let siblings = gateways
        .filter(|(id, info)| id.org == membership.me.org && info.site == membership.site)
        .map(|(id, _)| id.clone());

    siblings.collect()
}

/// The prefixes of other sites, and the gateways that may serve them.
fn remote_prefixes(membership: &Membership) -> BTreeMap<Prefix, BTreeSet<GatewayId>> {
    let mut by_site: BTreeMap<(&OrgId, &SiteId), Vec<&GatewayId>> = BTreeMap::new();
    for (peer, info) in &membership.gateways {
        let site = (&peer.org, &info.site);
        by_site.entry(site).or_default().push(peer);
    }

    let own = membership.local_prefixes();
    let mut remote: BTreeMap<Prefix, BTreeSet<GatewayId>> = BTreeMap::new();
    for ((org, site), prefixes) in &membership.authorized {
        let gateways = by_site.get(&(org, site)).into_iter().flatten();
        // A WireGuard client has no tunnel of ours, so that its absence is no outage.
        if site.is_node() && gateways.clone().next().is_none() {
            continue;
        }
        // Our own site is among the sites of our record, and needs no tunnel.
        for prefix in prefixes.iter().filter(|prefix| !own.contains(prefix)) {
            let gateways = gateways.clone().map(|peer| (*peer).clone());
            remote.entry(*prefix).or_default().extend(gateways);
        }
    }
    remote
}

/// True if the peer's end was its own decision, so that it may be back soon.
fn is_announced(reason: &TunnelError) -> bool {
    match reason {
        TunnelError::Connection(ConnectionError::ClosedByPeer(code)) => {
            matches!(code, ByeCode::Shutdown | ByeCode::Replaced)
        }
        TunnelError::Closed(reason) => matches!(
            reason,
            CloseReason::PeerRestarted | CloseReason::Shutdown | CloseReason::ClockJump
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ringway_core::GatewayInfo;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Two sites of beta and what was done to them, on virtual time.
    struct Bench {
        outages: Outages,
        membership: Membership,
        served: BTreeMap<Prefix, GatewayId>,
        start: Instant,
        now: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let gateway = |id: &str, site: &str| {
                let info = GatewayInfo {
                    site: site.parse().unwrap(),
                    endpoints: Vec::new(),
                };
                (id.parse().unwrap(), info)
            };
            let site = |site: &str, prefix: &str| {
                let key = ("beta".parse().unwrap(), site.parse().unwrap());
                (key, vec![prefix.parse().unwrap()])
            };
            let now = Instant::now();
            Bench {
                outages: Outages::default(),
                membership: Membership {
                    me: "gw.acme".parse().unwrap(),
                    site: "home".parse().unwrap(),
                    is_dialable: true,
                    gateways: [gateway("a.beta", "one"), gateway("b.beta", "one")].into(),
                    authorized: [site("one", "10.2.0.0/16")].into(),
                    passing: BTreeMap::new(),
                    conflicted: Vec::new(),
                    records: BTreeMap::new(),
                },
                served: BTreeMap::new(),
                start: now,
                now,
            }
        }

        fn pass(&mut self, seconds: u32) {
            self.now += seconds * SECOND;
        }

        fn up(&mut self, peer: &str, prefix: &str) {
            self.outages.up(&peer.parse().unwrap(), self.now);
            self.outages();
            let peer = peer.parse().unwrap();
            self.served.insert(prefix.parse().unwrap(), peer);
            self.outages();
        }

        fn down(&mut self, peer: &str, reason: TunnelError, proved: bool) {
            let peer = peer.parse().unwrap();
            self.served.retain(|_, server| *server != peer);
            // The tables may be published in between.
            self.outages();
            self.outages.down(&peer, &reason, proved, self.now);
        }

        /// Prefix, seconds from the start, cause.
        fn outages(&mut self) -> Vec<(String, u64, OutageCause)> {
            self.outages.set_membership(&self.membership);
            self.outages
                .update(&self.served, self.now)
                .into_iter()
                .map(|(prefix, outage)| {
                    let since = outage.since.duration_since(self.start);
                    (prefix.to_string(), since.as_secs(), outage.cause)
                })
                .collect()
        }

        #[track_caller]
        fn assert(&mut self, since: u64, cause: OutageCause) {
            assert_eq!(self.outages(), [("10.2.0.0/16".into(), since, cause)]);
        }
    }

    fn silent() -> TunnelError {
        let remote: SocketAddr = "192.0.2.1:4600".parse().unwrap();
        ConnectionError::TimedOut { remote }.into()
    }

    #[test]
    fn an_outage_is_starting_until_every_gateway_of_the_site_was_attempted() {
        let mut bench = Bench::new();
        bench.assert(0, OutageCause::Starting);
        bench.pass(3);
        bench.outages.attempted(&"a.beta".parse().unwrap());
        bench.assert(0, OutageCause::Starting);
        bench.outages.attempted(&"b.beta".parse().unwrap());
        bench.assert(0, OutageCause::Lost);
    }

    #[test]
    fn an_outage_begins_with_the_loss_of_the_last_way() {
        let mut bench = Bench::new();
        bench.pass(1);
        bench.up("a.beta", "10.2.0.0/16");
        assert_eq!(bench.outages(), []);
        bench.pass(100);
        bench.down("a.beta", silent(), true);
        bench.assert(101, OutageCause::Lost);

        bench.pass(1);
        bench.up("b.beta", "10.2.0.0/16");
        bench.pass(1);
        let bye = ConnectionError::ClosedByPeer(ByeCode::Shutdown);
        bench.down("b.beta", bye.into(), true);
        bench.assert(103, OutageCause::Announced);
    }

    #[test]
    fn a_session_that_never_carried_a_packet_ends_no_outage() {
        let mut bench = Bench::new();
        bench.up("a.beta", "10.2.0.0/16");
        bench.pass(10);
        bench.down("a.beta", silent(), true);
        for _ in 0..5 {
            bench.pass(4);
            bench.up("a.beta", "10.2.0.0/16");
            bench.pass(4);
            bench.down("a.beta", silent(), false);
            bench.assert(10, OutageCause::Lost);
        }
    }

    #[test]
    fn a_connected_peer_that_does_not_serve_a_prefix_has_a_moment_to_announce_it() {
        let mut bench = Bench::new();
        bench.pass(30);
        bench.outages.up(&"a.beta".parse().unwrap(), bench.now);
        bench.assert(30, OutageCause::Unserved);
        bench.up("a.beta", "10.2.0.0/16");
        bench.pass(30);
        bench.served.clear();
        bench.assert(60, OutageCause::Unserved);
    }

    #[test]
    fn a_lost_part_of_a_prefix_has_its_own_outage_unless_the_rest_is_served() {
        let mut bench = Bench::new();
        bench.up("a.beta", "10.2.4.0/24");
        bench.pass(100);
        bench.down("a.beta", silent(), true);
        let part = ("10.2.4.0/24".to_owned(), 100, OutageCause::Lost);
        assert!(bench.outages().contains(&part));

        bench.up("b.beta", "10.2.0.0/16");
        assert_eq!(bench.outages(), []);
        bench.down("b.beta", silent(), true);
        assert!(bench.outages().contains(&part));
        bench.pass(600);
        bench.assert(100, OutageCause::Lost);
    }

    #[test]
    fn outages_of_a_removed_members_prefixes_are_forgotten() {
        let mut bench = Bench::new();
        bench.up("a.beta", "10.2.4.0/24");
        bench.membership.authorized.clear();
        bench.membership.gateways.clear();
        bench.served.clear();
        assert_eq!(bench.outages(), []);
        assert!(bench.outages.prefixes.is_empty() && bench.outages.peers.is_empty());
    }
}
