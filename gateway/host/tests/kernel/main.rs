//! The operating system's side, on real kernels: each test makes its own network namespaces, as root.
//!
//! ```text
//!   remote ── veth named ringway0 ── gateway ── eth1 ── node        firewall, forwarding
//!                                    gateway: a real TUN            tun, routes
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests are tests"
)]

mod firewall;
mod forwarding;
mod links;
mod namespace;
mod routes;
mod site;
mod tun;
