//! Many attached nodes in one process, for `tests/bench/nodes`: `ringway-nodes <gateway.toml> --ca
//! <directory> --gateway <address> --count <n>`.
//!
//! Each one is `n<number>` of the file's organization, with a certificate, a socket and a session
//! of its own. It says `Hello`, announces the prefix of its number, probes the gateway as an idle
//! node does, and answers its probes; it has no TUN device. Prints "up" when all have a session,
//! and ends when one of them does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use arc_swap::ArcSwap;
use clap::Parser;
use quinn::{Connection, Endpoint, EndpointConfig, SendStream, TokioRuntime};
use ringway::quic::endpoint::Tls;
use ringway_config::{Config, GatewayId, NodeName, Prefix};
use ringway_core::message::{ATTACH, SIBLINGS};
use ringway_core::{Decoder, Message};
use ringway_identity::create::Authority;
use ringway_identity::tls::{LastRefusal, SERVER_NAME};
use ringway_identity::{Identity, Trust};
use ringway_tests::malicious_owner::{EchoSocket, Keys};
use ringway_tests::raw_session::{LANE, hello, next_message};
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A node's pace (`Settings::for_uplinks` of ringway-core).
const PROBES: Duration = Duration::from_millis(100);

/// Handshakes at a time: a gateway lets 16 of one network wait.
const DIALS: usize = 8;

#[derive(Parser)]
struct Arguments {
    /// The `gateway.toml` of another gateway of the organization, which lists the nodes
    config: PathBuf,
    /// The directory of the organization's CA
    #[arg(long)]
    ca: PathBuf,
    /// Where the gateway listens
    #[arg(long)]
    gateway: SocketAddr,
    /// How many nodes
    #[arg(long)]
    count: u16,
}

/// What all nodes have in common.
struct Common {
    config: Config,
    trust: Arc<ArcSwap<Trust>>,
    authority: Authority,
    gateway: SocketAddr,
    dials: Semaphore,
    /// Where certificates and keys are put.
    dir: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load(&arguments.config).map_err(|faults| anyhow!("{faults}"))?;
    let trust = Trust::build(&config).map_err(|faults| anyhow!("{faults}"))?;
    let read = |name: &str| fs::read_to_string(arguments.ca.join(name));
    let common = Arc::new(Common {
        trust: Arc::new(ArcSwap::from_pointee(trust)),
        authority: Authority::read(&read("ca.crt")?, &read("ca.key")?)?,
        gateway: arguments.gateway,
        dials: Semaphore::new(DIALS),
        dir: arguments.config.with_file_name("nodes"),
        config,
    });
    fs::create_dir_all(&common.dir)?;

    let (ready, mut is_ready) = tokio::sync::mpsc::channel(arguments.count.into());
    let mut nodes = JoinSet::new();
    for number in 0..arguments.count {
        let (common, ready) = (common.clone(), ready.clone());
        nodes.spawn(async move {
            let Err(error) = run_node(&common, number, ready).await;
            error.context(format!("n{number}"))
        });
    }

    let mut up = 0;
    loop {
        tokio::select! {
            Some(()) = is_ready.recv() => {
                up += 1;
                if up == arguments.count {
                    println!("up");
                }
            }
            Some(ended) = nodes.join_next() => return Err(ended?),
        }
    }
}

/// Runs one node until its session fails.
async fn run_node(
    common: &Common,
    number: u16,
    ready: tokio::sync::mpsc::Sender<()>,
) -> Result<Infallible> {
    let name: NodeName = format!("n{number}").parse()?;
    let id = GatewayId::of_node(&name, &common.config.own.org);
    let gateways = &common.config.own.gateways;
    let gateway = gateways
        .iter()
        .find(|gateway| gateway.name.node().is_none());
    let gateway = gateway.context("the record has no gateway")?;
    let peer = GatewayId {
        name: gateway.name.clone(),
        org: id.org.clone(),
    };

    let (connection, socket) = {
        let _turn = common.dials.acquire().await?;
        let tls = Tls::new(common.trust.clone(), identity(common, &id)?)?;
        let settings = tls
            .client(peer.clone(), Arc::new(LastRefusal::default()))
            .config;
        let socket = EchoSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            socket.clone(),
            Arc::new(TokioRuntime),
        )?;
        let connecting = endpoint.connect_with(settings, common.gateway, SERVER_NAME)?;
        (connecting.await?, socket)
    };
    let domain = &common.config.own.domain;
    let ids = [id.spiffe(domain), peer.spiffe(domain)];
    attach(&connection, &socket, &ids, number, ready).await
}

/// Runs the session of the node with this number until it fails.
async fn attach(
    connection: &Connection,
    socket: &EchoSocket,
    ids: &[String; 2],
    number: u16,
    ready: tokio::sync::mpsc::Sender<()>,
) -> Result<Infallible> {
    let [dialler, dialled] = ids;
    let (mut send, mut receive) = connection.open_bi().await?;
    say(&mut send, &Message::Hello(hello(ATTACH | SIBLINGS)?)).await?;
    let mut decoder = Decoder::default();
    let theirs = loop {
        if let Message::Hello(theirs) = next_message(&mut decoder, &mut receive).await? {
            break theirs;
        }
    };
    let lane = *theirs.lanes.first().context("the gateway has no lane")?;
    socket.answer_probes_of(Keys::of(connection, dialler, dialled, LANE, lane)?);
    let announce = Message::Announce {
        serial: 1,
        prefixes: BTreeSet::from([prefix(number)?]),
    };
    say(&mut send, &announce).await?;
    ready.send(()).await?;

    // Not all at the same time.
    tokio::time::sleep(PROBES * u32::from(number % 100) / 100).await;
    let mut pace = tokio::time::interval(PROBES);
    loop {
        tokio::select! {
            _ = pace.tick() => socket.probe(connection.remote_address())?,
            message = next_message(&mut decoder, &mut receive) => drop(message?),
        }
    }
}

/// `10.9.<high>.<low>`, as `tests/bench/nodes` lists it at the gateway.
fn prefix(number: u16) -> Result<Prefix> {
    let [high, low] = number.to_be_bytes();

    Ok(format!("10.9.{high}.{low}/32").parse()?)
}

/// A certificate and a key for `id`.
fn identity(common: &Common, id: &GatewayId) -> Result<Arc<ArcSwap<Identity>>> {
    let domain = &common.config.own.domain;
    let issued = common
        .authority
        .issue(id, domain, OffsetDateTime::now_utc())?;
    let paths = ringway_config::Identity {
        certificate: file(&common.dir, "crt", &issued.certificate)?,
        key: file(&common.dir, "key", &issued.key)?,
    };
    let trust = common.trust.load();

    let identity = Identity::load(&paths, id, &trust, UnixTime::now());
    let identity = identity.map_err(|faults| anyhow!("{faults}"))?;
    Ok(Arc::new(ArcSwap::from_pointee(identity)))
}

fn file(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    ringway_config::disk::replace(&path, text.as_bytes(), ringway_config::disk::Access::Owner)?;
    Ok(path)
}

async fn say(send: &mut SendStream, message: &Message) -> Result<()> {
    Ok(send.write_all(&message.encode()).await?)
}
