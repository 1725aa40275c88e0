//! Ringway's words and the files that say them.
//!
//! Reading order: [`name`], [`prefix`], [`member`], [`config`], then [`fault`].

#![forbid(unsafe_code)]

pub mod config;
pub mod fault;
pub mod member;
pub mod name;
pub mod prefix;

pub use config::{Allow, Config, Dns, DnsData, DnsRecord, Identity, PortRange, Proto, Routes};
pub use fault::{Fault, Place};
pub use member::{Digest, DigestError, Endpoint, Gateway, Member, PlacedPrefix, Revoked, Root, Site};
pub use name::{GatewayId, GatewayName, NameError, OrgId, SiteId, ZoneName};
pub use prefix::{Prefix, PrefixError};
