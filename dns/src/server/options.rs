//! [`Options`]: how the server serves, beside what it serves and to whom.

use std::sync::Arc;

use super::QueryLog;
use crate::forward::Forwarder;

/// Options of [`Server::bind_with`](super::Server::bind_with); the default is what a gateway wants.
#[derive(Debug, Clone)]
pub struct Options {
    /// This server's identifier, told to those who ask (RFC 5001); empty: it has none.
    pub nsid: Vec<u8>,
    /// Listens on addresses that are neither private nor a site's, too. Who is answered does not change.
    pub public: bool,
    /// Bounds the responses over UDP; `None`: they are not bounded.
    pub rate: Option<Rate>,
    /// Asks others for the names that nobody in the consortium has, on behalf of the own site.
    pub forwarder: Arc<Forwarder>,
    /// Logs a sample of the questions.
    pub query_log: Arc<QueryLog>,
}

impl Default for Options {
    fn default() -> Options {
        let (forwarder, query_log) = (Arc::default(), Arc::default());
        Options {
            nsid: Vec::new(),
            public: false,
            rate: Some(Rate::default()),
            forwarder,
            query_log,
        }
    }
}

/// Responses over UDP to one network, all its hosts together. Who shows a cookie or asks over TCP is not
/// bounded: only their addresses could be forged to flood somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Responses a second; as many again at once after a quiet second.
    pub per_second: u32,
    /// One in so many responses above the rate tells to ask over TCP, the others are dropped; 0: all are.
    pub slip: u32,
    /// Length of the prefix that makes a network of IPv4 addresses.
    pub ipv4: u8,
    /// Length of the prefix that makes a network of IPv6 addresses.
    pub ipv6: u8,
}

impl Default for Rate {
    /// Far above what one resolver for a whole cluster asks.
    fn default() -> Rate {
        Rate {
            per_second: 10_000,
            slip: 2,
            ipv4: 24,
            ipv6: 56,
        }
    }
}
