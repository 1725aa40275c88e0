//! Detects what other programs change of our objects in the kernel: when to compare ([`Events`]),
//! and which program it was, as far as the kernel reports it ([`Authors`]).
//!
//! Also detects rules and routes of theirs that are in the way of our traffic: [`inquire`], or of
//! one connection: [`obstructions`].
//!
//! Notifications only make a comparison happen sooner. The contents decide: they are also compared
//! each second, with digests that cost microseconds while nothing has changed.

mod asked;
mod authors;
mod crossing;
mod device;
mod events;
mod foreign;
mod held;
mod inquire;
mod ipsec;
mod lookup;
mod peers;
mod strangers;
pub(crate) mod table;

pub use authors::Authors;
pub use crossing::{Crossing, obstructions};
pub use events::Events;
pub use held::Held;
pub use inquire::inquire;
