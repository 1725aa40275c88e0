//! [`Opt`]: the OPT record of a response (RFC 6891) and its options: cookie, server identifier, extended error.

use super::MAX_UDP;
use super::query::{Edns, Query, option};
use crate::cookie::{CLIENT, COOKIE};
use crate::rdata::kind;

/// The record without options, and an option without data.
const BARE: usize = 11;
const OPTION: usize = 4;

/// What this server has to say in options.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Opt<'a> {
    /// The server's half of the asker's cookie.
    pub(super) cookie: Option<[u8; COOKIE]>,
    /// The server's identifier; empty: it is not told.
    pub(super) nsid: &'a [u8],
}

impl Opt<'_> {
    /// Octets that [`Opt::put`] will take.
    pub(super) fn len(&self, query: &Query<'_>, ede: Option<u16>) -> usize {
        let Some(edns) = &query.edns else { return 0 };
        let cookie = if self.client(edns).is_some() {
            OPTION + CLIENT + COOKIE
        } else {
            0
        };
        let nsid = if self.tells_nsid(edns) {
            OPTION + self.nsid.len()
        } else {
            0
        };
        BARE + cookie + nsid + if ede.is_some() { OPTION + 2 } else { 0 }
    }

    /// Appends the record if the query has one; gives their number. The asker's DO bit goes back
    /// (RFC 3225, section 3).
    pub(super) fn put(
        &self,
        query: &Query<'_>,
        rcode: u16,
        ede: Option<u16>,
        out: &mut Vec<u8>,
    ) -> u16 {
        let Some(edns) = &query.edns else { return 0 };
        let options = (self.len(query, ede) - BARE) as u16;
        out.push(0);
        for word in [
            kind::OPT,
            MAX_UDP as u16,
            rcode >> 4 << 8,
            u16::from(edns.dnssec_ok) << 15,
            options,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        if let (Some(client), Some(server)) = (self.client(edns), self.cookie) {
            put_option(option::COOKIE, &[client, &server], out);
        }
        if self.tells_nsid(edns) {
            put_option(option::NSID, &[self.nsid], out);
        }
        if let Some(code) = ede {
            put_option(option::EXTENDED_ERROR, &[&code.to_be_bytes()], out);
        }
        1
    }

    /// The client's half of the cookie, if it is to be completed.
    fn client<'m>(&self, edns: &Edns<'m>) -> Option<&'m [u8]> {
        self.cookie.and(edns.options.cookie)?.get(..CLIENT)
    }

    fn tells_nsid(&self, edns: &Edns<'_>) -> bool {
        edns.options.nsid && !self.nsid.is_empty()
    }
}

fn put_option(code: u16, data: &[&[u8]], out: &mut Vec<u8>) {
    let len = data.iter().map(|part| part.len()).sum::<usize>() as u16;
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    data.iter().for_each(|part| out.extend_from_slice(part));
}
