//! Ringway's words and the files that say them.
//!
//! Reading order: the words ([`name`], [`prefix`], [`member`], [`config`]); where they come from
//! ([`fault`], [`file`], [`text`]); what must not collide ([`overlap`], [`rule`], [`accepted`]).

#![forbid(unsafe_code)]

pub mod accepted;
pub mod bogon;
pub mod config;
pub mod endpoint;
pub mod fault;
pub mod file;
pub mod limits;
pub mod member;
pub mod name;
pub mod overlap;
pub mod prefix;
pub mod rule;
pub mod text;

pub use accepted::{Accepted, AcceptedError};
pub use bogon::{bogon, is_private};
pub use config::{Allow, Config, Dns, DnsData, DnsRecord, Identity, PortRange, Proto, Routes};
pub use endpoint::{Endpoint, EndpointError};
pub use fault::{Fault, Faults, Place};
pub use member::{Digest, DigestError, Gateway, Member, PlacedPrefix, Revoked, Root, Site};
pub use name::{GatewayId, GatewayName, NameError, OrgId, SiteId, ZoneName};
pub use overlap::{Claim, Connected, Overlap, Owner, claims, conflicts, overlaps};
pub use prefix::{Prefix, PrefixError};
pub use rule::{Ruling, Verdict, rule};
pub use text::{NewGateway, NewMember, gateway_text, member_text};
