//! What an operator may ask a running gateway: one request a line on a unix socket, one JSON document
//! as the answer. The drive makes the [`Report`]; the command line renders it.

pub mod report;
pub mod socket;

pub use report::Report;
