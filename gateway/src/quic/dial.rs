//! Dials a peer: races the addresses of all its endpoints (`race`) and resolves their names at the
//! same time (`resolve`), until one handshake succeeds. The mesh decides when to dial which peer,
//! and how long to wait after a failure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use quinn::{ClientConfig, Connection, Endpoint};
use ringway_config::{Endpoint as Target, GatewayId};
use ringway_core::{ConnectionError, DialError, DialId, ExternalText};
use ringway_identity::tls::{LastRefusal, SERVER_NAME};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::dialled::Dialled;
use super::endpoint::Tls;
use super::event::{Event, Handshake};
use super::race::{Candidate, Race};
use super::refusal;
use super::resolve::Resolver;
use crate::tasks::Tasks;

/// Time limit of a handshake. The mesh's limit for a whole dial is no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Starts and abandons dials.
pub struct Dialler {
    endpoint: Endpoint,
    tls: Arc<Tls>,
    resolver: Arc<Resolver>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
    dialled: Dialled,
    under_way: BTreeMap<DialId, (GatewayId, AbortHandle)>,
}

impl Dialler {
    /// Dials from `endpoint` with `tls`. Results go to `events`.
    pub fn new(
        endpoint: Endpoint,
        tls: Arc<Tls>,
        events: mpsc::Sender<Event>,
        tasks: Tasks,
    ) -> Dialler {
        Dialler {
            endpoint,
            tls,
            resolver: Arc::new(Resolver::new(tasks.clone())),
            events,
            tasks,
            dialled: Dialled::default(),
            under_way: BTreeMap::new(),
        }
    }

    /// Results of the last dials.
    pub fn dialled(&self) -> &Dialled {
        &self.dialled
    }

    /// Starts a dial. It ends as an [`Event::Dialled`] or [`Event::DialFailed`].
    pub fn start(&mut self, dial: DialId, peer: GatewayId, targets: Vec<Target>) {
        let endpoint = self.endpoint.clone();
        let tls = self.tls.clone();
        let resolver = self.resolver.clone();
        let events = self.events.clone();
        let results = self.dialled.clone();
        let dialled_peer = peer.clone();

        let attempt = self.tasks.spawn(async move {
            let refused = Arc::new(LastRefusal::default());
            let client = tls.client(peer.clone(), refused.clone());
            let all = Dial {
                endpoint: &endpoint,
                resolver: &resolver,
                peer: &peer,
                targets: &targets,
                config: client.config,
                refused,
                results,
            };
            // quinn closes the other attempts when their futures are dropped.
            let dialled = all.race().await.map(|connection| Handshake {
                connection,
                certificate: client.certificate,
            });
            drop(all);
            let event = match dialled {
                Ok(handshake) => Event::Dialled {
                    dial,
                    peer,
                    handshake,
                },
                Err(error) => Event::DialFailed { dial, error },
            };
            // The receiver is gone only when the daemon ends.
            let _ = events.send(event).await;
        });
        self.under_way.insert(dial, (dialled_peer, attempt));
    }

    /// Forgets a dial whose result has arrived.
    pub fn finish(&mut self, dial: DialId) {
        self.under_way.remove(&dial);
    }

    /// Ends a dial without a result, if there is none yet.
    pub fn abandon(&mut self, dial: DialId) {
        if let Some((peer, attempt)) = self.under_way.remove(&dial) {
            attempt.abort();
            self.dialled.abandoned(&peer);
        }
    }
}

/// Index of the endpoint, and the result of the handshake with one of its addresses.
type Attempted = (usize, Result<Connection, DialError>);

/// The state that all attempts of a dial share. The first completed handshake wins.
struct Dial<'a> {
    endpoint: &'a Endpoint,
    resolver: &'a Resolver,
    peer: &'a GatewayId,
    targets: &'a [Target],
    config: ClientConfig,
    refused: Arc<LastRefusal>,
    results: Dialled,
}

impl Dial<'_> {
    async fn race(&self) -> Result<Connection, DialError> {
        let mut lookups: FuturesUnordered<_> = (0..self.targets.len())
            .map(|index| async move { (index, self.resolve(index).await) })
            .collect();
        let mut attempts: FuturesUnordered<BoxFuture<'_, Attempted>> = FuturesUnordered::new();
        let mut race = Race::new(Instant::now());
        let mut failures = Failures::default();

        loop {
            tokio::select! {
                Some((index, resolved)) = lookups.next() => match resolved {
                    Ok(addresses) => {
                        self.results.begun(self.peer, &self.targets[index]);
                        race.add(index, addresses);
                    }
                    Err(error) => {
                        self.results.failed(self.peer, &self.targets[index], &error);
                        failures.record(error);
                    }
                },
                Some((index, attempt)) = attempts.next() => match attempt {
                    Ok(connection) => {
                        self.resolver.confirm(&self.targets[index].host.to_string());
                        self.results.connected(self.peer, &self.targets[index]);
                        return Ok(connection);
                    }
                    Err(error) => {
                        let error = self.explain(index, error);
                        self.results.failed(self.peer, &self.targets[index], &error);
                        failures.record(error);
                        // The next address may start now.
                        race.failed(Instant::now());
                    }
                },
                () = begin(race.next_start()), if race.next_start().is_some() => {
                    if let Some(candidate) = race.begin(Instant::now()) {
                        attempts.push(self.attempt(candidate).boxed());
                    }
                }
                // All names are resolved, and no attempt is running.
                else => return Err(failures.result(self.targets)),
            }
        }
    }

    async fn attempt(&self, candidate: Candidate) -> Attempted {
        let config = self.config.clone();
        let result = handshake(self.endpoint, config, candidate.address).await;

        (candidate.endpoint, result)
    }

    /// Replaces our own alert by the reason for which we refused the certificate.
    fn explain(&self, index: usize, error: DialError) -> DialError {
        match self.refused.take() {
            Some(refused) => DialError::PeerRefused {
                endpoint: self.targets[index].clone(),
                reason: ExternalText::new(refused.refusal),
            },
            None => error,
        }
    }

    async fn resolve(&self, index: usize) -> Result<Vec<SocketAddr>, DialError> {
        let target = &self.targets[index];
        let found = self.resolver.addresses(&target.host.to_string()).await?;
        let local = self
            .endpoint
            .local_addr()
            .map_err(|error| local_error(target, &error))?;

        let usable: Vec<_> = found
            .into_iter()
            .map(|address| SocketAddr::new(address, target.port))
            .filter(|address| reachable_from(local, *address))
            .collect();

        if usable.is_empty() {
            return Err(DialError::AddressFamily {
                host: target.host.to_string(),
                local,
            });
        }
        Ok(usable)
    }
}

/// Waits until the next address may start.
async fn begin(at: Option<Instant>) {
    if let Some(at) = at {
        sleep_until(at).await;
    }
}

/// Keeps the most informative failure: an answer of the peer is worth more than silence, and
/// silence more than an error on this host.
#[derive(Default)]
struct Failures(Option<DialError>);

impl Failures {
    fn record(&mut self, error: DialError) {
        if self
            .0
            .as_ref()
            .is_none_or(|known| weight(known) <= weight(&error))
        {
            self.0 = Some(error);
        }
    }

    fn result(self, targets: &[Target]) -> DialError {
        // Not reached: the mesh dials no gateway without endpoints, and each has failed by now.
        self.0.unwrap_or_else(|| DialError::Resolve {
            host: targets
                .first()
                .map(|target| target.host.to_string())
                .unwrap_or_default(),
            error: ExternalText::new("it has no address"),
        })
    }
}

fn weight(error: &DialError) -> u8 {
    match error {
        DialError::PeerRefused { .. } => 3,
        DialError::Handshake(ConnectionError::TimedOut { .. }) => 1,
        DialError::Handshake(_) => 2,
        DialError::Resolve { .. } | DialError::AddressFamily { .. } | DialError::Local { .. } => 0,
    }
}

fn local_error(endpoint: &Target, error: &dyn Display) -> DialError {
    DialError::Local {
        endpoint: endpoint.clone(),
        error: ExternalText::new(error),
    }
}

/// An IPv4 socket sends to IPv4 only; `[::]` is dual-stack; any other IPv6 address sends to IPv6
/// only.
fn reachable_from(local: SocketAddr, remote: SocketAddr) -> bool {
    match (local.ip(), remote.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => true,
        (IpAddr::V6(local), IpAddr::V4(_)) => local.is_unspecified(),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

async fn handshake(
    endpoint: &Endpoint,
    config: ClientConfig,
    remote: SocketAddr,
) -> Result<Connection, DialError> {
    // The server name is neither sent nor compared: peers are identified by their SPIFFE ids.
    let connecting = endpoint
        .connect_with(config, remote, SERVER_NAME)
        .map_err(|error| local_error(&remote.into(), &error))?;

    match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(refusal::connection_error(&error, remote).into()),
        Err(_) => Err(ConnectionError::TimedOut { remote }.into()),
    }
}

#[cfg(test)]
mod tests {
    use quinn::ServerConfig;
    use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    /// An endpoint that accepts every client, and client settings for it.
    fn server() -> (Endpoint, ClientConfig) {
        let key = rcgen::KeyPair::generate().unwrap();
        let named = rcgen::CertificateParams::new([SERVER_NAME.to_owned()]).unwrap();
        let certificate = named.self_signed(&key).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());

        let accepting = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let accepting = QuicServerConfig::try_from(accepting).unwrap();
        let server = Endpoint::server(
            ServerConfig::with_crypto(Arc::new(accepting)),
            "127.0.0.1:0".parse().unwrap(),
        );

        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let dialling = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let dialling = QuicClientConfig::try_from(dialling).unwrap();
        (server.unwrap(), ClientConfig::new(Arc::new(dialling)))
    }

    #[tokio::test]
    async fn a_name_is_confirmed_by_a_connection_and_by_nothing_less() {
        let (server, config) = server();
        let port = server.local_addr().unwrap().port();
        let accepting = server.clone();
        let tasks = Tasks::default();
        tasks.spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let _ = incoming.await;
            }
        });
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let resolver = Resolver::new(tasks);
        let peer: GatewayId = "gw.beta".parse().unwrap();
        let dial = |targets: &'static str| {
            let targets: Vec<Target> = targets
                .split(' ')
                .map(|target| target.replace("PORT", &port.to_string()).parse().unwrap())
                .collect();
            let config = config.clone();
            let (endpoint, resolver, peer) = (&endpoint, &resolver, &peer);
            async move {
                let all = Dial {
                    endpoint,
                    resolver,
                    peer,
                    targets: &targets,
                    config,
                    refused: Arc::new(LastRefusal::default()),
                    results: Dialled::default(),
                };
                all.race().await
            }
        };

        // The address of the other endpoint, which does not confirm the name.
        dial("localhost:1 127.0.0.1:PORT").await.unwrap();
        assert!(!resolver.is_confirmed("localhost"));
        let connection = dial("localhost:PORT").await.unwrap();
        assert!(resolver.is_confirmed("localhost"));
        drop(connection);
        server.close(0u8.into(), b"");
    }

    #[test]
    fn the_failure_that_says_most_is_reported() {
        let remote: SocketAddr = "192.0.2.1:4600".parse().unwrap();
        let resolve = || DialError::Resolve {
            host: "gw".into(),
            error: ExternalText::new("no such name"),
        };
        let refused = DialError::PeerRefused {
            endpoint: remote.into(),
            reason: ExternalText::new("expired"),
        };
        let mut failures = Failures::default();
        failures.record(ConnectionError::TimedOut { remote }.into());
        failures.record(resolve());
        assert!(matches!(failures.0, Some(DialError::Handshake(_))));
        failures.record(refused.clone());
        failures.record(ConnectionError::Reset.into());
        assert_eq!(failures.result(&[]), refused);
    }

    #[test]
    fn a_socket_reaches_its_own_family_and_the_wildcard_reaches_both() {
        let reaches = |local: &str, remote: &str| {
            reachable_from(
                format!("{local}:1").parse().unwrap(),
                format!("{remote}:1").parse().unwrap(),
            )
        };
        assert!(reaches("0.0.0.0", "192.0.2.1") && !reaches("0.0.0.0", "[2001:db8::1]"));
        assert!(reaches("[::]", "192.0.2.1") && reaches("[::]", "[2001:db8::1]"));
        assert!(!reaches("[2001:db8::2]", "192.0.2.1"));
    }
}
