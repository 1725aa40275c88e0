//! Ringway's gateway as a library: what the `ringway` binary is made of, and what its tests drive.
//!
//! Reading order: [`prepare`] (the files), [`run`] (how a gateway comes up), [`ringway_shell`]
//! (what it does) and [`drive`] (how that is carried out), then the ports: [`quic`], [`plane`] (the
//! TUN device and its threads), [`watch`], [`names`], [`kubernetes`] and [`zones`] (DNS),
//! [`policy`] (what its rules say), [`admin`], [`http`] and [`cli`] (what operators see).
//! [`capabilities`] comes before all of it.

pub mod admin;
pub mod attention;
pub mod capabilities;
pub mod cli;
pub mod dns_ports;
pub mod drive;
pub mod explain;
pub mod features;
pub mod ha;
pub mod health;
pub mod http;
mod ipv6;
pub mod json;
pub mod kubernetes;
pub mod logging;
pub mod names;
mod notes;
pub mod plane;
pub mod policy;
pub mod prepare;
pub mod quic;
pub mod resolver;
pub mod route_numbers;
pub mod run;
pub mod service_manager;
pub mod state;
pub mod tasks;
pub mod watch;
pub(crate) mod wireguard;
pub mod zones;
