//! Standard WireGuard clients as attached nodes.
//!
//! ```text
//!   UDP, a port of its own ─► handshakes ─► gotatun ─► source check ─► TUN, a device of its own
//!                             budget, cookie  opens     the node's,      │ the kernel routes
//!                                                       then admit       ▼
//!                                                                      site, or the TUN of tunnels
//! ```
//! gotatun owns the protocol: handshakes, sessions and timers. [`Engine`] decides which client a
//! packet belongs to and what that client may reach. An address belongs to the node with the most
//! specific prefix for it ([`Sources`]). Where its packets may go is decided by the data plane's
//! tables, as for every attached node. The policy applies where a packet enters or leaves a tunnel,
//! as for hosts of the site.
//!
//! One thread ([`Service`]) does everything. No packet, whatever its content, ends it.

mod client;
mod counts;
mod engine;
mod handshakes;
mod key;
mod service;
mod sources;
mod stranger;

pub use client::ClientStatus;
pub use counts::Counts;
pub use engine::{Engine, Output};
pub use key::{KeyError, PrivateKey};
pub use service::{OnActivity, Parts, Reopen, Report, Service};
pub use sources::Sources;
pub use stranger::Stranger;

/// Bytes of the largest packet in a client's tunnel: 1500, minus the IPv6, UDP and WireGuard
/// headers.
pub const MTU: u16 = 1420;
