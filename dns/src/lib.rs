//! Ringway's private DNS: each organization's zone, the others' replicas, and the server that answers from them.
//!
//! Reading order: [`name`], [`rrset`] and [`rdata`] (the words), [`zone`] with [`draft`] (how one is
//! made), [`own`], [`source`] and [`zonefile`] (from what) and `tree` (how one is searched),
//! [`answer`](mod@answer) (what a question gets), [`zones`] (what is published) with `reverse` and [`reach`]
//! (what follows from addresses), [`replica`], [`delta`], [`transfer`], [`serial`], [`store`] and
//! [`hold`] (how zones travel and stay), then [`server`] and [`acl`] (who is answered, and how) and [`forward`] (other names).
//! For people: [`text`] and [`explain`].

#![forbid(unsafe_code)]

pub mod acl;
pub mod answer;
pub mod cookie;
pub mod delta;
mod denial;
mod disk;
pub mod draft;
pub mod explain;
pub mod forward;
pub mod hold;
mod loc;
pub mod name;
pub mod own;
mod prefixes;
pub mod rdata;
pub mod reach;
pub mod replica;
mod reverse;
pub mod rrset;
pub mod serial;
pub mod server;
pub mod source;
pub mod store;
pub mod text;
pub mod transfer;
mod tree;
pub mod zone;
pub mod zonefile;
pub mod zones;

pub use acl::{Acl, Locality};
pub use answer::{Outcome, Transport, answer, answer_in_full};
pub use draft::{Draft, ZoneError};
pub use explain::Explained;
pub use forward::Forwarder;
pub use hold::{Hold, HoldFile, Moment};
pub use name::Name;
pub use own::OwnZoneError;
pub use reach::Reach;
pub use replica::ReplicaError;
pub use rrset::RRset;
pub use serial::SerialStore;
pub use server::{BindError, Counters, Options, QueryLog, Rate, Server};
pub use source::Sources;
pub use store::{ReplicaStore, StoreError, Stored};
pub use transfer::{Due, Fetch, Offer, Parcel, Progress, Transfer, TransferError, Verdict};
pub use zone::Zone;
pub use zonefile::ZoneFileError;
pub use zones::{Origin, PublishError, ZoneSet, ZoneStatus, Zones};
