//! The filter: every packet that comes out of a tunnel is judged here before it is written to the
//! TUN device, and every packet that goes into one before it is sealed.
//!
//! ```text
//!   peer ─► open ─► admit ─► Filter::arrives ─► TUN      TUN ─► route ─► Filter::leaves ─► seal
//!                              │                                           │
//!                              │ Rules: services, stateless                │ Rules: egress
//!                              │ flows of ours: replies                    │ flows: recorded
//!                              │ grace, ICMP errors, fragments             │ SYN-ACK, fragments
//! ```
//! Nothing of the kernel takes part: no conntrack, no nftables. It performs no I/O and reads no
//! clock; `now` is an argument. `admit` and `route` (`ringway-dataplane`) have checked who may use
//! the two addresses; the filter checks who may open what, and what is an answer.
//!
//! * A **service** is stateless: what a rule allows passes, under the rules of the moment.
//! * A **flow** is ours or theirs, by who opened it. Only packets of our hosts make a flow ours,
//!   and only flows of ours let anything in that no rule allows.

#![forbid(unsafe_code)]

mod cache;
mod clock;
mod counts;
#[cfg(test)]
mod craft;
mod denied;
mod filter;
mod flows;
mod fragments;
mod grace;
mod holders;
mod neighbour;
mod packet;
mod record;
mod rules;
mod settings;
mod sip;
mod spec;
mod tcp_flow;
mod verdict;
mod waiting;

use std::time::Duration;

pub use cache::FilterCache;
pub use counts::{Counts, HostAnswers, OrgCounts, RuleCounts};
pub use denied::{DeniedPacket, Direction};
pub use filter::Filter;
pub use neighbour::Neighbour;
pub use record::{FlowProtocol, FlowRecord};
pub use rules::{Explanation, Rules};
pub use settings::Settings;
pub use spec::{RemoteSite, RulesSpec};
pub use tcp_flow::TcpFlow;
pub use verdict::{Reason, Verdict};
pub use waiting::{MOST_WAITING, WAIT, Waiting};

/// How long a TCP flow may be idle (RFC 5382, REQ-5).
pub const TCP_IDLE: Duration = Duration::from_secs(2 * 3600 + 4 * 60);
/// Records that wait for [`Filter::next_record`].
pub const MOST_UNSHARED: usize = 4096;
/// Denied packets that are kept.
pub const MOST_DENIED_KEPT: usize = 256;
