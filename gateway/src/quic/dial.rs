//! Dials one endpoint: tries the addresses of its name (`resolve`), a little apart, until one
//! handshake is through. When to dial whom, and how long to wait after a failure, is the mesh's to
//! decide.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use quinn::{ClientConfig, Connection, Endpoint};
use ringway_config::{Endpoint as Target, GatewayId};
use ringway_core::{ConnectionError, DialError, DialId, ExternalText};
use ringway_identity::tls::{LastRefusal, SERVER_NAME};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::endpoint::Tls;
use super::event::{Event, Handshake};
use super::refusal;
use super::resolve::Resolver;
use crate::tasks::Tasks;

/// How long one address has a lead over the next (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// How long one handshake may take. The mesh gives up a whole dial earlier.
const HANDSHAKE: Duration = Duration::from_secs(4);

/// Starts and abandons dials.
pub struct Dialler {
    endpoint: Endpoint,
    tls: Arc<Tls>,
    resolver: Arc<Resolver>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
    under_way: BTreeMap<DialId, AbortHandle>,
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
            under_way: BTreeMap::new(),
        }
    }

    /// Begins a dial. It ends as an [`Event::Dialled`] or [`Event::DialFailed`].
    pub fn start(&mut self, dial: DialId, peer: GatewayId, target: Target) {
        let endpoint = self.endpoint.clone();
        let tls = self.tls.clone();
        let resolver = self.resolver.clone();
        let events = self.events.clone();

        let attempt = self.tasks.spawn(async move {
            let event = match dial_target(endpoint, &resolver, &tls, &peer, target).await {
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
        self.under_way.insert(dial, attempt);
    }

    /// The result of a dial has arrived.
    pub fn finish(&mut self, dial: DialId) {
        self.under_way.remove(&dial);
    }

    /// Ends a dial without a result, if it has none yet.
    pub fn abandon(&mut self, dial: DialId) {
        if let Some(attempt) = self.under_way.remove(&dial) {
            attempt.abort();
        }
    }
}

/// Dials `target`, which must be `peer`.
async fn dial_target(
    endpoint: Endpoint,
    resolver: &Resolver,
    tls: &Tls,
    peer: &GatewayId,
    target: Target,
) -> Result<Handshake, DialError> {
    let addresses = resolve(&endpoint, resolver, &target).await?;
    let refused = Arc::new(LastRefusal::default());
    let client = tls.client(peer.clone(), refused.clone());

    let mut attempts: FuturesUnordered<_> = (0..)
        .zip(addresses)
        .map(|(lead, address)| {
            let endpoint = &endpoint;
            let config = client.config.clone();
            async move {
                sleep(STAGGER * lead).await;
                handshake(endpoint, config, address).await
            }
        })
        .collect();

    let mut failure = None;
    while let Some(attempt) = attempts.next().await {
        match attempt {
            // quinn closes the other attempts when `attempts` is dropped.
            Ok(connection) => {
                return Ok(Handshake {
                    connection,
                    certificate: client.certificate,
                });
            }
            Err(error) => failure = Some(error),
        }
    }

    // A refused certificate says more than that another address did not answer.
    match refused.take() {
        Some(refused) => Err(DialError::PeerRefused {
            endpoint: target,
            reason: ExternalText::new(refused.refusal),
        }),
        // There is an attempt for every address, and `resolve` returns one at least.
        None => Err(failure.unwrap_or_else(|| local_error(&target, &"it has no address"))),
    }
}

fn local_error(endpoint: &Target, error: &dyn Display) -> DialError {
    DialError::Local {
        endpoint: endpoint.clone(),
        error: ExternalText::new(error),
    }
}

async fn resolve(
    endpoint: &Endpoint,
    resolver: &Resolver,
    target: &Target,
) -> Result<Vec<SocketAddr>, DialError> {
    let found = resolver.addresses(&target.host.to_string()).await?;
    let local = endpoint
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
    // The server name is neither sent nor compared: peers are known by their SPIFFE ids.
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
    use super::*;

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
