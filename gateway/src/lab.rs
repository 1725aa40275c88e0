//! The laboratory: a consortium of three organizations on one machine, in network namespaces made here.
//!
//! Owns the namespaces `<lab>-*`, their `/etc/netns` directories and everything under
//! `/run/ringway-lab/<lab>`. The gateways in it are the real binary run as a user would run it: `org init`,
//! `member add`, `check`, `run`. Nothing here knows how a gateway works inside.
//!
//! ```text
//!   orderer0.org0  orderer1.org0      peer0.org1  peer1.org1       peer0.org2  peer1.org2
//!        └────────┬───────┘                └─────┬─────┘                 └─────┬─────┘
//!             10.10.0.0/24                  10.10.1.0/24                  10.10.2.0/24       the VPCs: a switch each,
//!             fd00:10::/64                  fd00:10:1::/64                fd00:10:2::/64     in a namespace of its own
//!               gw.org0                       gw.org1                       gw.org2
//!             203.0.113.2                   203.0.113.6                   203.0.113.10
//!             2001:db8::2                   2001:db8:0:1::2               2001:db8:0:2::2
//!                  └────────────────────────── wan ──────────────────────────┘
//!                        routes, and drops every private source and destination
//! ```
//!
//! Reading order: [`topology`] (who there is), [`network`] and [`wan`] (links and addresses), [`consortium`]
//! (files), [`laboratory`] (up, down, start, kill), [`demo`].

pub mod cli;
pub mod consortium;
pub mod demo;
pub mod interrupt;
pub mod laboratory;
pub mod network;
pub mod ping;
pub mod process;
pub mod program;
pub mod state;
pub mod status;
pub mod topology;
pub mod traffic;
pub mod wait;
pub mod wan;

pub use cli::{Args, run};
pub use laboratory::{Lab, Options};
pub use topology::{Kind, Node, Topology};
