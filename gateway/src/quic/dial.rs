//! Dials one endpoint: tries the addresses of its name (`resolve`), a little apart, until one handshake
//! is through.
//! When to dial whom, and how long to wait after a failure, is the core's to decide.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Connection, Endpoint};
use ringway_config::{Endpoint as Target, GatewayId};
use ringway_core::{ConnectionError, DialError, DialId, ExternalText};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::endpoint::Tls;
use super::refusal;
use super::resolve::Resolver;
use crate::drive::Input;
use crate::identity::tls::{LastRefusal, SERVER_NAME};

/// How long one address has a lead over the next (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How long one handshake may take; the core gives up a whole dial earlier.
const HANDSHAKE: Duration = Duration::from_secs(4);

/// Starts and abandons dials.
pub struct Dialler {
    endpoint: Endpoint,
    tls: Arc<Tls>,
    resolver: Arc<Resolver>,
    inputs: mpsc::Sender<Input>,
    under_way: BTreeMap<DialId, AbortHandle>,
}

impl Dialler {
    /// Dials from `endpoint` with `tls`; results go to `inputs`.
    pub fn new(endpoint: Endpoint, tls: Arc<Tls>, inputs: mpsc::Sender<Input>) -> Dialler {
        Dialler {
            endpoint,
            tls,
            resolver: Arc::default(),
            inputs,
            under_way: BTreeMap::new(),
        }
    }

    /// Begins a dial; it ends as an [`Input::Dialled`] or [`Input::DialFailed`].
    pub fn start(&mut self, dial: DialId, peer: GatewayId, target: Target) {
        let (endpoint, tls, inputs) =
            (self.endpoint.clone(), self.tls.clone(), self.inputs.clone());
        let resolver = self.resolver.clone();
        let attempt = tokio::spawn(async move {
            let refused = Arc::new(LastRefusal::default());
            let config = tls.client(peer.clone(), refused.clone());
            let input = match dial_target(endpoint, &resolver, config, &refused, target).await {
                Ok(connection) => Input::Dialled {
                    dial,
                    peer,
                    connection,
                },
                Err(error) => Input::DialFailed { dial, error },
            };
            // The drive is gone only when the daemon ends.
            let _ = inputs.send(input).await;
        });
        self.under_way.insert(dial, attempt.abort_handle());
    }

    /// The result of a dial was taken: nothing is kept of it.
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

/// Dials `target`. `refused` receives what the verifier of `config` refuses.
async fn dial_target(
    endpoint: Endpoint,
    resolver: &Resolver,
    config: ClientConfig,
    refused: &LastRefusal,
    target: Target,
) -> Result<Connection, DialError> {
    let addresses = resolve(&endpoint, resolver, &target).await?;
    let mut attempts = JoinSet::new();
    for (i, address) in addresses.into_iter().enumerate() {
        let (endpoint, config) = (endpoint.clone(), config.clone());
        attempts.spawn(async move {
            tokio::time::sleep(STAGGER * i as u32).await;
            handshake(&endpoint, config, address).await
        });
    }
    let mut failure = None;
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => failure = Some(error),
            Err(join) => failure = Some(local_error(&target, &join)),
        }
    }
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
    let found = found
        .into_iter()
        .map(|address| SocketAddr::new(address, target.port));
    let usable: Vec<_> = found
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

/// An IPv4 socket sends to IPv4 only; `[::]` is dual-stack; any other IPv6 address sends to IPv6 only.
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
