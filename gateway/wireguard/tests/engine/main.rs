//! The engine between clients of gotatun's own and the data plane's tables, in memory.
//!
//! ```text
//!  0 ours     10.1/16            the gateway's site
//!  1 beta     10.2/16            a member's
//!  nodes      in ours, nested in each other as no file would have them
//! ```

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod bench;
mod floods;
mod pairs;
mod ranges;
