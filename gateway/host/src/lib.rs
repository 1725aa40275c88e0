//! The operating system behind narrow traits: the TUN device, kernel routes, links, forwarding and the
//! packet filter. Linux only.
//!
//! Nothing here decides: the core says which prefixes are reachable, the configuration says what others
//! may reach, and this module makes the kernel agree. Packets themselves are the data plane's.
//!
//! ```text
//!   LAN ──► forward ──► table 4600 ──► TUN ──► data plane      [routes], [tun]
//!   LAN ◄── from-tun (policy) ◄─────── TUN ◄── data plane      [firewall]
//! ```
//!
//! [`routes::Routes`] and [`firewall::Firewall`] have an in-memory version beside the real one.
//!
//! What outlives the daemon, on purpose: the `unreachable` routes and the rule that leads to them, so that
//! private traffic never leaks to the default route. [`routes::purge`] takes them away.
//!
//! Reading order: [`tun`], [`links`], [`forwarding`], [`routes`], [`firewall`].

#![deny(unsafe_code)]

pub mod firewall;
pub mod forwarding;
pub mod heap;
pub mod links;
mod netlink;
pub mod routes;
mod sysctl;
pub mod tun;

pub use ringway_intent::Families;
