//! A malicious gateway: `ringway-malicious-owner <gateway.toml> <peer> <attack>`.
//!
//! It dials `peer` with the identity of the file and with Ringway's TLS, sends its `Hello`, answers
//! probes, and does what `ringway_tests::malicious_owner` lists. When a session ends it dials
//! again, until it is killed.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use arc_swap::ArcSwap;
use clap::Parser;
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime};
use ringway::names::{others, own_apex};
use ringway::prepare::prepare;
use ringway::quic::endpoint::Tls;
use ringway_config::{Config, GatewayId};
use ringway_core::{Decoder, Message, ZoneMessage};
use ringway_identity::tls::{LastRefusal, SERVER_NAME};
use ringway_tests::malicious_owner::{Attack, Delivery, EchoSocket, Keys};
use ringway_tests::raw_session::{LANE, hello, next_message};

/// Pause between two attempts to dial.
const REDIAL_PAUSE: Duration = Duration::from_millis(200);

#[derive(Parser)]
struct Arguments {
    /// The `gateway.toml` of the gateway to impersonate
    config: PathBuf,
    /// The gateway to dial
    peer: GatewayId,
    /// What to do
    attack: Attack,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments {
        config,
        peer,
        attack,
    } = Arguments::parse();
    let prepared = prepare(&config)
        .await
        .map_err(|faults| anyhow!("{faults}"))?;
    let config = prepared.config;
    let tls = Tls::new(
        Arc::new(ArcSwap::from_pointee(prepared.trust)),
        Arc::new(ArcSwap::from_pointee(prepared.identity)),
    )?;
    let foreign = others(&config)
        .into_iter()
        .find(|apex| *apex != config.own.domain.zone_of(&peer.org))
        .context("there is no third organization")?;
    let delivery = Delivery::new(attack, &own_apex(&config), &foreign)?;

    let socket = EchoSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let endpoint = Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        None,
        socket.clone(),
        Arc::new(TokioRuntime),
    )?;
    loop {
        let settings = tls
            .client(peer.clone(), Arc::new(LastRefusal::default()))
            .config;
        let connecting = endpoint.connect_with(settings, address(&config, &peer)?, SERVER_NAME)?;
        let error = match connecting.await {
            Ok(connection) => {
                let Err(error) = run_session(&connection, &socket, &config, &peer, &delivery).await;
                error
            }
            Err(error) => error.into(),
        };

        println!("{error:#}");
        tokio::time::sleep(REDIAL_PAUSE).await;
    }
}

/// Runs one session until it fails.
async fn run_session(
    connection: &Connection,
    socket: &EchoSocket,
    config: &Config,
    peer: &GatewayId,
    delivery: &Delivery,
) -> Result<Infallible> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&Message::Hello(hello(0)?).encode()).await?;

    let mut decoder = Decoder::default();
    loop {
        match next_message(&mut decoder, &mut receive).await? {
            Message::Hello(theirs) => {
                let dialler = config.id.spiffe(&config.own.domain);
                let dialled = peer.spiffe(&config.own.domain);
                let lane = *theirs.lanes.first().context("the peer has no lane")?;
                socket.answer_probes_of(Keys::of(connection, &dialler, &dialled, LANE, lane)?);
                send.write_all(&delivery.offer().encode()).await?;
            }
            Message::Zone(ZoneMessage::Fetch { apex, .. }) if apex == delivery.apex => {
                for message in delivery.messages() {
                    tokio::time::sleep(delivery.pause()).await;
                    send.write_all(&message.encode()).await?;
                }
            }
            _ => {}
        }
    }
}

/// The first endpoint of `peer`, which must be an address.
fn address(config: &Config, peer: &GatewayId) -> Result<SocketAddr> {
    let member = config
        .members
        .iter()
        .find(|member| member.org == peer.org)
        .context("the peer's organization is not a member")?;
    let gateway = member
        .gateways
        .iter()
        .find(|gateway| gateway.name == peer.name)
        .context("the peer's record does not list it")?;
    let endpoint = gateway
        .endpoints
        .first()
        .context("the peer has no endpoint")?;
    let address = endpoint
        .host
        .address()
        .context("the peer's first endpoint is a name")?;
    Ok(SocketAddr::new(address, endpoint.port))
}
