//! What others change of what this daemon has set in the kernel: when to look ([`Events`]), and who
//! it was, as far as the kernel tells ([`Authors`]).
//!
//! Notifications only hasten a look. What counts is content: it is compared each second as well,
//! by digests that cost microseconds while nothing has changed.

mod authors;
mod events;
mod held;
pub(crate) mod table;

pub use authors::Authors;
pub use events::Events;
pub use held::Held;
