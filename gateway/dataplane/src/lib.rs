//! The data plane of a gateway: IP packets between a TUN device and sealed UDP datagrams.
//!
//! ```text
//!            one immutable Snapshot (arc-swap), looked up, never changed
//!                  │                                    │
//!   TUN ─► split ─► egress ─► seal ─► UDP       UDP ─► demux ─► open ─► admit ─► coalesce ─► TUN
//!   recv_multiple   own source     runs (GSO)  (GRO)    │      phase    sane IP  send_multiple
//!                   route = peer                        │      replay   source
//!                                                       ▼      AEAD     destination
//!                                                 ControlSink: QUIC, events
//! ```
//! It looks up what the control plane decided. It owns the packet format ([`Kind`], [`HEADER_LEN`]), key
//! derivation ([`KeyContext`], [`Secret`]), sessions ([`Outgoing`], [`Incoming`]), the two checks
//! ([`admit`], [`route`]), probes and their echoes, the two threads ([`Dataplane`]) and their [`Counters`].
//! Handshakes, routes, liveness and policy are not here.
//!
//! Per packet it takes no lock, allocates nothing of its own and logs nothing.
//!
//! Reading order: `header`, `keys`, `replay`, `session`, `ip`, `snapshot`, `admit`, `egress`, then the
//! threads: `dataplane`, `send`, `receive`.

#![deny(unsafe_code)]

mod admit;
mod counters;
mod dataplane;
mod egress;
mod halt;
mod header;
mod ip;
mod keys;
mod link;
mod packet;
mod probe;
mod receive;
mod replay;
mod send;
mod session;
mod sink;
mod snapshot;
mod sys;
mod table;
mod train;

pub use admit::admit;
pub use counters::{Counters, Counts, DropReason};
pub use dataplane::Dataplane;
pub use egress::route;
pub use header::{HEADER_LEN, Header, Kind, OVERHEAD, PARTIAL_CHECKSUM, TAG_LEN};
pub use keys::{Aead, EXPORTER_LABEL, KeyContext, Role, Secret};
pub use link::configure_socket;
pub use probe::send_probe;
pub use replay::WINDOW;
pub use session::{Incoming, Outgoing, Path};
pub use sink::{ControlSink, Event};
pub use snapshot::{SiteNo, Snapshot, SnapshotBuilder};
