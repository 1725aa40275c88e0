//! The host as plain values: what a gateway observes of it ([`Links`]) and what it wants there
//! ([`RoutePlan`], [`PolicySpec`]), derived from the configuration and the verdicts on its
//! prefixes.
//!
//! Pure. `ringway-host` reads and writes these values, `ringway-shell` decides when; neither needs
//! to know the other.

#![forbid(unsafe_code)]

mod families;
mod filter;
mod inquiry;
mod links;
mod routes;
mod thing;

pub use families::Families;
pub use filter::{PolicySpec, policy};
pub use inquiry::{Inquiry, Way, ways};
pub use links::{Address, Links};
pub use routes::{RoutePlan, RouteState, Tunnelled, plan_routes, tunnelled};
pub use thing::{Checked, Finding, Missing, Restoration, Thing};
