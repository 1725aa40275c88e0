//! A gateway that means ill: `ringway-ill-owner <gateway.toml> <peer> <what>` dials `peer` with the identity
//! that the file names, by Ringway's own TLS, says its `Hello`, answers probes, and does what `ill_owner` lists.
//! When a session ends, it begins again, until it is killed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use arc_swap::ArcSwap;
use clap::Parser;
use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, TokioRuntime};
use ringway::names::{others, own_apex};
use ringway::prepare::{Prepared, prepare};
use ringway::quic::endpoint::Tls;
use ringway_config::{Config, GatewayId};
use ringway_core::message::VERSIONS;
use ringway_core::{
    Aead, BootId, Decoder, Hello, Incoming, Lane, Message, SessionIndex, ZoneMessage,
};
use ringway_identity::tls::{LastRefusal, SERVER_NAME};
use ringway_tests::ill_owner::{Ill, Keys, Parcel, Pulse};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// What its `Hello` says of packets.
const LANE: Lane = Lane {
    index: SessionIndex(7),
    aead: Aead::Aes128Gcm,
};

#[derive(Parser)]
struct Arguments {
    /// The `gateway.toml` of who it is.
    config: PathBuf,
    /// Whom it dials.
    peer: GatewayId,
    /// What it does.
    what: Ill,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { config, peer, what } = Arguments::parse();
    let Prepared {
        config,
        trust,
        identity,
        ..
    } = prepare(&config)
        .await
        .map_err(|faults| anyhow!("{faults}"))?;
    let tls = Tls::new(
        Arc::new(ArcSwap::from_pointee(trust)),
        Arc::new(ArcSwap::from_pointee(identity)),
    )?;
    let another = others(&config)
        .into_iter()
        .find(|apex| *apex != config.own.domain.zone_of(&peer.org));
    let parcel = Parcel::new(
        what,
        &own_apex(&config),
        &another.context("a third organization")?,
    )?;
    let pulse = Pulse::bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        None,
        pulse.clone(),
        runtime,
    )?;
    loop {
        let settings = tls.client(peer.clone(), Arc::new(LastRefusal::default()));
        let connection = endpoint
            .connect_with(settings, address(&config, &peer)?, SERVER_NAME)?
            .await;
        let error = match connection {
            Ok(connection) => {
                let Err(error) = play(&connection, &pulse, (&config, &peer), &parcel).await;
                error
            }
            Err(error) => error.into(),
        };
        println!("{error:#}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// One session, up to its end.
async fn play(
    connection: &Connection,
    pulse: &Pulse,
    (config, peer): (&Config, &GatewayId),
    parcel: &Parcel,
) -> Result<std::convert::Infallible> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&Message::Hello(hello()?).encode()).await?;
    let mut decoder = Decoder::default();
    loop {
        match next(&mut decoder, &mut receive).await? {
            Message::Hello(theirs) => {
                let [me, them] = [&config.id, peer].map(|id| id.spiffe(&config.own.domain));
                let lane = *theirs.lanes.first().context("it has no lane")?;
                pulse.beat(Keys::of(connection, (&me, &them), LANE, lane)?);
                send.write_all(&parcel.offer().encode()).await?;
            }
            Message::Zone(ZoneMessage::Fetch { apex, .. }) if apex == parcel.apex => {
                for (pause, piece) in parcel.data() {
                    tokio::time::sleep(pause).await;
                    send.write_all(&piece.encode()).await?;
                }
            }
            _ => {}
        }
    }
}

async fn next(decoder: &mut Decoder, receive: &mut RecvStream) -> Result<Message> {
    loop {
        match decoder.next()? {
            Some(Incoming::Message(message)) => return Ok(message),
            Some(Incoming::Malformed { .. }) => {}
            None => match receive.read_chunk(64 * 1024, true).await? {
                Some(chunk) => decoder.push(&chunk.bytes),
                None => bail!("the peer has nothing more to say"),
            },
        }
    }
}

/// Of a daemon that was started just now.
fn hello() -> Result<Hello> {
    let boot = BootId(UNIX_EPOCH.elapsed()?.as_nanos().to_be_bytes());
    let lanes = vec![LANE];
    let versions = (*VERSIONS.start(), *VERSIONS.end());
    Ok(Hello {
        versions,
        features: 0,
        boot,
        replaces: 0,
        lanes,
        records: BTreeMap::new(),
    })
}

fn address(config: &Config, peer: &GatewayId) -> Result<SocketAddr> {
    let member = config
        .members
        .iter()
        .find(|member| member.org == peer.org)
        .context("no such member")?;
    let gateway = member
        .gateways
        .iter()
        .find(|gateway| gateway.name == peer.name)
        .context("no such gateway")?;
    let endpoint = gateway.endpoints.first().context("it has no endpoint")?;
    let address = endpoint.host.address().context("the endpoint is a name")?;
    Ok(SocketAddr::new(address, endpoint.port))
}
