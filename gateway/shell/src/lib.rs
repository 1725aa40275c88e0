//! The behaviour of a gateway as a deterministic state machine: it takes an [`Input`] and the time,
//! and returns [`Effect`]s.
//!
//! The [`Shell`] owns the mesh core and everything around it that decides: the queue of changes,
//! what is in force, which keys the data plane's tables may name, which routes the kernel must
//! have, and in which order all of it comes and goes. It waits for nothing, reads no clock and no
//! file, opens no socket and starts no task. The executor (`drive.rs` of the gateway) carries the
//! effects out, one call of a port each; the simulation in `tests/sim` does the same in memory.
//! What the simulation proves is what ships.
//!
//! ```text
//!   links (QUIC)      ─┐                             ┌─► links: dial, start, send, close
//!   packets (echoes)  ─┤                             ├─► packets: keys, tables, probes
//!   host (addresses)  ─┼─► Input ─► Shell ─► Effect ─┼─► host: routes, filter, device
//!   jobs (files read) ─┤             Mesh            ├─► jobs: read, build, save, trim
//!   clock, signals    ─┘                             └─► names: reach, zones
//! ```
//! Reading order: [`input`](Input), [`effect`](Effect), `shell` (the way of each input), `changes`
//! (the queue), `reload` and `host` (what a change does), `session`, `routes`, then the small
//! clocks: `clock`, `silence`, `hold_down`, `heap`.
//!
//! Effects keep these orders, and the simulation watches them:
//! * keys that open a peer's packets are in the published tables before the `Hello` that names them
//!   is sent, and gone from them before their connection is closed;
//! * published tables never name a session whose keys are not installed;
//! * the packet filter has the new rules before a changed configuration is adopted;
//! * after [`Effect::Stop`] nothing is written to the kernel, and no route leads into a tunnel.

#![forbid(unsafe_code)]

mod alarms;
mod announcer;
mod carrier;
mod challenges;
mod changes;
mod clock;
mod current;
mod drift;
mod effect;
mod former;
mod guard_retry;
mod heap;
mod hold_down;
mod host;
mod input;
mod inspector;
mod next;
mod notice;
mod outages;
mod packet_effect;
mod perform;
mod phase;
mod policy;
mod refusal;
mod reload;
mod routes;
mod session;
mod sharing;
mod shell;
mod silence;
mod start;
mod tables;
mod watch;

pub use changes::ChangeId;
pub use current::{CurrentConfig, membership};
pub use effect::Effect;
pub use former::everything;
pub use input::{Activity, Handshake, IdentityFacts, Input, RoutesOutcome, Untrusted, Verified};
pub use next::NextConfig;
pub use notice::Notice;
pub use outages::{Outage, OutageCause};
pub use packet_effect::PacketEffect;
pub use policy::rules;
pub use session::OVERHEAD;
pub use shell::Shell;
pub use start::Start;
pub use tables::{Companions, SiteNumber, Tables};
