//! The crate on a real kernel. Each test creates network namespaces of its own, as root.
//!
//! ```text
//!   remote ── veth named ringway0 ── gateway ── eth1 ── node        firewall, guard
//!                                    gateway: a real TUN            tun, routes
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests are tests"
)]

mod firewall;
mod foreign;
mod foreign_filters;
mod forwarding;
mod guard;
mod hold;
mod links;
mod namespace;
mod obstructions;
mod routes;
mod site;
mod traces;
mod tun;
mod virtual_address;
mod watch;

use ringway_config::TunName;

/// The device of every test.
fn tun_name() -> TunName {
    "ringway0".parse().unwrap()
}
