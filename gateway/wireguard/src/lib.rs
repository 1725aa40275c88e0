//! Standard WireGuard clients as attached nodes.
//!
//! ```text
//!   UDP, a port of its own ─► handshakes ─► gotatun ─► source check ─► TUN, a device of its own
//!                             budget, cookie  opens     the node's,      │ the kernel routes
//!                                                       then admit       ▼
//!                                                                      site, or the TUN of tunnels
//! ```
//! gotatun owns the protocol: handshakes, sessions, timers. Which client a packet is of, and what
//! it may reach, is decided here ([`Engine`]): an address belongs to the node whose prefix holds it
//! most specifically ([`Sources`]), and the data plane's tables judge where it may go, as for every
//! attached node. The policy judges between clients and members where the packet enters or leaves a
//! tunnel, as for hosts of the site.
//!
//! One thread ([`Service`]) does everything. No packet ends it, whatever is in it.

mod client;
mod counts;
mod engine;
mod handshakes;
mod key;
mod service;
mod sources;

pub use client::ClientStatus;
pub use counts::Counts;
pub use engine::{Ends, Engine};
pub use key::{KeyError, PrivateKey};
pub use service::{Parts, Reopen, Report, Service, Tell};
pub use sources::Sources;

/// Bytes of the longest packet in a client's tunnel: 1500, less the IPv6, UDP and WireGuard
/// headers.
pub const MTU: u16 = 1420;
