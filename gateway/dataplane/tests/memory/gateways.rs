//! Two gateways that hold each other's keys, on devices and a network in memory.
//!
//! ```text
//!   left                                                  right
//!   site 10.1.0.0/24, fd00:1::/64                         site 10.2.0.0/24, fd00:2::/64
//!   host ── ChannelTun ── 192.0.2.1:4600 ──ChannelNetwork── 192.0.2.2:4600 ── ChannelTun ── host
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_config::{Policy, Prefix, Tunnel};
use ringway_dataplane::*;

use super::sink::{Reported, Sink};

/// How long a test waits for what must come.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// How many items each queue of a gateway holds.
#[derive(Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) tun: usize,
    pub(crate) udp: usize,
    pub(crate) sink: usize,
}

/// More than any test needs.
pub(crate) const AMPLE: Capacity = Capacity {
    tun: 1024,
    udp: 1024,
    sink: 1024,
};

/// One of the two gateways.
pub(crate) struct Gateway {
    /// `None` while it is stopped.
    dataplane: Option<Dataplane>,
    capacity: Capacity,
    pub(crate) host: ChannelHost,
    pub(crate) udp: Arc<ChannelUdp>,
    pub(crate) shared: Shared,
    pub(crate) incoming: Arc<Incoming>,
    pub(crate) outgoing: Arc<Outgoing>,
    /// The gateway's, for packets that belong to no peer.
    pub(crate) counters: Arc<Counters>,
    pub(crate) peer: Arc<Peer>,
    reports: Receiver<Reported>,
}

impl Gateway {
    /// Starts the gateway whose number is in all its addresses.
    fn start(network: &ChannelNetwork, number: u8, capacity: Capacity) -> Gateway {
        let there = 3 - number;
        let peer = Arc::new(Peer::new());
        peer.set_path_mtu(1500);
        let path = Path::new(address(there), None);
        let secret = |receiver: u8| Secret::new([receiver; 48]);
        let outgoing = Outgoing::new(there.into(), AEAD, &secret(there), path, peer.clone());
        let site = SiteNo(there.into());
        let incoming = Incoming::new(number.into(), AEAD, &secret(number), site, peer.clone());
        let (outgoing, incoming) = (Arc::new(outgoing), Arc::new(incoming));
        incoming.pair_with(outgoing.clone());

        let snapshot = tables(number, &incoming, &outgoing);
        let counters = Arc::new(Counters::new());
        let udp = Arc::new(network.bind(address(number), capacity.udp).unwrap());
        let filter = harness::filter(udp.now());
        let (_, host) = ChannelTun::new(capacity.tun).unwrap();
        let (_, reports) = sync_channel(0);
        let mut gateway = Gateway {
            dataplane: None,
            capacity,
            host,
            udp,
            shared: Shared {
                snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
                counters: counters.clone(),
                filter,
            },
            incoming,
            outgoing,
            counters,
            peer,
            reports,
        };
        gateway.recreate_device();
        gateway
    }

    /// Ends the threads, and starts new ones on a new device. Socket, tables, sessions and counters
    /// stay.
    pub(crate) fn recreate_device(&mut self) {
        self.stop();
        let (tun, host) = ChannelTun::new(self.capacity.tun).unwrap();
        let (sender, reports) = sync_channel(self.capacity.sink);
        let dataplane = Dataplane::start_on([(tun, self.udp.clone())], &self.shared, Sink(sender));
        self.dataplane = Some(dataplane.unwrap());
        self.host = host;
        self.reports = reports;
    }

    /// Swaps in tables with the rules of `policy`, and what `add` adds.
    pub(crate) fn publish_policy(&self, policy: Policy, add: impl FnOnce(&mut SnapshotBuilder)) {
        let SiteNo(there) = self.incoming.site();
        let here = 3 - there as u8;
        let others = prefixes(there as u8).map(|prefix| (there, prefix));
        let rules = harness::rules(policy, here.into(), &prefixes(here), &others);

        let mut builder = builder(here, &self.incoming);
        for prefix in prefixes(there as u8) {
            builder.route(prefix, self.outgoing.clone());
        }
        builder.rules(rules);
        add(&mut builder);
        self.shared.snapshot.store(Arc::new(builder.build()));
    }

    /// Ends the threads. What arrives waits in the queues.
    pub(crate) fn stop(&mut self) {
        if let Some(dataplane) = self.dataplane.take() {
            dataplane.stop();
        }
    }

    /// From now on no session leads to the other site.
    pub(crate) fn cut(&self, outage: Outage, tunnel: Tunnel) {
        self.publish(Some(outage), tunnel);
    }

    /// The session leads to the other site again.
    pub(crate) fn restore(&self) {
        self.publish(None, Tunnel::default());
    }

    fn publish(&self, outage: Option<Outage>, tunnel: Tunnel) {
        let number = self.incoming.index() as u8;
        let mut builder = builder(number, &self.incoming);
        builder.tunnel(tunnel);
        for prefix in prefixes(3 - number) {
            match outage {
                Some(outage) => builder.outage(prefix, outage),
                None => builder.route(prefix, self.outgoing.clone()),
            };
        }
        self.shared.snapshot.store(Arc::new(builder.build()));
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.dataplane.as_ref().unwrap().has_failed()
    }

    pub(crate) fn next_report(&self) -> Reported {
        self.reports
            .recv_timeout(TIMEOUT)
            .unwrap_or_else(|_| panic!("the sink receives nothing; {}", self.shown_drops()))
    }

    pub(crate) fn next_event(&self) -> Event {
        match self.next_report() {
            Reported::Event(event) => event,
            other => panic!("{other:?} instead of an event"),
        }
    }

    /// Waits for an IP packet at the host.
    pub(crate) fn next_packet(&self) -> Vec<u8> {
        self.host
            .receive(TIMEOUT)
            .unwrap_or_else(|| panic!("no packet arrives; {}", self.shown_drops()))
    }

    /// What this gateway has dropped, and what of its peer, by reason.
    fn shown_drops(&self) -> String {
        let [ours, peers] = [&*self.counters, self.peer.counters()].map(|counters| {
            let counts = counters.snapshot();
            let drops = counts.drops().filter(|(_, count)| *count > 0);
            drops
                .map(|(reason, count)| format!("{reason} {count}"))
                .collect::<Vec<_>>()
        });

        format!("dropped: {ours:?}, of its peer {peers:?}")
    }

    /// Drops for this reason, of the gateway and of its peer.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.counters.snapshot().dropped(reason) + self.peer.counters().snapshot().dropped(reason)
    }

    pub(crate) fn assert_nothing_dropped(&self) {
        for reason in DropReason::ALL {
            assert_eq!(self.dropped(*reason), 0, "{reason}");
        }
    }
}

/// Both gateways, running, with ample queues.
pub(crate) fn pair() -> (ChannelNetwork, Gateway, Gateway) {
    pair_with(AMPLE)
}

/// Both gateways, running. The right one has queues of this capacity.
pub(crate) fn pair_with(right: Capacity) -> (ChannelNetwork, Gateway, Gateway) {
    let network = ChannelNetwork::new();
    let left = Gateway::start(&network, 1, AMPLE);
    let right = Gateway::start(&network, 2, right);
    (network, left, right)
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// Where gateway `number` receives.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 4600))
}

pub(crate) const AEAD: Aead = Aead::Aes128Gcm;

/// The tables of gateway `here`, whose rules let everything pass.
fn tables(here: u8, incoming: &Arc<Incoming>, outgoing: &Arc<Outgoing>) -> Snapshot {
    let mut builder = builder(here, incoming);
    for prefix in prefixes(3 - here) {
        builder.route(prefix, outgoing.clone());
    }
    builder.build()
}

/// Tables without a way to the other site, whose rules let everything pass.
fn builder(here: u8, incoming: &Arc<Incoming>) -> SnapshotBuilder {
    let there = 3 - here;
    let others = prefixes(there).map(|prefix| (there.into(), prefix));

    let mut builder = SnapshotBuilder::new(SiteNo(here.into()));
    builder.rules(harness::permissive(here.into(), &prefixes(here), &others));
    builder.incoming(incoming.clone());
    for prefix in prefixes(here) {
        builder.site_prefix(prefix);
    }
    for prefix in prefixes(there) {
        builder.authorize(prefix, SiteNo(there.into()));
    }
    builder
}

/// The prefixes of the site of gateway `number`.
pub(crate) fn prefixes(number: u8) -> [Prefix; 2] {
    [format!("10.{number}.0.0/24"), format!("fd00:{number}::/64")]
        .map(|prefix| prefix.parse().unwrap())
}
