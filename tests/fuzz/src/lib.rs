//! The fuzz targets. Each is a function that takes any bytes and fails by a panic. It returns whether
//! the bytes were of any use, so that a test can tell that its samples are good ones.
//!
//! `cargo fuzz` drives them by coverage (see Cargo.toml). The tests named `mutated` (in `dns`,
//! `gateway/core` and `gateway/dataplane`) drive the same functions with damaged samples in every
//! test run.

pub mod control;
pub mod dns;
pub mod mesh;
pub mod packet;
