//! [`Opt`]: the OPT record of a response (RFC 6891) with its options: cookie, server identifier,
//! extended error.

use super::MAX_UDP;
use super::query::{Edns, Query, option};
use crate::cookie::{CLIENT, COOKIE};
use crate::rdata::kind;

/// Octets of the record without options.
const BARE: usize = 11;
/// Octets of an option without its data.
const OPTION: usize = 4;

/// The options that this server offers. Each is sent to the clients that ask for it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Opt<'a> {
    /// The server cookie for this client.
    pub(super) cookie: Option<[u8; COOKIE]>,
    /// The server's identifier; empty: none.
    pub(super) nsid: &'a [u8],
}

impl Opt<'_> {
    /// The number of octets that [`Opt::put`] appends.
    pub(super) fn len(&self, query: &Query<'_>, ede: Option<u16>) -> usize {
        let Some(edns) = &query.edns else { return 0 };

        let mut len = BARE;
        if self.client_cookie(edns).is_some() {
            len += OPTION + CLIENT + COOKIE;
        }
        if self.sends_nsid(edns) {
            len += OPTION + self.nsid.len();
        }
        if ede.is_some() {
            len += OPTION + 2;
        }
        len
    }

    /// Appends the record if the query has one (RFC 6891, section 6.1.1). Returns how many records
    /// it appended.
    pub(super) fn put(
        &self,
        query: &Query<'_>,
        rcode: u16,
        ede: Option<u16>,
        out: &mut Vec<u8>,
    ) -> u16 {
        let Some(edns) = &query.edns else { return 0 };
        let options = (self.len(query, ede) - BARE) as u16;

        // RFC 6891, section 6.1.2: the owner is the root.
        out.push(0);
        for word in [
            kind::OPT,
            MAX_UDP as u16,
            // RFC 6891, section 6.1.3: the upper bits of the response code, and version 0.
            rcode >> 4 << 8,
            // RFC 3225, section 3: the DO bit is copied.
            u16::from(edns.dnssec_ok) << 15,
            options,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }

        if let (Some(client), Some(server)) = (self.client_cookie(edns), self.cookie) {
            put_option(option::COOKIE, &[client, &server], out);
        }
        if self.sends_nsid(edns) {
            put_option(option::NSID, &[self.nsid], out);
        }
        if let Some(code) = ede {
            put_option(option::EXTENDED_ERROR, &[&code.to_be_bytes()], out);
        }
        1
    }

    /// The client cookie, if there is a server cookie to complete it.
    fn client_cookie<'m>(&self, edns: &Edns<'m>) -> Option<&'m [u8]> {
        // RFC 7873, section 4: the option of a response has both cookies.
        self.cookie?;
        edns.options.cookie?.get(..CLIENT)
    }

    fn sends_nsid(&self, edns: &Edns<'_>) -> bool {
        edns.options.nsid && !self.nsid.is_empty()
    }
}

fn put_option(code: u16, data: &[&[u8]], out: &mut Vec<u8>) {
    let len: usize = data.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&(len as u16).to_be_bytes());
    for part in data {
        out.extend_from_slice(part);
    }
}
