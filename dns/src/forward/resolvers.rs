//! [`Resolvers`]: those of one suffix, asked one after the other.
//!
//! The first is asked; when it fails, or has not answered within [`STAGGER`], the next one is asked too, and
//! the first good answer counts. Who was too late or failed is asked last for a while. How a resolver is
//! asked (ports and identifiers at random, again after a loss, over TCP after truncation) is
//! `hickory-resolver`'s; without EDNS after a resolver that does not know it, ours.
//!
//! One that does not even repeat the question in its error is not heard: the answer could be anybody's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Edns, Message, Query, ResponseCode,
};
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::BinDecodable as _;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::sleep;

use super::failure;
use super::said::{Malformed, Said};
use crate::answer::{Ask, MAX_UDP, ede};
use crate::name::Name;

/// How long one resolver may take before another is asked too.
const STAGGER: Duration = Duration::from_millis(400);
/// How long one resolver may take at all.
const ONE: Duration = Duration::from_secs(2);
/// How long a resolver that failed is asked last.
const LAST: Duration = Duration::from_secs(10);
/// Resolvers that are asked at the same time.
const AT_ONCE: usize = 2;
/// Questions under way on one TCP connection.
const ON_TCP: usize = 128;

pub(super) struct Resolvers {
    domain: Name,
    servers: Vec<Server>,
    start: Instant,
}

struct Server {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
    /// Until when it is asked last, in milliseconds since `start`.
    last_until: AtomicU64,
}

/// Why a resolver gave no answer; the later, the more it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    Silent,
    Unreachable,
    Failed,
}

impl Resolvers {
    pub(super) fn new(domain: Name, servers: &[SocketAddr]) -> Resolvers {
        let servers = servers
            .iter()
            .map(|address| Server::new(*address))
            .collect();
        Resolvers {
            domain,
            servers,
            start: Instant::now(),
        }
    }

    /// True if they are `servers` and know `domain` for the consortium's.
    pub(super) fn are(&self, domain: &Name, servers: &[SocketAddr]) -> bool {
        self.domain == *domain
            && self
                .servers
                .iter()
                .map(|server| server.address)
                .eq(servers.iter().copied())
    }

    /// The first good answer, or the failure of all.
    pub(super) async fn ask(&self, ask: &Ask) -> Said {
        let mut waiting = self.order().into_iter();
        let mut asked = FuturesUnordered::new();
        let mut pending = Vec::new();
        let mut worst = Failure::Silent;
        loop {
            if asked.is_empty() {
                let Some(server) = waiting.next() else {
                    return failure(worst.ede()).into();
                };
                pending.push(server);
                asked.push(self.ask_one(server, ask));
            }
            let may_ask_more = asked.len() < AT_ONCE && waiting.len() > 0;
            tokio::select! {
                Some((server, answer)) = asked.next() => {
                    pending.retain(|other| *other != server);
                    match answer {
                        Ok(said) => {
                            pending.iter().for_each(|late| self.ask_last(*late));
                            return said;
                        }
                        Err(failure) => {
                            worst = worst.max(failure);
                            self.ask_last(server);
                        }
                    }
                }
                () = sleep(STAGGER), if may_ask_more => {
                    let next = waiting.next().expect("some wait");
                    pending.push(next);
                    asked.push(self.ask_one(next, ask));
                }
            }
        }
    }

    /// Indices of the servers: as they were configured, but those that failed lately last.
    fn order(&self) -> Vec<usize> {
        let now = self.now();
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(|i| self.servers[*i].last_until.load(Ordering::Relaxed) > now);
        order
    }

    fn ask_last(&self, server: usize) {
        let until = self.now() + LAST.as_millis() as u64;
        self.servers[server]
            .last_until
            .store(until, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    async fn ask_one(&self, server: usize, ask: &Ask) -> (usize, Result<Said, Failure>) {
        (server, self.servers[server].ask(ask, &self.domain).await)
    }
}

impl Server {
    fn new(address: SocketAddr) -> Server {
        let connection = |protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = address.port();
            connection
        };
        let connections = vec![
            connection(ProtocolConfig::Udp),
            connection(ProtocolConfig::Tcp),
        ];
        let config = NameServerConfig::new(address.ip(), true, connections);
        let mut options = ResolverOpts::default();
        options.timeout = ONE;
        options.max_active_requests = ON_TCP;
        // Without its feature for TLS, hickory-resolver has nothing there that could fail.
        let tls = TlsConfig::new().expect("there is no TLS");
        let context = Arc::new(PoolContext::new(options, tls));
        let pool = NameServerPool::from_config([config], context, TokioRuntimeProvider::default());
        Server {
            address,
            pool,
            last_until: AtomicU64::new(0),
        }
    }

    async fn ask(&self, ask: &Ask, domain: &Name) -> Result<Said, Failure> {
        let mut answer = self.send(ask, true).await?;
        // RFC 6891, section 7: who does not know EDNS says so by this code (RFC 2671, section 5.3: or that).
        if let Err(NetError::Dns(DnsError::ResponseCode(
            ResponseCode::FormErr | ResponseCode::NotImp,
        ))) = answer
        {
            answer = self.send(ask, false).await?;
        }
        let said = match answer {
            Ok(response) => Said::answer(&response, domain),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => Said::denial(&none, domain),
            // RFC 6672, section 2.2: a name that became too long; an answer like any other.
            Err(NetError::Dns(DnsError::ResponseCode(code @ ResponseCode::YXDomain))) => {
                Ok(crate::answer::Found {
                    rcode: code.into(),
                    ..Default::default()
                }
                .into())
            }
            Err(error) => {
                tracing::debug!(remote = %self.address, %error, "Resolver gave no answer");
                return Err(Failure::of(&error));
            }
        };
        said.map_err(|Malformed| Failure::Failed)
    }

    /// Asks once, over TCP too if the answer was cut off.
    async fn send(&self, ask: &Ask, edns: bool) -> Result<Result<DnsResponse, NetError>, Failure> {
        let request = request(ask, edns).ok_or(Failure::Failed)?;
        Ok(self.pool.send(request).first_answer().await)
    }
}

fn request(ask: &Ask, with_edns: bool) -> Option<DnsRequest> {
    let name = hickory_proto::rr::Name::from_bytes(ask.name.as_wire()).ok()?;
    let mut message = Message::query();
    message.add_query(Query::query(name, RecordType::from(ask.kind)));
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = ask.checking_disabled;
    if with_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP as u16)
            .set_dnssec_ok(ask.dnssec_ok);
        message.set_edns(edns);
    }
    Some(DnsRequest::new(message, DnsRequestOptions::default()))
}

impl Failure {
    fn of(error: &NetError) -> Failure {
        match error {
            NetError::Timeout | NetError::NoConnections | NetError::Busy => Failure::Silent,
            NetError::Io(_) => Failure::Unreachable,
            _ => Failure::Failed,
        }
    }

    fn ede(self) -> u16 {
        match self {
            Failure::Silent => ede::NO_REACHABLE_AUTHORITY,
            Failure::Unreachable => ede::NETWORK_ERROR,
            Failure::Failed => ede::OTHER,
        }
    }
}

impl std::fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.servers.iter().map(|server| server.address))
            .finish()
    }
}
