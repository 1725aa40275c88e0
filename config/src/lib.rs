//! Ringway's vocabulary and its files: `gateway.toml` and the member records.
//!
//! Reading order: the vocabulary ([`name`], [`prefix`], [`member`], [`config`], [`policy`],
//! [`tunnel`], [`ha`]); the files it comes from (`file`, [`reading`], [`edits`], [`keys`],
//! [`defaults`], [`limits`], [`fault`], [`text`]); whose gateways serve a site ([`via`],
//! [`transit`], [`serving`]) and when ([`mod@announce`]); which address ranges collide
//! ([`overlap`]) and who may use them ([`verdict`], [`conflict`], [`accepted`]); which record is
//! the newest ([`newest`], kept in a [`ledger`]) and how one follows the other ([`mod@upgrade`],
//! [`changes`]); what a reload has changed ([`difference`]), and what a refused one still takes
//! away ([`survey`], [`mod@meet`]).

#![forbid(unsafe_code)]

pub mod accepted;
mod address;
mod alike;
pub mod announce;
mod attached;
pub mod bogon;
pub mod changes;
pub mod config;
pub mod conflict;
pub mod crl_policy;
pub mod defaults;
pub mod difference;
pub mod disk;
pub mod dns_name;
pub mod edits;
pub mod endpoint;
pub mod escape;
pub mod fault;
mod file;
pub mod ha;
pub mod host_name;
pub mod http;
pub mod keys;
pub mod kubernetes;
pub mod ledger;
pub mod limits;
pub mod meet;
mod meeting;
pub mod member;
pub mod name;
pub mod newest;
pub mod node;
pub mod offers;
pub mod overlap;
pub mod policy;
pub mod prefix;
pub mod reading;
pub mod serving;
pub mod survey;
pub mod text;
pub mod transit;
pub mod tun_name;
pub mod tunnel;
pub mod upgrade;
pub mod verdict;
pub mod via;
pub mod wireguard;

pub use accepted::{Accepted, AcceptedError};
pub use announce::{Announce, AnnounceWatch};
pub use attached::without;
pub use bogon::{bogon, is_private, is_private_range};
pub use changes::{Changes, items};
pub use config::{
    ApexMode, Config, Dns, DnsData, DnsRecord, Forward, HealthCheck, Identity, RateLimit, Routes,
    ZoneFile,
};
pub use conflict::conflicts;
pub use crl_policy::CrlPolicy;
pub use difference::differences;
pub use dns_name::{DnsName, DnsNameError, reverse_name};
pub use edits::Edits;
pub use endpoint::{Endpoint, EndpointError, Host};
pub use escape::{Escaped, is_printable};
pub use fault::{Fault, Faults, Place, Position, Unwritten};
pub use file::socket_of;
pub use file::zone::Zone as OwnZone;
pub use ha::{Ha, Hook, VirtualAddress, VirtualAddressError};
pub use host_name::{HostName, HostNameError};
pub use http::HttpListen;
pub use kubernetes::Kubernetes;
pub use ledger::{Ledger, LedgerError};
pub use meet::{meet, narrow_policy, taken};
pub use member::{Digest, DigestError, Gateway, Member, PlacedPrefix, Revoked, Root, Site};
pub use name::{GatewayId, GatewayName, NameError, NodeName, OrgId, ServiceName, SiteId, ZoneName};
pub use newest::Newest;
pub use node::{Attach, Node, NodeResolver, Nodes};
pub use offers::{Offers, OffersError};
pub use overlap::{Claim, Connected, Overlap, Owner, claims, overlaps};
pub use policy::{
    Allow, AllowEgress, Asked, Egress, Expectation, NodeTarget, OnDenied, Opening, Origin, Party,
    PartyError, Policy, PolicyTest, PortRange, PortRangeError, Service, Target, fabric_services,
};
pub use prefix::{Prefix, PrefixError};
pub use serving::Unserved;
pub use survey::Survey;
pub use text::{NewGateway, NewMember, gateway_text, member_text};
pub use transit::{Transit, TransitSite, TransitSiteError};
pub use tun_name::{TunName, TunNameError};
pub use tunnel::Tunnel;
pub use upgrade::{UpgradeError, upgrade};
pub use verdict::{Ruling, Verdict, rule};
pub use via::Via;
pub use wireguard::{WireGuard, WireGuardKey, WireGuardKeyError};
