//! `VirtualAddresses`: the addresses of `[ha]` in a gateway's file, for its siblings, which compare
//! them with their own. Only gateways that both offer [`SIBLINGS`](super::SIBLINGS) in `Hello` send
//! it.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | addresses | (family u8, address)* |

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::field::{FieldError, Fields, Writer};

/// Most addresses in one message.
pub const MAX_VIRTUAL_ADDRESSES: usize = 32;

const ADDRESSES: u16 = 1;

pub(super) fn put(addresses: &BTreeSet<IpAddr>, out: &mut Writer<'_>) {
    out.list(
        ADDRESSES,
        addresses.iter().take(MAX_VIRTUAL_ADDRESSES).copied(),
    );
}

pub(super) fn get(body: &[u8]) -> Result<BTreeSet<IpAddr>, FieldError> {
    let fields = Fields::split(body, &[ADDRESSES])?;
    let addresses = fields.list(ADDRESSES, MAX_VIRTUAL_ADDRESSES)?;

    Ok(addresses.into_iter().collect())
}
