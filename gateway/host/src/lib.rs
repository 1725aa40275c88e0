//! The Linux kernel as a gateway uses it: TUN device, routes, interfaces, forwarding and packet
//! filter.
//!
//! Nothing here decides. The caller says which prefixes are reachable and what others may reach;
//! this crate makes the kernel agree. The data plane moves the packets.
//!
//! ```text
//!   LAN ──► forward ──► table 4600 ──► TUN ──► data plane      [routes], [tun]
//!   LAN ◄── from-tun (policy) ◄─────── TUN ◄── data plane      [firewall]
//!   elsewhere ──► dropped, with an address of the mesh         [guard]
//! ```
//!
//! The `unreachable` routes, the rules that lead to them and the guard outlive the daemon on
//! purpose: private traffic must never leak to the default route. [`routes::purge`] and
//! [`guard::Guard::remove`] remove them.
//!
//! Reading order: [`tun`], [`links`], [`forwarding`], [`firewall`], [`guard`], [`routes`],
//! [`virtual_address`], [`watch`].

#![deny(unsafe_code)]

pub mod firewall;
pub mod forwarding;
pub mod guard;
pub mod heap;
pub mod incoming;
pub mod links;
mod netlink;
pub mod obstacles;
pub mod routes;
pub mod sysctl;
pub mod traces;
pub mod tun;
pub mod tun_drops;
pub mod virtual_address;
pub mod watch;
