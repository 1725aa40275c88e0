//! Two gateways that hold each other's keys, in two namespaces joined by a cable.
//!
//! ```text
//!   left                                        right
//!   10.1.0.1, fd00:1::1 on rw0 (TUN)            10.2.0.1, fd00:2::1 on rw0 (TUN)
//!   192.0.2.1, 2001:db8::1 on wan ────veth──── wan, 192.0.2.2 and .22, 2001:db8::2
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_config::Prefix;
use ringway_dataplane::*;
use tun_rs::{DeviceBuilder, SyncDevice};

use socket2::{Domain, Socket, Type};

use super::netns::{Netns, ip};
use super::sink::{Reported, Sink};

/// One of the two gateways.
pub(crate) struct Gateway {
    /// `None` while it is stopped.
    pub(crate) dataplane: Option<Dataplane>,
    tun: Arc<SyncDevice>,
    sockets: Vec<Arc<TunnelSocket>>,
    pub(crate) netns: Netns,
    /// The socket of lane 0.
    pub(crate) socket: Arc<TunnelSocket>,
    pub(crate) shared: Shared,
    /// The directions of lane 0.
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) incoming: Arc<Incoming>,
    /// The sealing directions of all lanes.
    pub(crate) lanes: Lanes,
    /// The gateway's, for packets that belong to no peer.
    pub(crate) counters: Arc<Counters>,
    /// The other gateway.
    pub(crate) peer: Arc<Peer>,
    pub(crate) reports: Receiver<Reported>,
}

impl Gateway {
    /// Starts its threads inside its namespace, because IPv6 fragments leave by sockets that the
    /// threads make.
    pub(crate) fn start(&mut self, reports: SyncSender<Reported>) {
        let tun = self.tun.clone();
        let sockets = self.sockets.clone();
        let shared = self.shared.clone();
        self.dataplane = Some(
            self.netns
                .within(move || Dataplane::start(&tun, &sockets, &shared, Sink(reports)).unwrap()),
        );
    }

    /// Runs `work` while no thread runs: packets for the device wait in its queue.
    pub(crate) fn while_stopped(&mut self, work: impl FnOnce()) {
        self.dataplane.take().expect("it runs").stop();
        work();
        let (sender, reports) = sync_channel(1024);
        self.reports = reports;
        self.start(sender);
    }

    /// From now on no session leads to the other site.
    pub(crate) fn cut(&self, outage: Outage) {
        let SiteNo(there) = self.incoming.site();
        let there = there as u8;
        let mut builder = builder(3 - there, &[&self.incoming]);
        for prefix in prefixes(there) {
            builder.outage(prefix, outage);
        }
        self.shared.snapshot.store(Arc::new(builder.build()));
    }

    /// The next report, waiting for it.
    pub(crate) fn next(&self) -> Reported {
        self.reports
            .recv_timeout(Duration::from_secs(10))
            .expect("the sink receives something")
    }

    pub(crate) fn next_event(&self) -> Event {
        match self.next() {
            Reported::Event(event) => event,
            other => panic!("{other:?} is no event"),
        }
    }

    /// Nothing is dropped except what every kernel sends on every link: link-local router
    /// solicitations and multicast reports, which no tunnel carries.
    pub(crate) fn assert_nothing_dropped(&self) {
        for counters in [&*self.counters, self.peer.counters()] {
            let counts = counters.snapshot();
            let drops: Vec<_> = counts
                .drops()
                .filter(|(reason, count)| *count > 0 && *reason != DropReason::OwnSource)
                .collect();
            assert!(drops.is_empty(), "{}: {drops:?}", self.netns.name());
        }
    }
}

/// What the outer packets are.
#[derive(Clone, Copy)]
pub(crate) enum Wan {
    /// IPv4 from an IPv4 socket.
    V4,
    /// IPv6.
    V6,
    /// IPv4 from an IPv6 socket.
    Mapped,
}

impl Wan {
    fn listen(self) -> &'static str {
        if matches!(self, Wan::V4) {
            "0.0.0.0:4600"
        } else {
            "[::]:4600"
        }
    }

    fn address(self, number: u8) -> SocketAddr {
        let address = match self {
            Wan::V4 | Wan::Mapped => format!("192.0.2.{number}:4600"),
            Wan::V6 => format!("[2001:db8::{number}]:4600"),
        };
        address.parse().unwrap()
    }
}

/// Both gateways, running.
pub(crate) fn pair(aead: Aead, wan: Wan) -> (Gateway, Gateway) {
    pair_with_lanes(aead, wan, [1, 1])
}

/// Both gateways, running, with these numbers of lanes.
pub(crate) fn pair_with_lanes(aead: Aead, wan: Wan, lanes: [u8; 2]) -> (Gateway, Gateway) {
    let (left, right) = (Netns::new(), Netns::new());
    ip(&format!(
        "link add wan netns {} type veth peer name wan netns {}",
        left.name(),
        right.name()
    ));
    for (netns, number) in [(&left, 1), (&right, 2)] {
        netns.ip(&format!("addr add 192.0.2.{number}/24 dev wan"));
        netns.ip(&format!("addr add 192.0.2.{number}{number}/24 dev wan"));
        netns.ip(&format!("addr add 2001:db8::{number}/64 dev wan nodad"));
        netns.ip("link set wan up");
    }
    (
        start(left, 1, aead, wan, lanes),
        start(right, 2, aead, wan, lanes),
    )
}

/// Starts the gateway whose number is in all its addresses.
fn start(netns: Netns, here: u8, aead: Aead, wan: Wan, lanes: [u8; 2]) -> Gateway {
    let there = 3 - here;
    let [ours, theirs] = [here, there].map(|number| lanes[usize::from(number) - 1]);
    let (tun, sockets) = netns.within(move || (tun(ours > 1), bind(wan.listen(), ours)));
    let socket = sockets[0].clone();
    netns.ip(&format!("addr add 10.{here}.0.1/24 dev rw0"));
    netns.ip(&format!("addr add fd00:{here}::1/64 dev rw0 nodad"));
    netns.ip("link set rw0 up");
    netns.ip(&format!(
        "route add 10.{there}.0.0/24 dev rw0 src 10.{here}.0.1"
    ));
    netns.ip(&format!(
        "route add fd00:{there}::/64 dev rw0 src fd00:{here}::1"
    ));

    let counters = Arc::new(Counters::new());
    let peer = Arc::new(Peer::new());
    peer.set_path_mtu(1500);
    // Index n is that of lane n, as many as there may be.
    let mut lane = |number| session((here, there), number, aead, wan.address(there), &peer);
    let (outgoing, incoming): (Vec<_>, Vec<_>) = (0..ours.max(theirs)).map(&mut lane).unzip();
    let lanes = Lanes::new(outgoing.into_iter().take(theirs.into())).unwrap();
    for (number, incoming) in incoming.iter().enumerate() {
        incoming.pair_with(lanes.lane(number).clone());
    }
    let outgoing = lanes.lane(0).clone();
    let opening: Vec<_> = incoming.iter().take(ours.into()).collect();
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(tables(here, &opening, &lanes))),
        counters: counters.clone(),
        filter: harness::filter(Instant::now()),
    };
    let incoming = incoming[0].clone();
    let (sender, reports) = sync_channel(1024);
    let tun = Arc::new(tun);
    let mut gateway = Gateway {
        dataplane: None,
        tun,
        sockets,
        netns,
        socket,
        shared,
        outgoing,
        incoming,
        lanes,
        counters,
        peer,
        reports,
    };
    gateway.start(sender);
    gateway
}

/// Both directions of session `number` of a gateway. The index and the secret of a direction are
/// those of its receiver.
pub(crate) fn session(
    (here, there): (u8, u8),
    number: u8,
    aead: Aead,
    remote: SocketAddr,
    peer: &Arc<Peer>,
) -> (Arc<Outgoing>, Arc<Incoming>) {
    let secret = |receiver: u8| secret(receiver, number);
    // Divisible by every number of lanes in these tests, so that a session's number is also its
    // lane.
    let index = |receiver: u8| 0x0060_0000 * u32::from(receiver) + u32::from(number);
    let path = Path::new(remote, None);
    let outgoing = Outgoing::new(index(there), aead, &secret(there), path, peer.clone());
    let incoming = Incoming::new(
        index(here),
        aead,
        &secret(here),
        SiteNo(there.into()),
        peer.clone(),
    );
    (Arc::new(outgoing), Arc::new(incoming))
}

/// The secret of what gateway `receiver` opens in session `number`.
pub(crate) fn secret(receiver: u8, number: u8) -> Secret {
    Secret::new(std::array::from_fn(
        |at| if at == 0 { number } else { receiver },
    ))
}

/// The tables of the gateway whose number is in all its addresses: what it opens, and what it seals
/// with.
pub(crate) fn tables(
    here: u8,
    incoming: &[&Arc<Incoming>],
    outgoing: &(impl Into<Lanes> + Clone),
) -> Snapshot {
    let mut builder = builder(here, incoming);
    for prefix in prefixes(3 - here) {
        builder.route(prefix, outgoing.clone());
    }
    builder.build()
}

/// Tables without a way to the other site.
fn builder(here: u8, incoming: &[&Arc<Incoming>]) -> SnapshotBuilder {
    let there = 3 - here;
    let mut builder = SnapshotBuilder::new(SiteNo(here.into()));
    for session in incoming {
        builder.incoming(Arc::clone(session));
    }
    let own = prefixes(here);
    let others = prefixes(there).map(|prefix| (there.into(), prefix));
    builder.rules(harness::permissive(here.into(), &own, &others));
    for prefix in own {
        builder.site_prefix(prefix);
    }
    for prefix in prefixes(there) {
        builder.authorize(prefix, SiteNo(there.into()));
    }
    builder
}

fn prefixes(number: u8) -> [Prefix; 2] {
    [format!("10.{number}.0.0/24"), format!("fd00:{number}::/64")]
        .map(|prefix| prefix.parse().unwrap())
}

fn tun(several_queues: bool) -> SyncDevice {
    DeviceBuilder::new()
        .name("rw0")
        .mtu(1420)
        .with(|tun| {
            tun.offload(true)
                .multi_queue(several_queues)
                .tx_queue_len(5000);
        })
        .build_sync()
        .expect("root may make a TUN device")
}

/// The sockets of as many lanes.
fn bind(listen: &str, lanes: u8) -> Vec<Arc<TunnelSocket>> {
    let listen: SocketAddr = listen.parse().unwrap();
    let bind = |_| {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, None).unwrap();
        socket.set_reuse_port(lanes > 1).unwrap();
        socket.bind(&listen.into()).unwrap();
        Arc::new(TunnelSocket::new(socket.into(), 0x1057).unwrap())
    };
    let sockets: Vec<_> = (0..lanes).map(bind).collect();
    share_port(&sockets).unwrap();
    sockets
}
