//! Ringway's words and the files that say them.
//!
//! Reading order: the words ([`name`], [`prefix`], [`member`], [`config`]); the files they come from
//! (`file`, [`fault`], [`limits`], [`text`]); what must not collide ([`overlap`], [`verdict`],
//! [`conflict`], [`accepted`]).

#![forbid(unsafe_code)]

pub mod accepted;
pub mod bogon;
pub mod config;
pub mod conflict;
pub mod endpoint;
pub mod fault;
mod file;
pub mod limits;
pub mod member;
pub mod name;
pub mod overlap;
pub mod prefix;
pub mod text;
pub mod verdict;

pub use accepted::{Accepted, AcceptedError};
pub use bogon::{bogon, is_private};
pub use config::{
    Allow, Config, Dns, DnsData, DnsRecord, Forward, Identity, PortRange, Proto, Routes, ZoneFile,
};
pub use conflict::conflicts;
pub use endpoint::{Endpoint, EndpointError};
pub use fault::{Fault, Faults, Place};
pub use file::socket_of;
pub use member::{Digest, DigestError, Gateway, Member, PlacedPrefix, Revoked, Root, Site};
pub use name::{GatewayId, GatewayName, NameError, OrgId, SiteId, ZoneName};
pub use overlap::{Claim, Connected, Overlap, Owner, claims, overlaps};
pub use prefix::{Prefix, PrefixError};
pub use text::{NewGateway, NewMember, gateway_text, member_text};
pub use verdict::{Ruling, Verdict, rule};
