//! Ringway's gateway as a library: what the `ringway` binary is made of, and what its tests drive.

pub mod cli;
pub mod host;
pub mod identity;
pub mod lab;
pub mod logging;
pub mod prepare;
