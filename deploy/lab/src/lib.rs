//! The laboratory: a consortium of three organizations on one machine, in network namespaces.
//!
//! It owns the namespaces `<lab>-*`, their directories under `/etc/netns`, and everything under
//! `/run/ringway-lab/<lab>`. Its gateways run the real `ringway` program, set up with an operator's
//! commands: `org init`, `member add`, `check`, `run`. The laboratory does not depend on a
//! gateway's internals.
//!
//! ```text
//!   orderer0.org0  orderer1.org0     peer0.org1  peer1.org1      peer0.org2  peer1.org2
//!        └────────┬───────┘               └─────┬─────┘                └─────┬─────┘
//!             10.10.0.0/24                 10.10.1.0/24                 10.10.2.0/24
//!             fd00:10::/64                 fd00:10:1::/64               fd00:10:2::/64
//!               gw.org0                      gw.org1                      gw.org2
//!             203.0.113.2                  203.0.113.6                  203.0.113.10
//!             2001:db8::2                  2001:db8:0:1::2              2001:db8:0:2::2
//!                  └───────────────────────── wan ─────────────────────────┘
//!                     routes, and drops every private source and destination
//! ```
//!
//! With [`topology::Extra::Siblings`], org0's site has a second gateway, gw2.org0, and virtual
//! addresses (10.10.0.3, fd00:10::3), which its hosts use as their router and resolver. With
//! [`topology::Extra::Attach`], org0 has a host in a data centre behind NAT (`data_centre`).
//!
//! Each VPC is a switch in a network namespace; the machines of its site are connected to it.
//!
//! Reading order: [`topology`] (machines, names, addresses), [`network`] and [`wan`] (links and
//! filters), `consortium` and `data_centre` (the daemons' files), [`laboratory`] (up, down, start,
//! kill), `demo`.

pub mod cli;
mod consortium;
mod data_centre;
mod demo;
mod interrupt;
pub mod laboratory;
pub mod network;
pub mod ping;
pub mod process;
pub mod program;
mod state;
pub mod status;
mod step;
pub mod topology;
mod traffic;
pub mod wait;
pub mod wan;

pub use laboratory::{Lab, Options};
pub use step::Step;
pub use topology::Kind;
