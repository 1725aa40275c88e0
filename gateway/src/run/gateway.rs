//! [`Gateway`]: all parts of a gateway, with sockets bound and services connected; [`Gateway::run`]
//! runs them.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use quinn::Endpoint;
use ringway_config::{Accepted, Config, Policy};
use ringway_core::{BootId, Membership, Settings};
use ringway_dataplane::{Aead, Counters, Shared, SiteNo, Snapshot, TunnelSocket};
use ringway_filter::{Filter, Settings as FilterSettings};
use ringway_host::links::SharedScope;
use ringway_host::watch::Authors;
use ringway_identity::{Identity, Trust};
use ringway_intent::Scope;
use ringway_shell::{CurrentConfig, Shell, Start, membership};
use rustls_pki_types::UnixTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::kernel::Kernel;
use super::names::{bind_dns, open_names};
use super::signals::Outside;
use super::{blocking, random, sockets};
use crate::admin::attention::Beginnings;
use crate::admin::socket::{FileListener, SocketGroup};
use crate::admin::{self, Metrics, Requests};
use crate::attention::Attention;
use crate::drive::{
    Drive, Heartbeat, InForce, Jobs, KernelPort, Links, LocalGateway, Packets, Questions, Queues,
    Reloads, Stored, boot_time, queues, wall_time,
};
use crate::features;
use crate::ha::Ha;
use crate::http::{self, Answers};
use crate::kubernetes::Kubernetes;
use crate::plane::{Parts, Plane, Sink};
use crate::policy;
use crate::prepare::Prepared;
use crate::quic::accept::{self, PeerAddresses};
use crate::quic::dial::Dialler;
use crate::quic::endpoint::{self, EndpointKeys, Tls};
use crate::quic::event;
use crate::quic::refusals::Refusals;
use crate::quic::socket::Inlet;
use crate::service_manager::ServiceManager;
use crate::state::{ServiceNames, StateFiles};
use crate::tasks::Tasks;
use crate::watch;
use crate::wireguard::{ClientDevice, Clients};

/// Consequence, for the finding, when the endpoint's keys cannot be stored.
const KEYS_LOST: &str =
    "the keys of stateless resets are not stored, so that peers notice a restart later";

/// State from earlier runs, and where this run reports what it cannot store.
pub(super) struct State {
    /// The newest accepted records.
    pub(super) accepted: Accepted,
    /// Policies that earlier runs may have had in force.
    pub(super) former_policies: Vec<Policy>,
    pub(super) stored: Stored,
    pub(super) attention: Attention,
    /// Receives the state of this run.
    pub(super) service: ServiceManager,
}

/// A gateway that is ready for its loop.
pub(super) struct Gateway {
    drive: Drive,
    queues: Queues,
    reloads: mpsc::Sender<()>,
    config: Arc<Config>,
    tasks: Tasks,
}

impl Gateway {
    /// Binds every socket and starts every service. The kernel objects are already set up.
    pub(super) async fn bind(
        prepared: Prepared,
        state: State,
        kernel: Kernel,
        admin: FileListener,
    ) -> anyhow::Result<Gateway> {
        let tasks = Tasks::default();
        let (senders, queues) = queues();
        let config = Arc::new(prepared.config);
        let members = Arc::new(membership(&config, &prepared.rulings));

        // Before the server answers: otherwise members' names fail until each peer is connected.
        let (names, mut replicator, health, services) =
            open_names(&config, &members, prepared.zone, &state.attention).await?;
        let kubernetes = follow_services(&config, services, &senders.watches, &state, &tasks);
        replicator.set_services(kubernetes.origin());
        let (server, metrics) = bind_dns(&config, &names, &kernel.links, &state, &tasks).await?;

        // Shared with the TLS stack: what a reload stores here applies to the next handshake.
        let trust = Arc::new(ArcSwap::from_pointee(prepared.trust));
        let identity = Arc::new(ArcSwap::from_pointee(prepared.identity));
        let tls = Arc::new(Tls::new(trust.clone(), identity.clone())?);

        let sockets = sockets::bind(&config)?;
        let (endpoint, inlet) = open_endpoint(&config, &sockets, &tls, &state.stored.files).await?;
        let (packets, parts) = data_path(&config, sockets, inlet, senders.packets, &tasks)?;
        let events = senders.watches.clone();
        let wireguard = serve_clients(&config, kernel.clients, &parts, events, &state, &tasks);
        let plane = Plane::start(kernel.device, kernel.tun, parts)?;

        // The DNS server drains: it answers queries that it has already received.
        tasks.spawn_to_end(server.run(tasks.stop()));
        let requests = Requests::new(senders.requests);
        serve_http(&config, &requests, &metrics, &state.attention, &tasks);
        let serving = admin::socket::serve(admin, requests, kernel.guard.clone(), metrics);
        tasks.spawn(serving);
        // Accept peers only once everything that they may ask for is ready.
        let links = start_links(endpoint, tls, trust.clone(), senders.links, &tasks, &config);
        let (view, authors) = start_watches(&config, &identity, senders.watches, &tasks);
        state.stored.spawn_retries(&config.state_dir, &tasks);

        let current = CurrentConfig {
            config: config.clone(),
            rulings: prepared.rulings,
            connected: prepared.connected,
            links: kernel.links,
            accepted: state.accepted.into_keys().collect(),
            certificate: identity.load().fingerprint(),
            held: prepared.held,
        };
        let start = start(current, members, state.former_policies, &state.stored)?;
        let drive = Drive {
            beginnings: Beginnings::default(),
            lists_seen: UnixTime::now(),
            shell: Shell::new(start, Instant::now()),
            links,
            packets,
            kernel: KernelPort::new(kernel.routes, kernel.guard, kernel.devices, authors, plane),
            jobs: Jobs::new(senders.jobs, tasks.clone()),
            in_force: InForce::new(config.clone(), trust, identity, names, view, state.stored),
            replicator,
            health,
            kubernetes,
            ha: Ha::start(&config, &state.attention, &tasks),
            wireguard,
            attention: state.attention,
            reloads: Reloads::default(),
            questions: Questions::default(),
            heartbeat: Heartbeat::new(state.service),
            started: SystemTime::now(),
            tasks: tasks.clone(),
        };
        Ok(Gateway {
            drive,
            queues,
            reloads: senders.reloads,
            config,
            tasks,
        })
    }

    /// Runs until a signal. When this returns, every task has ended.
    pub(super) async fn run(self, outside: Outside) {
        let stop = CancellationToken::new();
        outside.forward(&stop, &self.config, self.reloads, &self.tasks);
        let Config {
            id, site, listen, ..
        } = &*self.config;
        tracing::info!(gateway = %id, %site, %listen, "Gateway running");
        self.drive.heartbeat.service().serves();

        self.drive.run(self.queues, stop).await;
        self.tasks.end().await;
    }
}

/// Opens the QUIC endpoint on the first lane's socket. The other lanes carry data packets only.
async fn open_endpoint(
    config: &Config,
    sockets: &[Arc<TunnelSocket>],
    tls: &Tls,
    files: &Arc<StateFiles>,
) -> anyhow::Result<(Endpoint, Inlet)> {
    let dir = config.state_dir.clone();
    let files = files.clone();
    let keys = blocking(move || {
        let (keys, stored) = EndpointKeys::load_or_make(&dir)?;
        // Start all the same: only after the next restart would peers not recognize its resets.
        if stored.is_err() {
            let keys = keys.clone();
            files.store("state endpoint-keys", KEYS_LOST, move || {
                Ok(keys.store(&dir)?)
            });
        }
        Ok(keys)
    })
    .await?;

    endpoint::open(sockets[0].socket(), &keys, tls)
}

/// Serves WireGuard clients if the file has `[wireguard]`.
fn serve_clients(
    config: &Arc<Config>,
    device: Option<ClientDevice>,
    parts: &Parts,
    events: mpsc::Sender<watch::Event>,
    state: &State,
    tasks: &Tasks,
) -> Option<Clients> {
    let (device, settings) = device.zip(config.wireguard.clone())?;
    let clients = Clients::of(&config.nodes.list);

    tasks.spawn(clients.clone().serve(
        config.clone(),
        settings,
        device,
        parts.shared.snapshot.clone(),
        events,
        state.attention.clone(),
    ));
    Some(clients)
}

/// Follows Kubernetes Services, if the file says which. Their `names` are those of before.
fn follow_services(
    config: &Config,
    names: Arc<ServiceNames>,
    events: &mpsc::Sender<watch::Event>,
    state: &State,
    tasks: &Tasks,
) -> Kubernetes {
    let attention = state.attention.clone();
    let mut kubernetes = Kubernetes::new(names, attention, events.clone(), tasks.clone());

    kubernetes.follow(config);
    kubernetes
}

/// Serves metrics and health if the file configures it.
fn serve_http(
    config: &Config,
    requests: &Requests,
    metrics: &Metrics,
    attention: &Attention,
    tasks: &Tasks,
) {
    let Some(listen) = config.http.clone() else {
        return;
    };

    let place = http::Place {
        listen,
        group: SocketGroup::of(config),
    };
    let answers = Answers {
        requests: requests.clone(),
        metrics: metrics.clone(),
    };
    tasks.spawn(http::serve(place, answers, attention.clone()));
}

/// Starts to dial and accept peers.
fn start_links(
    endpoint: Endpoint,
    tls: Arc<Tls>,
    trust: Arc<ArcSwap<Trust>>,
    events: mpsc::Sender<event::Event>,
    tasks: &Tasks,
    config: &Config,
) -> Links {
    let peers = PeerAddresses::default();
    let dialler = Dialler::new(endpoint.clone(), tls.clone(), events.clone(), tasks.clone());
    let refusals = Arc::new(Refusals::default());
    let links = Links::new(
        dialler,
        peers.clone(),
        trust,
        refusals.clone(),
        events.clone(),
    );

    // An attached node is never dialled, so it accepts no connections.
    if config.attach.is_some() {
        endpoint.set_server_config(None);
        return links;
    }

    let accepting = accept::accept(endpoint, tls, peers, refusals, events, tasks.clone());
    tasks.spawn(accepting);
    links
}

/// Makes the data plane and its port. Both share the tables, the counters and the filter.
fn data_path(
    config: &Config,
    sockets: Vec<Arc<TunnelSocket>>,
    inlet: Inlet,
    events: mpsc::Sender<ringway_dataplane::Event>,
    tasks: &Tasks,
) -> anyhow::Result<(Packets, Parts)> {
    // With these empty tables no packet has a route until the shell publishes the first ones.
    let settings = FilterSettings::of(&config.policy);
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty(SiteNo(0)))),
        counters: Arc::new(Counters::new()),
        filter: Arc::new(Filter::new(&settings, random()?, Instant::now())),
    };
    let local = LocalGateway {
        domain: config.own.domain.clone(),
        id: config.id.clone(),
    };

    tasks.spawn(policy::log::log(shared.clone()));
    let packets = Packets::new(sockets[0].clone(), shared.clone(), settings, local);
    let parts = Parts {
        sockets,
        shared,
        sink: Sink { inlet, events },
    };
    Ok((packets, parts))
}

/// Starts the watches. Returns their scope, and the authors of changes that they see.
fn start_watches(
    config: &Config,
    identity: &Arc<ArcSwap<Identity>>,
    events: mpsc::Sender<watch::Event>,
    tasks: &Tasks,
) -> (SharedScope, Authors) {
    let scope = SharedScope::new(ArcSwap::from_pointee(Scope::of(config)));
    let authors = Authors::new(config.tun.as_str(), config.routes.table);

    tasks.spawn(watch::kernel::watch_routes(
        authors.clone(),
        scope.clone(),
        events.clone(),
    ));
    tasks.spawn(watch::kernel::watch_nftables(
        authors.clone(),
        events.clone(),
    ));
    tasks.spawn(watch::certificate::watch(
        config.identity.clone(),
        identity.clone(),
        events.clone(),
    ));
    tasks.spawn(watch::links::watch(
        config.tun.clone(),
        scope.clone(),
        events,
    ));
    (scope, authors)
}

fn start(
    current: CurrentConfig,
    members: Arc<Membership>,
    former_policies: Vec<Policy>,
    stored: &Stored,
) -> anyhow::Result<Start> {
    let random: [u8; 24] = random()?;
    let (boot, seed) = random.split_at(16);

    // The core has its own enum, because it does not depend on the data plane.
    let aead = match Aead::preferred() {
        Aead::Aes128Gcm => ringway_core::Aead::Aes128Gcm,
        Aead::Aes256Gcm => ringway_core::Aead::Aes256Gcm,
        Aead::ChaCha20Poly1305 => ringway_core::Aead::ChaCha20Poly1305,
    };
    let preference = current.config.ha.preference.into();
    let lanes = current.config.lanes;
    Ok(Start {
        current,
        membership: members,
        derive: membership,
        settings: Settings {
            aead,
            lanes,
            features: features::bits(),
            preference,
            secret: stored.secrets.own(),
            sibling_secrets: stored.secrets.siblings().clone(),
            starts: stored.secrets.starts(),
            ..Settings::default()
        },
        boot: BootId(boot.try_into().expect("16 of 24 bytes")),
        former_policies,
        seed: u64::from_be_bytes(seed.try_into().expect("8 of 24 bytes")),
        boot_time: boot_time(),
        wall_time: wall_time(),
    })
}
