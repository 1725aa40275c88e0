//! The data plane of a gateway: IP packets between a TUN device and sealed UDP datagrams.
//!
//! ```text
//!            one immutable Snapshot (arc-swap), looked up, never changed
//!                  │                                    │
//!   TUN ─► egress ─► split ─► seal ─► UDP       UDP ─► demux ─► open ─► admit ─► coalesce ─► TUN
//!   super-  source: this site in the  one send  GRO     │      phase    shape    super-
//!   packets route: a peer     batch   (GSO)             │      replay   source   packets
//!           filter                                      ▼      AEAD     destination, filter
//!                                                 ControlSink: QUIC, events
//! ```
//! It looks up what the control plane has decided. It owns the packet format ([`Kind`],
//! [`HEADER_LEN`]), key derivation ([`KeyContext`], [`Secret`]), sessions ([`Outgoing`],
//! [`Incoming`]), the two checks ([`admit`], [`route`]), probes and their echoes, the threads
//! ([`Dataplane`]) of each lane ([`Lanes`]) and their [`Counters`]. Handshakes, routes and
//! liveness are not here; the policy is `ringway-filter`'s, which both directions ask.
//!
//! The threads are generic over their ends, [`Tun`] and [`Udp`]. Both have a version of the
//! kernel's and one in memory, so that whole gateways run in a test without root.
//!
//! Per packet it takes no lock, allocates nothing of its own and logs nothing.
//!
//! Reading order: `header`, `keys`, `replay`, `peer`, `session`, `ip`, `lanes`, `snapshot`,
//! `admit`, `egress`; `transport`, `checksum`, `offload`, `split`, `coalesce`, `mss`; `tun` and
//! `udp`; then the threads: `dataplane`, `backlog`, `outlet`, `sealer`, `sender`,
//! `receiver`. What is fast,
//! and why: PERFORMANCE.md.

#![deny(unsafe_code)]

mod admit;
mod answer;
mod answers;
mod backlog;
mod budget;
mod checksum;
mod coalesce;
mod companions;
mod counters;
#[cfg(test)]
mod craft;
mod dataplane;
mod egress;
mod flow_records;
mod gso_batch;
mod handover;
#[doc(hidden)]
pub mod harness;
mod header;
mod held_syns;
mod ip;
mod keys;
mod lanes;
mod mss;
mod offload;
mod outage;
mod outlet;
mod peer;
mod probe;
mod queue;
mod receiver;
mod replay;
mod resets;
mod sealer;
mod sender;
mod session;
mod shutdown;
mod sink;
mod snapshot;
mod split;
mod sys;
mod table;
mod traffic_class;
mod transport;
mod tun;
mod turns;
mod udp;
mod unrouted;

pub use admit::{admit, admit_from_node};
pub use answers::Unreachable;
pub use counters::{Counters, Counts, DropReason};
pub use dataplane::{Dataplane, Shared};
pub use egress::{route, route_to_node};
pub use flow_records::FlowRecords;
pub use header::{Checksum, HEADER_LEN, Header, Kind, OVERHEAD, TAG_LEN};
pub use keys::{Aead, EXPORTER_LABEL, KeyContext, Role, Secret};
pub use lanes::{Lanes, share_port};
pub use outage::{Outage, OutageCause};
pub use peer::Peer;
pub use probe::{send_padded_probe, send_probe};
pub use session::{Incoming, Outgoing, Path};
pub use shutdown::{Failure, ThreadRole};
pub use sink::{ControlSink, Event};
pub use snapshot::{SiteNo, Snapshot, SnapshotBuilder};
pub use table::PrefixTable;
pub use traffic_class::TrafficClass;
pub use tun::{ChannelHost, ChannelTun, Tun};
pub use udp::{ChannelNetwork, ChannelUdp, Metadata, TunnelSocket, Udp};
