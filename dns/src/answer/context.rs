//! [`QueryContext`]: what an answer depends on besides the query and the zones.

use std::net::IpAddr;

use super::opt::Opt;
use super::query::Query;
use super::write::ResponseContext;
use crate::acl::Locality;
use crate::cookie::{COOKIE, CookieJar};
use crate::zones::ZoneSet;

/// The transport of a query, which bounds the size of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// At most 512 octets without EDNS; with EDNS what the client accepts, at most
    /// [`MAX_UDP`](super::MAX_UDP).
    Udp,
    /// At most 65,535 octets.
    Tcp,
}

/// The client that sent a query, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// The source address of the query.
    pub(crate) address: IpAddr,
    pub(crate) locality: Locality,
    pub(crate) transport: Transport,
}

/// A client, and what this server offers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryContext<'a> {
    pub(crate) client: Client,
    /// Seconds since 1970, for the age of cookies.
    pub(crate) now: u32,
    /// Makes and checks server cookies; `None` disables them.
    pub(crate) cookies: Option<&'a CookieJar>,
    /// This server's identifier (RFC 5001); empty: none.
    pub(crate) nsid: &'a [u8],
    /// True if names outside the consortium are forwarded for this client.
    pub(crate) forwards: bool,
}

impl QueryContext<'_> {
    /// A client that gets no cookie, no identifier and no forwarding.
    pub(super) fn plain(transport: Transport) -> Self {
        QueryContext {
            client: Client {
                address: IpAddr::from([0; 16]),
                locality: Locality::Mesh,
                transport,
            },
            now: 0,
            cookies: None,
            nsid: &[],
            forwards: false,
        }
    }

    /// True if the query carries a server cookie that proves the client's address.
    pub(super) fn has_valid_cookie(&self, query: &Query<'_>) -> bool {
        match (self.cookies, query.cookie()) {
            (Some(jar), Some(cookie)) => jar.check(cookie, self.client.address, self.now),
            _ => false,
        }
    }

    /// The server cookie for the response; `None` if the query has no cookie.
    pub(super) fn server_cookie(&self, query: &Query<'_>) -> Option<[u8; COOKIE]> {
        let cookie = query.cookie()?;
        Some(
            self.cookies?
                .server_cookie(cookie, self.client.address, self.now),
        )
    }

    /// What the response depends on, with this server cookie.
    pub(super) fn response<'a>(
        &'a self,
        zones: &'a ZoneSet,
        cookie: Option<[u8; COOKIE]>,
    ) -> ResponseContext<'a> {
        ResponseContext {
            reach: zones.reach(),
            opt: Opt {
                cookie,
                nsid: self.nsid,
            },
            ra: self.forwards,
            // RFC 4035, section 3.1.6: an authoritative answer clears the CD bit.
            cd: false,
        }
    }
}
