//! Kernel routes to the other sites: our own routing table, the rule that selects it, and two
//! routes for each prefix.
//!
//! ```text
//!   priority 0      local table                              the kernel's
//!   priority 4600   not fwmark MARK  ──►  table 4600         ours, IPv4 and IPv6
//!       10.2.0.0/16 dev ringway0 src 10.1.0.2 metric 100 mtu 1440     while a tunnel is up
//!       10.2.0.0/16 dev ringway0 src 10.1.0.2 metric 200, protocol + 1  while none is up
//!       10.2.0.0/16 unreachable metric 4294967294                     at all times
//!   priority 32764  our own prefixes: see `rule`             ours
//!   priority 32766  main table                               the host's
//! ```
//!
//! Table, protocol number and mark come from the configuration (`[routes]`). The tunnel's own
//! packets carry the mark and skip the table, because an endpoint may lie inside a prefix that it
//! serves.
//!
//! Invariants:
//! * A wanted prefix is never without its `unreachable` route: it is added before and removed after
//!   the route through the TUN. Private traffic meets an ICMP error, never the default route.
//! * While no tunnel is up, a member's prefix still leads to the TUN, where the data plane answers.
//!   These routes have their own protocol number, so that other programs can tell them from live
//!   ones.
//! * The `unreachable` routes and the rule outlive the daemon, however it ends: fail closed. The
//!   next [`KernelRoutes::sync`] adopts them; [`purge`] removes them.
//! * Only routes of our table *and* protocols are ours; all others are left alone.
//!
//! A route through the TUN has the MTU of its tunnel. The kernel acts as any router: it fragments
//! IPv4 packets that allow it, and answers others with "fragmentation needed" (RFC 792) or "packet
//! too big" (RFC 4443), from its own address, rate-limited, and never in answer to an ICMP error.
//!
//! The caller decides which prefixes are wanted. They must not include this site's.

mod difference;
mod digest;
mod kernel;
pub(crate) mod message;
mod neighbour;
mod rule;

use std::io;

use ringway_config::{Prefix, Routes as Numbers};

pub use kernel::{KernelRoutes, purge};
pub use neighbour::neighbour;
pub(crate) use rule::{BY_HOST_PRIORITY, is_ours as is_our_rule};

/// Metric of the routes through the TUN.
pub(crate) const TUNNEL_METRIC: u32 = 100;
/// Metric of the routes through the TUN while no tunnel is up.
const DOWN_METRIC: u32 = 200;
/// Metric of the `unreachable` routes: the second worst, so that any other route is preferred.
const UNREACHABLE_METRIC: u32 = u32::MAX - 1;
/// Priority of the rule: after the `local` table (0), before `main` (32766).
pub(crate) const RULE_PRIORITY: u32 = 4600;

/// Protocol number of the routes through the TUN while no tunnel is up: the number after ours, or
/// before it if ours is the highest.
fn down_protocol(numbers: &Numbers) -> u8 {
    numbers.protocol.checked_add(1).unwrap_or(u8::MAX - 1)
}

/// The interface indices of our devices. They change when a device is re-created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Devices {
    /// Index of the TUN; `None` when routes are only removed.
    tun: Option<u32>,
    /// Index of the device for WireGuard clients, if there is one.
    wireguard: Option<u32>,
}

/// As [`ringway_intent::is_default`].
const LONGEST_DEFAULT_V4: u32 = 1;
const LONGEST_DEFAULT_V6: u32 = 3;

/// Why the kernel's routes are not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// A dump failed.
    #[error("cannot list the routes and rules of table {table}")]
    List {
        /// Our table.
        table: u32,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// The rule could not be added or removed.
    #[error("cannot change the rule that leads to table {table}; ringway needs CAP_NET_ADMIN")]
    Rule {
        /// Our table.
        table: u32,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// Some routes could not be added or removed; the others were.
    #[error("the kernel refused changes, the first of {route}")]
    Refused {
        /// The prefixes that lack a wanted route.
        refused: Vec<Prefix>,
        /// The first refused route, as `ip route` writes it.
        route: String,
        /// The kernel's error about that route.
        #[source]
        source: io::Error,
    },
}
