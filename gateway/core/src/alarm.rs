//! [`Alarm`]: what an operator should look at, although the mesh goes on.
//!
//! Bounded: a peer that misbehaves endlessly is reported a few times per session, then only counted.

use std::fmt;

use ringway_config::{GatewayId, Prefix};

use crate::message::{FieldError, Kind, RefuseReason};

/// Something wrong that does not stop the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// Two daemons use one identity: their boot ids alternate.
    DuplicateIdentity {
        /// The identity.
        peer: GatewayId,
    },
    /// The peer tells us that another daemon uses our identity.
    OurIdentityElsewhere {
        /// Who says so.
        peer: GatewayId,
    },
    /// A peer claims prefixes that it may not.
    ClaimsRefused {
        /// Who claims them.
        peer: GatewayId,
        /// The first of them.
        prefix: Prefix,
        /// Why that one is refused.
        reason: RefuseReason,
        /// How many are refused now.
        count: usize,
    },
    /// A peer refuses prefixes of ours.
    RefusedByPeer {
        /// Who refuses.
        peer: GatewayId,
        /// The first of them.
        prefix: Prefix,
        /// Why, in the peer's words.
        reason: RefuseReason,
        /// How many it refuses now.
        count: usize,
    },
    /// A peer sent a message that could not be read; it was treated as a withdrawal of what it carried.
    Malformed {
        /// Who sent it.
        peer: GatewayId,
        /// Which message.
        kind: Kind,
        /// What is wrong with it.
        error: FieldError,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateIdentity { peer } => write!(f, "two daemons use the identity {peer}"),
            Self::OurIdentityElsewhere { peer } => {
                write!(
                    f,
                    "{peer} has a session with another daemon of our identity"
                )
            }
            Self::ClaimsRefused {
                peer,
                prefix,
                reason,
                count,
            } => {
                write!(
                    f,
                    "{count} claims of {peer} refused, first {prefix}: {reason}"
                )
            }
            Self::RefusedByPeer {
                peer,
                prefix,
                reason,
                count,
            } => {
                write!(
                    f,
                    "{peer} refuses {count} of our prefixes, first {prefix}: {reason}"
                )
            }
            Self::Malformed { peer, kind, error } => {
                write!(f, "malformed {kind} from {peer}: {error}")
            }
        }
    }
}
