//! `Offer`: what a gateway has for an attached node: the prefixes that it can reach through it, and
//! the resolvers that know the consortium's names. Only gateways send it, to nodes that offer
//! [`ATTACH`] in `Hello`.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | prefixes | prefix* |
//! | 2 | resolvers | (family u8, address)* |

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::Prefix;

use super::field::{FieldError, Fields, Writer};
use super::prefix::MAX_PREFIXES;

/// The feature bit in `Hello` of a gateway that serves attached nodes, and of a node.
pub const ATTACH: u64 = 8;

/// Most resolvers in one message.
pub const MAX_RESOLVERS: usize = 8;

const PREFIXES: u16 = 1;
const RESOLVERS: u16 = 2;

/// What a gateway has for a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// What is reached through the gateway, at most [`MAX_PREFIXES`].
    pub prefixes: BTreeSet<Prefix>,
    /// Where the consortium's names are asked, at most [`MAX_RESOLVERS`].
    pub resolvers: BTreeSet<IpAddr>,
}

pub(super) fn put(offer: &Offer, out: &mut Writer<'_>) {
    out.list(PREFIXES, offer.prefixes.iter().take(MAX_PREFIXES).copied());
    let resolvers = offer.resolvers.iter().take(MAX_RESOLVERS);
    out.list(RESOLVERS, resolvers.copied());
}

pub(super) fn get(body: &[u8]) -> Result<Offer, FieldError> {
    let fields = Fields::split(body, &[PREFIXES, RESOLVERS])?;
    let prefixes = fields.list(PREFIXES, MAX_PREFIXES)?;
    let resolvers = fields.list(RESOLVERS, MAX_RESOLVERS)?;

    Ok(Offer {
        prefixes: prefixes.into_iter().collect(),
        resolvers: resolvers.into_iter().collect(),
    })
}
