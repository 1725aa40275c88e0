//! [`run`]: brings a gateway up, keeps it up until it is told to end, and takes it down.
//!
//! ```text
//!   prepare ─► TUN ─► packet filter ─► forwarding ─► socket, data plane ─► routes ─► QUIC ─► DNS ─► drive
//! ```
//! The order fails closed: the device's name is the lock against a second daemon; the filter stands before
//! anything is forwarded and before the data plane writes a packet to the device; and the routes keep
//! private traffic off the default route before the first tunnel is up. Down goes the reverse way; the
//! `unreachable` routes stay.

mod kernel;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ringway_config::{Config, Faults, accepted};
use ringway_core::{BootId, Membership, Mesh, Settings};
use ringway_dataplane::{self as dataplane, Aead, Counters, Event, SiteNo, Snapshot, TunnelSocket};
use ringway_dns::{Hold, Moment, Options, Server};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tun_rs::SyncDevice;

use crate::admin::{self, Metrics};
use crate::drive::{self, Drive, Input, Packets, QUEUE, Running, renewal};
use crate::keeper::{self, Installed};
use crate::membership::membership;
use crate::names::{Names, own_apex};
use crate::plane::{Device, Parts, Plane, Sink};
use crate::prepare::{Prepared, prepare};
use crate::quic::accept::{self, PeerAddresses};
use crate::quic::dial::Dialler;
use crate::quic::endpoint::{self, Tls};
use crate::zones::Replicator;
use kernel::Kernel;

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
    let signals = Signals::listen().map_err(|error| RunError::Failed(error.into()))?;
    let prepared = prepare(path).await.map_err(RunError::Faults)?;
    for warning in prepared.warnings.0.iter().chain(&prepared.conflicts.0) {
        tracing::warn!(reason = %warning, "Not all is well with the files");
    }
    warn_of_public_dns(&prepared.config);
    Ok(run_prepared(prepared, signals).await?)
}

async fn run_prepared(prepared: Prepared, signals: Signals) -> anyhow::Result<()> {
    raise_open_files();
    let gateway = prepared.config.id.clone();
    let state_dir = &prepared.config.state_dir;
    std::fs::create_dir_all(state_dir)
        .with_context(|| format!("cannot make {}", state_dir.display()))?;
    let (kernel, restore) = Kernel::set_up(&prepared).await?;
    let ended = serve(prepared, kernel, signals).await;
    restore.restore().await?;
    ended?;
    tracing::info!(%gateway, "Gateway ended");
    Ok(())
}

/// Whoever can send there learns that a server is there, although nobody but members is answered.
fn warn_of_public_dns(config: &Config) {
    let listen = config.dns.listen.iter().map(SocketAddr::ip);
    for address in listen.filter(|address| !ringway_config::is_private(*address)) {
        tracing::warn!(%address, "DNS listens on an address that is not private ([dns] public-listen)");
    }
}

/// As many open files as the service manager allows: DNS clients and resolvers may take a socket each.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "The number of open files stays as it is");
    }
}

async fn serve(prepared: Prepared, kernel: Kernel, signals: Signals) -> anyhow::Result<()> {
    let Prepared {
        config,
        rulings,
        accepted,
        ..
    } = &prepared;
    accepted::save(
        &config.state_dir,
        &accepted::after(config, rulings, accepted),
    )?;
    let socket = config.socket.clone();
    let admin = admin::socket::bind(&socket)?;
    let ended = match Gateway::bind(prepared, kernel, admin).await {
        Ok(gateway) => gateway.run(signals).await,
        Err(error) => Err(error),
    };
    // A socket file that is gone already is no loss.
    let _ = std::fs::remove_file(&socket);
    ended
}

/// A gateway that is up but for its loop.
struct Gateway {
    drive: Drive,
    inputs: mpsc::Receiver<Input>,
    events: mpsc::Receiver<Event>,
    services: Services,
}

/// What runs beside the loop, and how it is told to end.
struct Services {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Services {
    fn start<F: Future<Output = ()> + Send + 'static>(
        &self,
        task: impl FnOnce(CancellationToken) -> F,
    ) {
        self.tasks.spawn(task(self.stop.clone()));
    }
}

impl Gateway {
    /// Binds every socket and starts every service; the kernel is set up already.
    async fn bind(
        prepared: Prepared,
        kernel: Kernel,
        admin: UnixListener,
    ) -> anyhow::Result<Gateway> {
        let Prepared {
            config,
            trust,
            identity,
            connected,
            rulings,
            ..
        } = prepared;
        let Kernel {
            tun,
            device,
            filter,
            routes: kernel_routes,
            links,
            wanted,
            guard,
        } = kernel;
        let membership = membership(&config, &rulings);
        let names = Names::open(&config, &membership)?;
        let heard = Hold::open(&config.state_dir.join("heard"), Moment::now())
            .with_context(|| format!("cannot use {}", config.state_dir.display()))?;
        let hold = (heard, config.dns.hold);
        let replicator =
            Replicator::new(&names, hold, config.own.domain.clone(), &own_apex(&config))
                .context("the own zone is not published")?;
        let (nsid, forwarder) = (config.id.to_string().into_bytes(), names.forwarder.clone());
        let query_log = names.query_log.clone();
        let public = config.dns.public_listen;
        let options = Options {
            nsid,
            public,
            forwarder: forwarder.clone(),
            query_log,
            ..Options::default()
        };
        let (zones, acl) = (names.zones.clone(), names.acl.clone());
        let server = Server::bind_with(&config.dns.listen, zones, acl, options).await?;
        let metrics = Metrics {
            counters: server.counters(),
            cookies: server.cookies(),
            forwarder,
        };

        let (inputs, queue) = mpsc::channel(QUEUE);
        let (noticed, events) = mpsc::channel(QUEUE);
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let identity = Arc::new(ArcSwap::from_pointee(identity));
        let tls = Arc::new(Tls::new(trust.clone(), identity.clone())?);
        let sockets = bind(&config)?;
        let (endpoint, inlet) = endpoint::open(sockets[0].socket(), &config.state_dir, &tls)?;
        let sink = Sink {
            inlet,
            events: noticed,
        };
        let (plane, packets) = start_packets((device, tun), sockets, sink, &connected)?;
        let dialler = Dialler::new(endpoint.clone(), tls.clone(), inputs.clone());

        let (peers, installed) = (PeerAddresses::default(), Installed::default());
        let (routes, wishes) = watch::channel(wanted);
        let services = Services {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let [to_admin, to_accept, to_renew, to_host] = std::array::from_fn(|_| inputs.clone());
        services.start(|stop| keeper::keep(kernel_routes, wishes, installed.clone(), stop));
        services.start(|stop| server.run(stop));
        services
            .start(|stop| admin::socket::serve(admin, to_admin, (filter.clone(), metrics), stop));
        services.start(|stop| accept::accept(endpoint, tls, peers.clone(), to_accept, stop));
        services.start(|stop| renewal::watch(config.identity.clone(), to_renew, stop));
        services.start(|stop| drive::watch_host(config.tun.to_string(), to_host, stop));

        let mesh = mesh(&membership, config.lanes)?;
        let running = Running {
            config,
            rulings,
            connected,
            links,
            trust,
            identity,
            names,
            filter,
            guard,
        };
        let drive = Drive {
            mesh,
            running,
            dialler,
            peers,
            packets,
            plane,
            replicator,
            routes,
            installed,
            inputs,
        };
        Ok(Gateway {
            drive,
            inputs: queue,
            events,
            services,
        })
    }

    /// Runs until a signal; everything that was started has ended when this returns.
    async fn run(self, signals: Signals) -> anyhow::Result<()> {
        let Gateway {
            drive,
            inputs,
            events,
            services,
        } = self;
        let ending = CancellationToken::new();
        let Signals {
            terminate,
            interrupt,
            hangup,
        } = signals;
        tokio::spawn(end(terminate, ending.clone()));
        tokio::spawn(end(interrupt, ending.clone()));
        services.start(|stop| forward_reloads(hangup, drive.inputs.clone(), stop));
        let Config {
            id, site, listen, ..
        } = &drive.running.config;
        tracing::info!(gateway = %id, %site, %listen, "Gateway running");
        let ended = drive.run(inputs, events, ending).await;
        services.stop.cancel();
        services.tasks.close();
        services.tasks.wait().await;
        ended.map_err(anyhow::Error::msg)
    }
}

fn mesh(membership: &Membership, lanes: NonZeroU32) -> anyhow::Result<Mesh> {
    let mut random = [0; 24];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| anyhow::anyhow!("the system has no random bytes"))?;
    let (boot, seed) = random.split_at(16);
    let boot = BootId(boot.try_into().expect("16 of 24 bytes"));
    let seed = u64::from_be_bytes(seed.try_into().expect("8 of 24 bytes"));
    let aead = match Aead::preferred() {
        Aead::Aes128Gcm => ringway_core::Aead::Aes128Gcm,
        Aead::Aes256Gcm => ringway_core::Aead::Aes256Gcm,
        Aead::ChaCha20Poly1305 => ringway_core::Aead::ChaCha20Poly1305,
    };
    let settings = Settings {
        aead,
        lanes,
        ..Settings::default()
    };
    Ok(Mesh::new(
        membership.clone(),
        settings,
        boot,
        seed,
        Instant::now(),
    ))
}

/// The tunnel's sockets: one for each lane, all on the one port.
fn bind(config: &Config) -> anyhow::Result<Vec<Arc<TunnelSocket>>> {
    let sockets: Vec<_> = (0..config.lanes.get())
        .map(|_| bind_one(config))
        .collect::<anyhow::Result<_>>()?;
    dataplane::share_port(&sockets).context("cannot share the tunnel's port between lanes")?;
    Ok(sockets)
}

/// `[::]` takes IPv4 too.
fn bind_one(config: &Config) -> anyhow::Result<Arc<TunnelSocket>> {
    use socket2::{Domain, Protocol, Socket, Type};
    let listen = config.listen;
    let in_use = || format!("cannot listen on {listen}: is another program using the port?");
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM.cloexec(),
        Some(Protocol::UDP),
    )?;
    if let SocketAddr::V6(v6) = listen {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_reuse_port(config.lanes.get() > 1)?;
    socket.bind(&listen.into()).with_context(in_use)?;
    let socket = TunnelSocket::new(socket.into(), config.routes.mark)
        .context("cannot set up the tunnel's UDP socket: ringway needs CAP_NET_ADMIN")?;
    Ok(Arc::new(socket))
}

fn start_packets(
    (device, tun): (Device, Arc<SyncDevice>),
    sockets: Vec<Arc<TunnelSocket>>,
    sink: Sink,
    connected: &[ringway_config::Connected],
) -> anyhow::Result<(Plane, Packets)> {
    let counters = Arc::new(Counters::new());
    let tables = Arc::new(ArcSwap::from_pointee(Snapshot::empty(SiteNo(0))));
    let packets = Packets::new(
        sockets[0].clone(),
        tables.clone(),
        counters.clone(),
        connected,
    );
    Ok((
        Plane::start(
            device,
            tun,
            Parts {
                sockets,
                tables,
                counters,
                sink,
            },
        )?,
        packets,
    ))
}

/// The signals that a daemon heeds, from its first moment: one that comes while it starts is not lost, and
/// kills nothing half set up.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

async fn end(mut signal: Signal, ending: CancellationToken) {
    signal.recv().await;
    ending.cancel();
}

async fn forward_reloads(mut hangup: Signal, inputs: mpsc::Sender<Input>, stop: CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
        // The drive is gone only when the daemon ends.
        let _ = inputs.send(Input::Reload).await;
    }
}
