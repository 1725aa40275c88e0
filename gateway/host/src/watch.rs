//! What others change of what this daemon has set in the kernel: when to look ([`Events`]), and who
//! it was, as far as the kernel tells ([`Authors`]).
//!
//! And what they have set that is in the way of our traffic: [`inquire`].
//!
//! Notifications only hasten a look. What counts is content: it is compared each second as well,
//! by digests that cost microseconds while nothing has changed.

mod asked;
mod authors;
mod events;
mod foreign;
mod held;
mod inquire;
mod strangers;
pub(crate) mod table;

pub use authors::Authors;
pub use events::Events;
pub use held::Held;
pub use inquire::inquire;
