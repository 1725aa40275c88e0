//! [`Options`]: how the server answers, apart from its zones and its ACL.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::log::QueryLog;
use crate::acl::Locality;
use crate::forward::Forwarder;

/// Options of [`Server::bind_with`](super::Server::bind_with). The default suits a gateway.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The server identifier that clients can ask for (RFC 5001); empty: none.
    pub nsid: Vec<u8>,
    /// Allows listening on public addresses. The ACL applies all the same.
    pub public: bool,
    /// The rate limit for responses over UDP. It may be replaced while the server runs.
    pub rate: Arc<ArcSwap<Rate>>,
    /// Forwards queries of this site's hosts for names outside the consortium.
    pub forwarder: Arc<Forwarder>,
    /// Logs a sample of the queries.
    pub query_log: Arc<QueryLog>,
    /// Finds the interface by which an accepted connection came. Without it, no connection's
    /// interface is known.
    pub interface_of: Option<InterfaceOf>,
}

/// Reads the index of an interface from an accepted socket.
pub type InterfaceOf = fn(BorrowedFd<'_>) -> io::Result<u32>;

/// A limit on the responses over UDP to one network, that is, to all its hosts together. It does
/// not apply to clients with a valid cookie or over TCP: their addresses cannot be forged to send
/// somebody else a flood of responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Responses per second to a network in this site; 0: unlimited. A network that was quiet for
    /// a second may have as many at once.
    pub site: u32,
    /// Responses per second to a network in another site, whose hosts have a gateway of their own;
    /// 0: unlimited.
    pub mesh: u32,
    /// Of the queries above the rate, one in so many gets a truncated response, so that a genuine
    /// client retries over TCP; the others are dropped. 0: all are dropped.
    pub slip: u32,
    /// Prefix length of an IPv4 network.
    pub ipv4: u8,
    /// Prefix length of an IPv6 network.
    pub ipv6: u8,
}

impl Rate {
    /// These responses per second, and as [`Rate::default`] otherwise.
    pub fn of(site: u32, mesh: u32) -> Rate {
        Rate {
            site,
            mesh,
            ..Rate::default()
        }
    }

    /// Responses per second to one network; `None`: unlimited.
    pub(super) fn per_second(&self, locality: Locality) -> Option<u32> {
        let rate = match locality {
            Locality::Site => self.site,
            Locality::Mesh => self.mesh,
        };
        (rate != 0).then_some(rate)
    }
}

impl Default for Rate {
    /// Until somebody sets other rates: far above what the one resolver of a whole cluster sends.
    fn default() -> Rate {
        Rate {
            site: 10_000,
            mesh: 10_000,
            slip: 2,
            ipv4: 24,
            ipv6: 56,
        }
    }
}
