//! [`run`]: brings a gateway up, keeps it up until it is told to end, and takes it down.
//!
//! ```text
//!   prepare ─► TUN ─► packet filter ─► forwarding ─► socket, data plane ─► routes ─► QUIC ─► DNS ─► drive
//! ```
//! The order fails closed: the device's name is the lock against a second daemon; the filter stands before
//! anything is forwarded and before the data plane writes a packet to the device; and the routes keep
//! private traffic off the default route before the first tunnel is up. Down goes the reverse way; the
//! `unreachable` routes stay.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ringway_config::{Config, Faults, accepted};
use ringway_core::{BootId, Membership, Mesh, Settings};
use ringway_dataplane::{Aead, ControlSink, Counters, Dataplane, Event, SiteNo, Snapshot};
use ringway_dns::Server;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tun_rs::SyncDevice;

use crate::admin;
use crate::drive::{Drive, Input, Packets, QUEUE, Running, renewal};
use crate::host::Families;
use crate::host::firewall::{Firewall as _, Nft, short_idle_timeout};
use crate::host::forwarding::Forwarding;
use crate::host::links::Links;
use crate::host::routes::KernelRoutes;
use crate::host::tun::open_tun;
use crate::keeper::{self, Installed};
use crate::membership::{membership, policy};
use crate::names::{Names, own_apex};
use crate::prepare::{Prepared, prepare};
use crate::tunnel::accept::{self, LivePeers};
use crate::tunnel::dial::Dialler;
use crate::tunnel::endpoint::{self, Tls};
use crate::tunnel::socket::Inlet;
use crate::zones::Replicator;

/// MTU inside the tunnel: what fits a 1500-byte path over IPv6 (DESIGN.md 4.2, "Overhead").
const TUNNEL_MTU: u16 = 1420;

/// Why a gateway ended or never began.
#[derive(Debug)]
pub enum RunError {
    /// Its files are wrong.
    Faults(Faults),
    /// We could not.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for RunError {
    fn from(error: anyhow::Error) -> RunError {
        RunError::Failed(error)
    }
}

/// Runs the gateway of `path` until SIGTERM or SIGINT.
pub async fn run(path: &Path) -> Result<(), RunError> {
    let prepared = prepare(path).await.map_err(RunError::Faults)?;
    for warning in prepared.warnings.0.iter().chain(&prepared.conflicts.0) {
        tracing::warn!(reason = %warning, "Not all is well with the files");
    }
    let gateway = Gateway::bind(prepared).await?;
    Ok(gateway.run().await?)
}

/// A gateway that is up but for its loop.
struct Gateway {
    drive: Drive,
    inputs: mpsc::Receiver<Input>,
    dataplane: Dataplane,
    forwarding: Forwarding,
    config: Config,
    services: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    async fn bind(prepared: Prepared) -> anyhow::Result<Gateway> {
        let Prepared { config, trust, identity, connected, accepted: before, rulings, .. } = prepared;
        std::fs::create_dir_all(&config.state_dir)
            .with_context(|| format!("cannot make {}", config.state_dir.display()))?;
        let admin = admin::socket::bind(&config.socket)?;
        let membership = membership(&config, &rulings);
        accepted::save(&config.state_dir, &accepted::after(&config, &rulings, &before))?;

        let (tun, index) = open_tun(&config.tun, TUNNEL_MTU)?;
        let needed = Families::of(membership.own());
        let forwarding = Forwarding::prepare(needed, &config.state_dir.join("kernel-settings.json"))?;
        let mut firewall = Nft::new(&config.tun);
        firewall.apply(&policy(&config, &membership, forwarding.ours())).await?;
        forwarding.enable()?;
        if let Some(idle) = short_idle_timeout() {
            tracing::warn!(?idle, "The kernel forgets idle TCP connections early: gRPC streams will break");
        }
        let links = Links::read(&config.tun).await?;
        let (routes, wishes) = watch::channel(keeper::wanted(&membership, &Default::default(), &links));
        let kernel = KernelRoutes::open(config.routes, index)?;

        let (stop, services) = (CancellationToken::new(), TaskTracker::new());
        let (inputs, queue) = mpsc::channel(QUEUE);
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let identity = Arc::new(ArcSwap::from_pointee(identity));
        let tls = Arc::new(Tls::new(trust.clone(), identity.clone())?);
        let socket = Arc::new(bind(config.listen)?);
        let (endpoint, inlet) = endpoint::open(&socket, &config.state_dir, &tls)?;
        let (dataplane, packets) = start_packets(tun, socket, &config, inlet, inputs.clone(), &connected)?;

        let installed = Installed::default();
        services.spawn(keeper::keep(kernel, wishes, installed.clone(), stop.clone()));
        let names = Names::open(&config, &membership)?;
        let server = Server::bind(&config.dns.listen, names.zones.clone(), names.acl.clone()).await?;
        services.spawn(server.run(stop.clone()));
        services.spawn(admin::socket::serve(admin, inputs.clone(), stop.clone()));
        let live = LivePeers::default();
        let accepting =
            accept::accept(endpoint.clone(), tls.clone(), live.clone(), inputs.clone(), stop.clone());
        services.spawn(accepting);
        services.spawn(forward_reloads(inputs.clone(), stop.clone()));
        services.spawn(renewal::watch(config.identity.clone(), inputs.clone(), stop.clone()));

        let replicator = Replicator::new(&names, config.own.domain.clone(), &own_apex(&config))
            .context("the own zone is not published")?;
        let mesh = mesh(&membership)?;
        let guard = forwarding.ours();
        let running = Running {
            config: config.clone(),
            rulings,
            connected,
            links,
            trust,
            identity,
            names,
            firewall,
            guard,
        };
        let dialler = Dialler::new(endpoint, tls, inputs.clone());
        let drive = Drive { mesh, running, dialler, live, packets, replicator, routes, installed, inputs };
        Ok(Gateway { drive, inputs: queue, dataplane, forwarding, config, services, stop })
    }

    async fn run(self) -> anyhow::Result<()> {
        let Gateway { drive, inputs, dataplane, forwarding, config, services, stop } = self;
        let ending = CancellationToken::new();
        tokio::spawn(end_on_signal(ending.clone())?);
        tracing::info!(gateway = %config.id, site = %config.site, listen = %config.listen, "Gateway running");
        let ended = drive.run(inputs, ending).await;
        stop.cancel();
        services.close();
        services.wait().await;
        dataplane.stop();
        // The data plane held the device: it is gone now, and the filter may follow.
        forwarding.restore()?;
        Nft::new(&config.tun).remove().await?;
        // A socket file that is gone already is no loss.
        let _ = std::fs::remove_file(&config.socket);
        ended.map_err(anyhow::Error::msg)?;
        tracing::info!(gateway = %config.id, "Gateway ended");
        Ok(())
    }
}

fn mesh(membership: &Membership) -> anyhow::Result<Mesh> {
    let mut random = [0; 24];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system has no random bytes"))?;
    let (boot, seed) = random.split_at(16);
    let boot = BootId(boot.try_into().expect("16 of 24 bytes"));
    let seed = u64::from_be_bytes(seed.try_into().expect("8 of 24 bytes"));
    let aead = match Aead::preferred() {
        Aead::Aes128Gcm => ringway_core::Aead::Aes128Gcm,
        Aead::Aes256Gcm => ringway_core::Aead::Aes256Gcm,
        Aead::ChaCha20Poly1305 => ringway_core::Aead::ChaCha20Poly1305,
    };
    let settings = Settings { aead, ..Settings::default() };
    Ok(Mesh::new(membership.clone(), settings, boot, seed, Instant::now()))
}

/// The tunnel's socket. `[::]` takes IPv4 too.
fn bind(listen: SocketAddr) -> anyhow::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let in_use = || format!("cannot listen on {listen}: is another program using the port?");
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    if let SocketAddr::V6(v6) = listen {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.bind(&listen.into()).with_context(in_use)?;
    Ok(socket.into())
}

fn start_packets(
    tun: Arc<SyncDevice>,
    socket: Arc<UdpSocket>,
    config: &Config,
    inlet: Inlet,
    inputs: mpsc::Sender<Input>,
    connected: &[ringway_config::Connected],
) -> anyhow::Result<(Dataplane, Packets)> {
    ringway_dataplane::configure_socket(&socket, config.routes.mark)
        .context("cannot set up the tunnel's UDP socket: ringway needs CAP_NET_ADMIN")?;
    let counters = Arc::new(Counters::new());
    let tables = Arc::new(ArcSwap::from_pointee(Snapshot::empty(SiteNo(0))));
    let sink = Sink { inlet, inputs };
    let dataplane = Dataplane::start(tun, socket.clone(), tables.clone(), counters.clone(), sink)?;
    Ok((dataplane, Packets::new(socket, tables, counters, connected)))
}

/// What the data plane hands over: QUIC to quinn, events to the drive; full queues drop.
struct Sink {
    inlet: Inlet,
    inputs: mpsc::Sender<Input>,
}

impl ControlSink for Sink {
    fn quic(&mut self, datagram: &[u8], from: SocketAddr, to: Option<IpAddr>, ecn: Option<u8>) -> bool {
        self.inlet.offer(datagram, from, to, ecn)
    }

    fn event(&mut self, event: Event) -> bool {
        self.inputs.try_send(Input::Packets(event)).is_ok()
    }
}

fn end_on_signal(ending: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ending.cancel();
    })
}

async fn forward_reloads(inputs: mpsc::Sender<Input>, stop: CancellationToken) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
        // The drive is gone only when the daemon ends.
        let _ = inputs.send(Input::Reload).await;
    }
}
