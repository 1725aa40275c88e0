//! Detects what other programs change of our objects in the kernel: when to compare ([`Events`]),
//! what is restored ([`DeviceWatch`]), and which program changed it, as far as the kernel reports
//! that ([`Authors`]).
//!
//! Also detects filters and routes of other programs that stop the tunnels' traffic: for all
//! members ([`inspect`]) for one connection ([`obstructions`]), or for one
//! host's questions to our DNS server ([`dns_obstructions`]).
//!
//! Notifications only trigger an earlier comparison. Correctness depends on the contents, which are
//! compared every second: by digests, which cost microseconds while nothing has changed.

mod authors;
mod device;
mod device_watch;
mod events;
mod foreign_filters;
mod foreign_routes;
mod foreign_rules;
mod inspect;
mod ipsec;
mod member_routes;
mod obstructions;
mod peer_routes;
mod reach;
mod route_lookup;
pub(crate) mod table;

pub use authors::Authors;
pub use device_watch::DeviceWatch;
pub use events::Events;
pub use inspect::inspect;
pub use obstructions::{Connection, Obstructions, dns_obstructions, obstructions};
pub use reach::{Reach, reach};
