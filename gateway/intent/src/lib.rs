//! The host as plain values: what a gateway observes ([`Links`]), and what it wants the host to
//! look like ([`RoutePlan`], [`GuardSpec`]), derived from the configuration and the verdicts on its
//! prefixes.
//!
//! Pure. `ringway-host` reads and writes these values and `ringway-shell` decides when; neither
//! depends on the other.

#![forbid(unsafe_code)]

mod absent;
mod announcement;
mod families;
mod far;
mod guard;
mod inspection;
mod links;
mod remedy;
mod routes;
mod scope;
mod situation;
mod thing;

pub use absent::{ADDRESS_MISSING, absent_dns, absent_dns_address, absent_listen};
pub use announcement::{UNANNOUNCED, Unannounced, announceable, unannounced};
pub use families::Families;
pub use far::far_virtual_addresses;
pub use guard::{GuardSpec, guard, has_siblings};
pub use inspection::{HostPair, Inspection, dialled_ports, host_pairs, peers, tcp_ports};
pub use links::{Address, HostRoute, Links, is_default};
pub use remedy::Remedy;
pub use routes::{RoutePlan, RouteState, Tunnelled, plan_closed_routes, plan_routes, tunnelled};
pub use scope::Scope;
pub use situation::{Situation, held};
pub use thing::{Checked, Finding, Missing, Restoration, Thing, TunDevice};
