//! Ringway's DNS server: authoritative for the zone of this organization and for copies of the
//! members' zones; for other names it forwards to configured resolvers.
//!
//! It does not decide which zones exist, who may query or which addresses are reachable: the
//! gateway does, and publishes it here. Nor does it carry zones between gateways, except for saying
//! what to send and checking what arrives.
//!
//! Reading order:
//!
//! * `name`, `rrset` and [`rdata`]: the basic types of DNS;
//! * `zone`, built by `draft` from the sources (`own`, `source`, `zonefile`) and searched by
//!   `tree`;
//! * [`union`]: an organization's zone from what each of its gateways contributes;
//! * [`zones`]: the published set, with `reverse` and `reach`, which depend on addresses;
//! * [`answer`](mod@answer): from a query and the published set to a response;
//! * [`server`] with `acl` and [`cookie`]: sockets, who is answered, rate limits;
//! * `forward`: names outside the consortium;
//! * [`replica`], [`delta`], [`transfer`], `serial`, `store` and `hold`: how zones reach other
//!   gateways, how they are kept, and for how long;
//! * `text`, [`explain`] and [`mod@lint`]: records and responses for people, and probable mistakes.

#![forbid(unsafe_code)]

mod acl;
mod addresses;
pub mod answer;
pub mod cookie;
pub mod delta;
mod denial;
mod draft;
pub mod explain;
mod forward;
mod healthy;
mod hold;
mod hosts;
pub mod lint;
mod name;
mod own;
mod prefixes;
pub mod rdata;
mod reach;
pub mod replica;
mod reverse;
mod rrset;
#[cfg(test)]
mod scratch;
mod serial;
pub mod server;
mod source;
mod store;
mod text;
pub mod transfer;
mod tree;
pub mod union;
mod zone;
mod zonefile;
pub mod zones;

pub use acl::{Acl, Arrivals, Interface, Locality};
pub use answer::{Outcome, Transport, answer, answer_in_full};
pub use draft::ZoneError;
pub use forward::Forwarder;
pub use hold::{Hold, HoldFile, Moment};
pub use hosts::HostsError;
pub use name::Name;
pub use own::OwnZoneError;
pub use reach::Reach;
pub use replica::ReplicaError;
pub use reverse::stated_at;
pub use rrset::RRset;
pub use serial::SerialStore;
pub use server::{BindError, Counters, Options, QueryLog, Rate, Server};
pub use source::Sources;
pub use store::{FragmentStore, StoreError, Stored};
pub use transfer::{Due, Fetch, Offer, Parcel, Progress, Transfer, TransferError, Verdict};
pub use union::{AllowedAddresses, LeftOut, Union, unite};
pub use zone::Zone;
pub use zonefile::ZoneFileError;
pub use zones::{Origin, Publication, PublishError, ZoneSet, ZoneStatus, Zones};
