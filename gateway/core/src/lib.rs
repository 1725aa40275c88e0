//! The mesh as a deterministic state machine. It decides which peers are dialled, which session of
//! a tunnel is used and which claims become routes. It has no sockets, files, clocks or sources of
//! randomness: the time and a seed are arguments, and the shell carries out the [`Action`]s.
//!
//! Reading order: [`membership`], [`mesh`] (inputs and outputs), `tunnel` (one peer), `session`
//! (one handshake), `dial`, `liveness`, `path_mtu`, `claims` and `rib`, then [`message`] (the
//! control stream, specified in gateway/PROTOCOL.md).

#![forbid(unsafe_code)]

pub mod action;
pub mod alarm;
pub mod close_reason;
pub mod connection_error;
pub mod dial_error;
pub mod external_text;
pub mod fib;
pub mod id;
pub mod membership;
pub mod mesh;
pub mod message;
pub mod settings;
pub mod standing;
pub mod status;
pub mod trust_error;
pub mod tunnel_error;

mod allowance;
mod backoff;
mod boots;
mod claims;
mod context;
mod dial;
mod held_record;
mod liveness;
mod outage;
mod path_mtu;
mod rank;
mod record_drift;
mod rib;
mod rng;
mod round_trips;
mod secret;
mod session;
mod siblings;
mod timers;
mod tunnel;

pub use action::{Action, PolicyEnvelope};
pub use alarm::Alarm;
pub use close_reason::CloseReason;
pub use connection_error::ConnectionError;
pub use dial::race_step;
pub use dial_error::DialError;
pub use external_text::ExternalText;
pub use fib::Fib;
pub use held_record::HeldRecord;
pub use id::{BootId, ConnId, DialId, SessionIndex};
pub use membership::{GatewayInfo, Membership, Passing};
pub use mesh::{Connected, Mesh, Role};
pub use message::{
    Aead, Answer, ByeCode, Decoder, FieldError, FragmentMessage, FramingError, Hello, Incoming,
    Kind, Lane, Message, NodeAway, Offer, PolicyMessage, PolicyVerdict, Refuse, RefuseReason,
    Relay, ServicesOrigin, SiblingMessage, SiblingState, VersionMismatch, ZoneMessage,
};
pub use outage::OutageStatus;
pub use rank::Rank;
pub use record_drift::{Drift, FiledRecords, RecordDrift};
pub use round_trips::RoundTrips;
pub use secret::Secret;
pub use settings::Settings;
pub use siblings::{Contact, Refusal, SiblingSettings, SiblingStatus, SiteStatus};
pub use standing::{RoleReason, SiteRole, Standing};
pub use status::{Loss, PeerSession, RouteStatus, SessionRank, Status, TunnelState, TunnelStatus};
pub use trust_error::TrustError;
pub use tunnel_error::TunnelError;
