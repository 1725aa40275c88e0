//! `Addresses`: where a gateway can be dialled inside its own site, for its siblings. Only gateways
//! that both offer [`SIBLINGS`](super::SIBLINGS) in `Hello` send it.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | addresses | (family u8, address, port u16)* |

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::field::{FieldError, Fields, Writer};
use super::wire::{Cursor, Wire};

/// Most addresses in one message.
pub const MAX_ADDRESSES: usize = 8;

const ADDRESSES: u16 = 1;

pub(super) fn put(addresses: &BTreeSet<SocketAddr>, out: &mut Writer<'_>) {
    out.list(ADDRESSES, addresses.iter().take(MAX_ADDRESSES).copied());
}

pub(super) fn get(body: &[u8]) -> Result<BTreeSet<SocketAddr>, FieldError> {
    let fields = Fields::split(body, &[ADDRESSES])?;
    let addresses = fields.list(ADDRESSES, MAX_ADDRESSES)?;

    Ok(addresses.into_iter().collect())
}

impl Wire for SocketAddr {
    fn put(&self, out: &mut Vec<u8>) {
        self.ip().put(out);
        self.port().put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        let address = IpAddr::get(cursor)?;
        // Nobody can be dialled at port 0.
        let port = u16::get(cursor).filter(|port| *port != 0)?;

        Some(SocketAddr::new(address, port))
    }
}
