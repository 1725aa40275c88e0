//! `SiteSettings`: what the files of a site's gateways must have alike, for siblings, which compare
//! it with their own. Only gateways that both offer [`SIBLINGS`](super::SIBLINGS) in `Hello` send
//! it.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | virtual addresses | (family u8, address)* |
//! | 2 | rules | digest; may be missing |
//! | 3 | attached nodes | digest; may be missing |

use std::collections::BTreeSet;
use std::net::IpAddr;

use ringway_config::Digest;

use super::field::{FieldError, Fields, Writer};

/// Most addresses in one message.
pub const MAX_VIRTUAL_ADDRESSES: usize = 32;

const ADDRESSES: u16 = 1;
const RULES: u16 = 2;
const NODES: u16 = 3;

/// What the files of a site's gateways must have alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteSettings {
    /// The addresses of `[ha]`, at most [`MAX_VIRTUAL_ADDRESSES`]. They move with the active role.
    pub virtual_addresses: BTreeSet<IpAddr>,
    /// [`Policy::digest`](ringway_config::Policy::digest).
    pub rules: Option<Digest>,
    /// [`Nodes::digest`](ringway_config::Nodes::digest).
    pub nodes: Option<Digest>,
}

pub(super) fn put(settings: &SiteSettings, out: &mut Writer<'_>) {
    let addresses = settings.virtual_addresses.iter();

    out.list(ADDRESSES, addresses.take(MAX_VIRTUAL_ADDRESSES).copied());
    for (tag, digest) in [(RULES, &settings.rules), (NODES, &settings.nodes)] {
        if let Some(digest) = digest {
            out.optional(tag, digest);
        }
    }
}

pub(super) fn get(body: &[u8]) -> Result<SiteSettings, FieldError> {
    let fields = Fields::split(body, &[ADDRESSES, RULES, NODES])?;
    let addresses = fields.list(ADDRESSES, MAX_VIRTUAL_ADDRESSES)?;

    Ok(SiteSettings {
        virtual_addresses: addresses.into_iter().collect(),
        rules: fields.optional(RULES)?,
        nodes: fields.optional(NODES)?,
    })
}
