//! The data plane of a gateway: IP packets between a TUN device and sealed UDP datagrams.
//!
//! ```text
//!            one immutable Snapshot (arc-swap), looked up, never changed
//!                  │                                    │
//!   TUN ─► egress ─► split ─► seal ─► UDP       UDP ─► demux ─► open ─► admit ─► coalesce ─► TUN
//!   super-  own source       in the  one send   GRO     │      phase    sane IP  super-
//!   packets route = peer     train   (GSO)              │      replay   source   packets
//!                                                       ▼      AEAD     destination
//!                                                 ControlSink: QUIC, events
//! ```
//! It looks up what the control plane decided. It owns the packet format ([`Kind`], [`HEADER_LEN`]), key
//! derivation ([`KeyContext`], [`Secret`]), sessions ([`Outgoing`], [`Incoming`]), the two checks
//! ([`admit`], [`route`]), probes and their echoes, the threads ([`Dataplane`]) of each lane ([`Lanes`]) and their
//! [`Counters`].
//! Handshakes, routes, liveness and policy are not here.
//!
//! Per packet it takes no lock, allocates nothing of its own and logs nothing.
//!
//! Reading order: `header`, `keys`, `replay`, `peer`, `session`, `ip`, `lanes`, `snapshot`, `admit`, `egress`; `transport`,
//! `checksum`, `offload`, `split`, `coalesce`, `mss`; then the threads: `dataplane`, `backlog`, `load`, `send`, `receive`. What is fast, and
//! why: PERFORMANCE.md.

#![deny(unsafe_code)]

mod admit;
mod backlog;
#[doc(hidden)]
pub mod bench;
mod budget;
mod checksum;
mod coalesce;
mod counters;
#[cfg(test)]
mod craft;
mod dataplane;
mod egress;
mod fragment;
mod halt;
mod header;
mod ip;
mod keys;
mod lanes;
mod link;
mod load;
mod mss;
mod offload;
mod peer;
mod probe;
mod receive;
mod replay;
mod send;
mod session;
mod sink;
mod snapshot;
mod split;
mod sys;
mod table;
mod train;
mod transport;
mod tun;

pub use admit::admit;
pub use counters::{Counters, Counts, DropReason};
pub use dataplane::Dataplane;
pub use egress::route;
pub use header::{Checksum, HEADER_LEN, Header, Kind, OVERHEAD, PARTIAL_CHECKSUM, TAG_LEN};
pub use keys::{Aead, EXPORTER_LABEL, KeyContext, Role, Secret};
pub use lanes::{Lanes, share_port};
pub use link::configure_socket;
pub use peer::Peer;
pub use probe::{send_padded_probe, send_probe};
pub use replay::WINDOW;
pub use session::{Incoming, Outgoing, Path};
pub use sink::{ControlSink, Event};
pub use snapshot::{SiteNo, Snapshot, SnapshotBuilder};
