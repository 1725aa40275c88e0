//! Evaluates the policy for connections, without a packet: for `ringway policy`, for `check`, and
//! before a reload.
//!
//! ```text
//!   Config, verdicts, zone, host ─► Judge ─► ends of a connection ─► Judgement
//!                                     │ Rules: the same that judge packets
//! ```
//! This module decides nothing: every verdict is that of
//! [`Rules::explain`](ringway_filter::Rules::explain).

pub mod cells;
pub mod ends;
pub mod former;
pub mod judge;
pub mod log;

pub mod names;
pub mod tests;

pub use ends::{Ends, Unresolved};
pub use judge::{Judge, Judgement};
pub use tests::TestResults;
