//! The fuzz targets. Each is a function that takes any bytes and fails by a panic. It returns
//! whether the bytes were of any use, so that a test can tell that its samples are good ones.
//!
//! `tests/run fuzz` drives them by coverage. The tests named `mutated` (in `dns`, `gateway/core`,
//! `gateway/dataplane` and `gateway/filter`) and `config/tests/parser.rs` drive the same functions
//! with damaged samples.

pub mod config;
pub mod control;
pub mod dns;
pub mod filter;
pub mod mesh;
pub mod packet;
