//! [`Alarm`]: a problem for an operator that does not stop the mesh.
//!
//! Alarms are bounded: a peer that misbehaves without end causes a few for each session and is then
//! only counted.

use ringway_config::{GatewayId, Prefix};
use thiserror::Error;

use crate::message::{FieldError, Kind, RefuseReason};

/// A fault that does not stop the mesh. [`Display`](std::fmt::Display) is the text for operators.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Alarm {
    /// Two daemons use one identity: their boot ids alternate.
    #[error("two daemons use the identity {peer}")]
    DuplicateIdentity {
        /// The identity.
        peer: GatewayId,
    },
    /// The peer reports that another daemon uses our identity.
    #[error("{peer} has a session with another daemon of our identity")]
    OurIdentityElsewhere {
        /// The peer that reports it.
        peer: GatewayId,
    },
    /// A peer claims prefixes that it may not.
    #[error("{count} claims of {peer} refused, first {prefix}: {reason}")]
    ClaimsRefused {
        /// The claiming peer.
        peer: GatewayId,
        /// The first of the prefixes.
        prefix: Prefix,
        /// Why that one is refused.
        reason: RefuseReason,
        /// Number of prefixes that are refused now.
        count: usize,
    },
    /// A peer refuses prefixes of ours.
    #[error("{peer} refuses {count} of our prefixes, first {prefix}: {reason}")]
    RefusedByPeer {
        /// The refusing peer.
        peer: GatewayId,
        /// The first of the prefixes.
        prefix: Prefix,
        /// The peer's reason.
        reason: RefuseReason,
        /// Number of prefixes that it refuses now.
        count: usize,
    },
    /// A peer sent a message that could not be read. It counts as a withdrawal of its content.
    #[error("malformed {kind} from {peer}: {error}")]
    Malformed {
        /// The sender.
        peer: GatewayId,
        /// Which message.
        kind: Kind,
        /// What is wrong with it.
        error: FieldError,
    },
}

impl Alarm {
    /// The peer that it is about.
    pub fn peer(&self) -> &GatewayId {
        match self {
            Alarm::DuplicateIdentity { peer }
            | Alarm::OurIdentityElsewhere { peer }
            | Alarm::ClaimsRefused { peer, .. }
            | Alarm::RefusedByPeer { peer, .. }
            | Alarm::Malformed { peer, .. } => peer,
        }
    }
}
