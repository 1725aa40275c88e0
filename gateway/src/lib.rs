//! Ringway's gateway as a library: what the `ringway` binary is made of, and what its tests drive.
//!
//! Reading order: [`prepare`] (the files), [`ringway_identity`] (whom to believe), [`run`] (how a gateway comes up),
//! [`drive`] (the loop around the core), [`quic`], [`ringway_host`] (the kernel), [`plane`] (the TUN device and its
//! threads), [`names`] and [`zones`] (DNS), [`admin`] and [`cli`] (what operators see).

use ringway_host as host;
use ringway_identity as identity;

pub mod admin;
pub mod cli;
pub mod drive;
mod json;
pub mod keeper;
pub mod logging;
pub mod membership;
pub mod names;
pub mod plane;
pub mod prepare;
pub mod quic;
pub mod run;
pub mod zones;
