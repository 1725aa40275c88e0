//! [`Resolvers`]: the servers of one suffix, queried one after the other.
//!
//! The first server is queried. If it fails or has not responded within [`STAGGER`], the next one
//! is queried as well, and the first good response counts. A server that failed or lost to a later
//! one is demoted: for [`DEMOTION`] it comes last in the order.
//!
//! Transport is `hickory-resolver`'s: random ports and identifiers, retransmission, TCP after
//! truncation. It discards a response that does not repeat the question, an error included, because
//! such a response could be anybody's. Falling back to a query without EDNS is done here.

use std::fmt;
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
use ringway_config::Forward;
use tokio::time::sleep;

use super::failure;
use super::own_names::OwnNames;
use super::response::{CachedResponse, Malformed};
use super::scrub::scrub;
use crate::answer::{ForwardQuestion, MAX_UDP, ResolverResponse, ede};

/// How long one server may take before the next is queried as well.
const STAGGER: Duration = Duration::from_millis(400);
/// How long one server may take at all.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a demoted server stays last in the order.
const DEMOTION: Duration = Duration::from_secs(10);
/// Servers queried at the same time for one question.
const MAX_CONCURRENT: usize = 2;
/// Queries in flight on one TCP connection.
const MAX_PER_CONNECTION: usize = 128;

pub(super) struct Resolvers {
    /// Records of these names are removed from responses.
    own: OwnNames,
    /// See [`Forward::private_answers`].
    private_answers: bool,
    servers: Vec<Server>,
    /// Zero of the servers' `demoted_until`.
    start: Instant,
}

struct Server {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
    /// Milliseconds since [`Resolvers::start`].
    demoted_until: AtomicU64,
}

/// Why a server gave no usable response. Of several, the client learns the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    NoResponse,
    Unreachable,
    /// The server responded with an error, or with a malformed message.
    BadResponse,
}

impl Resolvers {
    pub(super) fn new(own: OwnNames, forward: &Forward) -> Resolvers {
        Resolvers {
            own,
            private_answers: forward.private_answers,
            servers: forward.servers.iter().copied().map(Server::new).collect(),
            start: Instant::now(),
        }
    }

    /// True if these are the servers of `forward`, in this order, and `own` the consortium's names.
    pub(super) fn matches(&self, own: &OwnNames, forward: &Forward) -> bool {
        let addresses = self.servers.iter().map(|server| server.address);

        self.own == *own
            && self.private_answers == forward.private_answers
            && addresses.eq(forward.servers.iter().copied())
    }

    /// The first good response; a SERVFAIL if every server fails.
    pub(super) async fn query(&self, question: &ForwardQuestion) -> CachedResponse {
        let mut remaining = self.order().into_iter();
        let mut queries = FuturesUnordered::new();
        let mut pending = Vec::new();
        let mut worst = Failure::NoResponse;

        loop {
            if queries.is_empty() {
                let Some(server) = remaining.next() else {
                    return failure(worst.extended_error()).into();
                };
                pending.push(server);
                queries.push(self.query_server(server, question));
            }

            let may_query_next = queries.len() < MAX_CONCURRENT && remaining.len() > 0;
            tokio::select! {
                Some((server, result)) = queries.next() => {
                    pending.retain(|other| *other != server);
                    match result {
                        Ok(response) => {
                            // Whatever is still pending was queried earlier, or is no faster.
                            for slow in pending {
                                self.demote(slow);
                            }
                            return response;
                        }
                        Err(failure) => {
                            worst = worst.max(failure);
                            self.demote(server);
                        }
                    }
                }
                () = sleep(STAGGER), if may_query_next => {
                    let next = remaining.next().expect("checked by may_query_next");
                    pending.push(next);
                    queries.push(self.query_server(next, question));
                }
            }
        }
    }

    /// Indices of the servers: as configured, but demoted ones last.
    fn order(&self) -> Vec<usize> {
        let now = self.elapsed_ms();
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        // The sort is stable, so the configured order remains within both groups.
        order.sort_by_key(|&server| self.servers[server].is_demoted(now));
        order
    }

    fn demote(&self, server: usize) {
        let until = self.elapsed_ms() + DEMOTION.as_millis() as u64;
        self.servers[server]
            .demoted_until
            .store(until, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// The index is returned too, because the results arrive in any order.
    async fn query_server(
        &self,
        server: usize,
        question: &ForwardQuestion,
    ) -> (usize, Result<CachedResponse, Failure>) {
        let mut result = self.servers[server].query(question, &self.own).await;
        if let Ok(response) = &mut result {
            scrub(&mut response.content, question, self.private_answers);
        }
        (server, result)
    }
}

impl Server {
    fn new(address: SocketAddr) -> Server {
        let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = address.port();
            connection
        });

        // `true`: a negative response of this server is final, no other needs to confirm it.
        let config = NameServerConfig::new(address.ip(), true, connections.into());

        let mut options = ResolverOpts::default();
        options.timeout = SERVER_TIMEOUT;
        options.max_active_requests = MAX_PER_CONNECTION;

        // hickory-resolver is built without its TLS feature, so nothing in here can fail.
        let tls = TlsConfig::new().expect("the TLS configuration is empty");
        let context = Arc::new(PoolContext::new(options, tls));

        Server {
            address,
            pool: NameServerPool::from_config([config], context, TokioRuntimeProvider::default()),
            demoted_until: AtomicU64::new(0),
        }
    }

    /// `now` is in milliseconds since [`Resolvers::start`].
    fn is_demoted(&self, now: u64) -> bool {
        self.demoted_until.load(Ordering::Relaxed) > now
    }

    async fn query(
        &self,
        question: &ForwardQuestion,
        own: &OwnNames,
    ) -> Result<CachedResponse, Failure> {
        let mut result = self.send(request(question, true)?).await;
        // RFC 6891, section 7: a server without EDNS responds with FORMERR. Older ones use NOTIMP
        // (RFC 2671, section 5.3).
        if let Err(NetError::Dns(DnsError::ResponseCode(
            ResponseCode::FormErr | ResponseCode::NotImp,
        ))) = result
        {
            result = self.send(request(question, false)?).await;
        }

        let response = match result {
            Ok(response) => CachedResponse::positive(&response, own),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                CachedResponse::negative(&none, own)
            }
            // RFC 6672, section 2.2: a DNAME made the name too long. A valid result, not a failure.
            Err(NetError::Dns(DnsError::ResponseCode(code @ ResponseCode::YXDomain))) => {
                let response = ResolverResponse {
                    rcode: code.into(),
                    ..ResolverResponse::default()
                };
                Ok(response.into())
            }
            Err(error) => {
                tracing::debug!(remote = %self.address, %error, "Resolver query failed");
                return Err(Failure::from(&error));
            }
        };

        response.map_err(|Malformed| Failure::BadResponse)
    }

    /// Sends one query, again over TCP if the response was truncated.
    async fn send(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        self.pool.send(request).first_answer().await
    }
}

/// Fails if hickory-proto refuses the name.
fn request(question: &ForwardQuestion, with_edns: bool) -> Result<DnsRequest, Failure> {
    let name = hickory_proto::rr::Name::from_bytes(question.name.as_wire())
        .map_err(|_| Failure::BadResponse)?;

    let mut message = Message::query();
    message.add_query(Query::query(name, RecordType::from(question.kind)));
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = question.checking_disabled;

    if with_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP as u16);
        edns.set_dnssec_ok(question.dnssec_ok);
        message.set_edns(edns);
    }

    Ok(DnsRequest::new(message, DnsRequestOptions::default()))
}

impl From<&NetError> for Failure {
    fn from(error: &NetError) -> Failure {
        match error {
            NetError::Timeout | NetError::NoConnections | NetError::Busy => Failure::NoResponse,
            NetError::Io(_) => Failure::Unreachable,
            _ => Failure::BadResponse,
        }
    }
}

impl Failure {
    /// The info code that tells the client (RFC 8914, section 4).
    fn extended_error(self) -> u16 {
        match self {
            Failure::NoResponse => ede::NO_REACHABLE_AUTHORITY,
            Failure::Unreachable => ede::NETWORK_ERROR,
            Failure::BadResponse => ede::OTHER,
        }
    }
}

impl fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.servers.iter().map(|server| server.address))
            .finish()
    }
}
