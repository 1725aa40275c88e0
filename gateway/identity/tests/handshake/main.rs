//! Accepted and refused identities, in real QUIC handshakes, in both roles.
//!
//! [`rows`] is the table; [`world`] and [`openssl`] make the certificates; [`wire`] has both ends
//! of a handshake; [`tunnel`] is the good connection that must not notice anything. That each check
//! of the table is the one that refuses is proved beside the verifier
//! (`src/identity/verify/tests.rs`).

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod lists;
mod nodes;
mod openssl;
#[expect(
    dead_code,
    reason = "which check refuses is for the verifier's own tests"
)]
mod rows;
mod tunnel;
mod wire;
mod world;

use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionError, TransportErrorCode};
use ringway_identity::refusal::said_by_peer;
use ringway_identity::tls::{self, LastRefusal, SERVER_NAME};
use ringway_identity::{Role, Trust};
use rustls::{AlertDescription, NamedGroup, ProtocolVersion};
use rustls_pki_types::UnixTime;
use tokio::time::timeout;

use rows::{As, Row, accepted, reads, rows};
use tunnel::Tunnel;
use wire::{Ended, Gateway, Peer};
use world::{Presented, World, good};

/// Far above a handshake on loopback.
const PATIENCE: Duration = Duration::from_secs(20);

/// One handshake between the gateway and a peer; how it ended at both.
async fn attempt(
    gateway: &Gateway,
    peer: &Peer,
    role: As,
    dialled: &str,
) -> (Ended, ConnectionError) {
    let handshake = async {
        match role {
            As::Client => {
                let (here, there) =
                    tokio::join!(settled(gateway.accept()), peer.dial(gateway.address()));
                (here, there)
            }
            As::Server => {
                let here = settled(gateway.dial(peer.address(), dialled));
                tokio::join!(here, peer.accept())
            }
        }
    };
    timeout(PATIENCE, handshake)
        .await
        .expect("the handshake comes to an end")
}

/// Closes a connection that came about, so that the other side ends too.
async fn settled(ended: impl Future<Output = Ended>) -> Ended {
    let ended = ended.await;
    if let Ok(connection) = &ended.connection {
        connection.close(0_u8.into(), b"");
    }
    ended
}

/// The alert that a peer was sent, in words.
fn told(error: &ConnectionError) -> &'static str {
    let ConnectionError::ConnectionClosed(close) = error else {
        panic!("closed without an alert: {error}")
    };
    let alert = u64::from(close.error_code) - u64::from(TransportErrorCode::crypto(0));
    said_by_peer(AlertDescription::from(u8::try_from(alert).unwrap()))
}

fn check(row: &Row, role: As, here: &Ended, there: &ConnectionError) {
    let Row { name, refusal, .. } = row;
    assert!(
        here.connection.is_err(),
        "{name}, as {role:?}: was accepted"
    );
    let refused = here
        .refused
        .as_ref()
        .unwrap_or_else(|| panic!("{name}, as {role:?}: nothing is logged"));
    let said = refused.refusal.to_string();
    assert!(
        reads(&said, refusal),
        "{name}, as {role:?}: {said:?} is not {refusal:?}"
    );
    let told = told(there);
    assert_ne!(
        told,
        said_by_peer(AlertDescription::InternalError),
        "{name}, as {role:?}: the peer learns no reason"
    );
}

#[tokio::test]
async fn no_attempt_gets_in_and_a_good_tunnel_loses_nothing() {
    let world = World::new();
    let gateway = Gateway::start(&world.config_of("alpha"));
    let friend = Arc::new(Gateway::start(&world.config_of("beta")));
    let mut tunnel = Tunnel::between(&gateway, &friend).await;
    let mut attempts = 0;
    for row in rows() {
        for &role in row.roles {
            let peer = Peer::start((row.forge)(&world), tls::ALPN);
            let (here, there) = attempt(&gateway, &peer, role, row.dialled).await;
            check(&row, role, &here, &there);
            tunnel.works().await;
            attempts += 1;
        }
    }
    assert!(rows().len() >= 20 && attempts >= 40, "{attempts} attempts");
    assert!(tunnel.end().await > attempts);
}

#[tokio::test]
async fn good_certificates_get_in_whichever_tool_made_them() {
    let world = World::new();
    let gateway = Gateway::start(&world.config_of("alpha"));
    for row in accepted() {
        for &role in row.roles {
            let peer = Peer::start((row.forge)(&world), tls::ALPN);
            let (here, _) = attempt(&gateway, &peer, role, row.dialled).await;
            assert_eq!(here.refused, None, "{}, as {role:?}", row.name);
            assert!(here.connection.is_ok(), "{}, as {role:?}", row.name);
        }
    }
}

/// What TLS itself refuses never reaches our verifier; the error says why.
#[tokio::test]
async fn tls_refuses_wrong_protocols_missing_certificates_and_stolen_ones() {
    let world = World::new();
    let gateway = Gateway::start(&world.config_of("alpha"));
    let honest = || world.beta.issue(&good("beta", "gw"));
    let stolen = || Presented {
        key: world::private(&world.revoked),
        ..honest()
    };
    let cases = [
        (
            "wrong protocol",
            As::Client,
            Peer::start(honest(), b"h3"),
            "peer doesn't support any known protocol",
        ),
        (
            "wrong protocol",
            As::Server,
            Peer::start(honest(), b"h3"),
            "peer doesn't support any known protocol",
        ),
        (
            "no certificate",
            As::Client,
            Peer::nobody(honest()),
            "peer sent no certificates",
        ),
        (
            "stolen certificate",
            As::Client,
            Peer::start(stolen(), tls::ALPN),
            "BadSignature",
        ),
        (
            "stolen certificate",
            As::Server,
            Peer::start(stolen(), tls::ALPN),
            "BadSignature",
        ),
    ];
    for (name, role, peer, reason) in cases {
        let (here, _) = attempt(&gateway, &peer, role, "gw.beta").await;
        let error = here.connection.expect_err(name).to_string();
        assert!(error.contains(reason), "{name}, as {role:?}: {error}");
    }
}

/// Settings and sessions are old, the trust is new: nothing is resumed, everything is judged again.
#[tokio::test]
async fn a_member_that_was_removed_does_not_get_in_again() {
    let world = World::new();
    let mut config = world.config_of("alpha");
    let gateway = Gateway::start(&config);
    let peer = Peer::start(world.beta.issue(&good("beta", "gw")), tls::ALPN);
    for role in [As::Client, As::Server] {
        let (here, _) = attempt(&gateway, &peer, role, "gw.beta").await;
        assert!(here.connection.is_ok(), "{role:?}");
    }
    config
        .members
        .retain(|member| member.org.as_str() != "beta");
    let earlier = gateway.trust.load_full();
    gateway.trust.store(Arc::new(
        Trust::build(&config).unwrap().succeeding(&earlier),
    ));
    for role in [As::Client, As::Server] {
        let (here, _) = attempt(&gateway, &peer, role, "gw.beta").await;
        let refused = here.refused.expect("it is logged");
        assert_eq!(
            refused.refusal.to_string(),
            "organization beta is not a member"
        );
        assert_eq!(
            refused.claimed.as_deref(),
            Some("spiffe://beta.consortium.example/gateway/gw")
        );
    }
}

#[test]
fn a_session_ends_with_the_chains_earliest_certificate() {
    let world = World::new();
    let trust = Trust::build(&world.config_of("alpha")).unwrap();
    let hour = time::Duration::hours(1);
    let intermediate = world::ca_params("beta issuing", -hour, hour);
    let chain = world
        .beta
        .issue_through(intermediate, &good("beta", "gw"))
        .chain;
    let verified = trust
        .verify(&chain, Role::Client, None, UnixTime::now())
        .unwrap();
    let seconds = verified.not_after.as_secs() - UnixTime::now().as_secs();
    assert!((3_500..=3_600).contains(&seconds), "{seconds}");
}

/// TLS without QUIC, to see what was agreed on.
#[test]
fn gateways_agree_on_tls_1_3_with_the_post_quantum_hybrid_and_hide_their_names() {
    let world = World::new();
    let (alpha, beta) = (world.config_of("alpha"), world.config_of("beta"));
    let trust = |config| {
        Arc::new(arc_swap::ArcSwap::from_pointee(
            Trust::build(config).unwrap(),
        ))
    };
    let identity = |config: &ringway_config::Config| {
        let trust = Trust::build(config).unwrap();
        ringway_identity::Identity::load(&config.identity, &config.id, &trust, UnixTime::now())
            .unwrap()
    };
    let log = Arc::<LastRefusal>::default;
    let server = tls::server_config(trust(&beta), &identity(&beta), tls::ALPN, log());
    let dialled = "gw.beta".parse().unwrap();
    let client = tls::client_config(trust(&alpha), &identity(&alpha), dialled, tls::ALPN, log());
    let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    let name = SERVER_NAME.try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();

    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        server.read_tls(&mut flight.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        client.read_tls(&mut flight.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }

    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(
        client.negotiated_key_exchange_group().unwrap().name(),
        NamedGroup::X25519MLKEM768
    );
    assert_eq!(client.alpn_protocol(), Some(tls::ALPN));
    assert_eq!(server.server_name(), None);
    assert_eq!(client.tls13_tickets_received(), 0);
}
