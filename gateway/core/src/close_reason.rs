//! [`CloseReason`]: why this gateway closes a connection.

use ringway_config::{GatewayId, OrgId};
use thiserror::Error;

use crate::message::{ByeCode, FieldError, Kind, VersionMismatch};
use crate::trust_error::TrustError;

/// Why this gateway closes a connection.
///
/// [`Display`](std::fmt::Display) is the text for our own operator. The peer receives only the
/// [code](CloseReason::code).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// This daemon stops.
    #[error("shutting down")]
    Shutdown,
    /// The dial had been abandoned before its connection was established.
    #[error("connected too late")]
    ConnectedTooLate,
    /// A `Hello` of a daemon that the peer has already replaced.
    #[error("hello of a replaced daemon")]
    OldDaemon,
    /// A `Hello` with a new boot id arrived: the session belongs to the daemon before it.
    #[error("the peer was restarted")]
    PeerRestarted,
    /// No member record of this organization.
    #[error("{0} is no member")]
    UnknownOrg(OrgId),
    /// The member record does not list the gateway, or revokes it.
    #[error("{0} is no accepted gateway of its org")]
    UnknownGateway(GatewayId),
    /// The peer's certificate is not trusted any more.
    #[error(transparent)]
    Untrusted(TrustError),
    /// The validity of the peer's certificate has ended.
    #[error("the peer's certificate has expired")]
    CertificateExpired,
    /// Anything but `Hello` came first, or a second `Hello`.
    #[error("unexpected {0}")]
    UnexpectedMessage(Kind),
    /// A message that no session can go on without could not be read.
    #[error("malformed {kind}: {error}")]
    Malformed {
        /// Which message.
        kind: Kind,
        /// What is wrong with it.
        error: FieldError,
    },
    /// We share no protocol version with the peer.
    #[error(transparent)]
    Version(VersionMismatch),
    /// No `Hello` in time.
    #[error("no hello from the peer")]
    HelloTimeout,
    /// No probe was echoed for [`Settings::dead_after`](crate::Settings::dead_after).
    #[error("no data packets came back from the peer")]
    DataPathDead,
    /// A second daemon uses the peer's identity.
    #[error("two daemons use this identity")]
    DuplicateIdentity,
    /// The peer has as many sessions as one peer may have.
    #[error("too many sessions at once")]
    TooManySessions,
    /// This machine slept or was moved.
    #[error("the clock jumped")]
    ClockJump,
    /// No other session replaced this one before its keys reached the age limit.
    #[error("its keys are too old, and no new session came")]
    KeysTooOld,
}

impl CloseReason {
    /// The code that the peer receives.
    pub fn code(&self) -> ByeCode {
        match self {
            Self::Shutdown => ByeCode::Shutdown,
            // For the peer they are one: another session counts.
            Self::ConnectedTooLate | Self::OldDaemon | Self::PeerRestarted => ByeCode::Replaced,
            Self::UnknownOrg(_) => ByeCode::UnknownOrg,
            Self::UnknownGateway(_) => ByeCode::UnknownGateway,
            Self::Untrusted(_) => ByeCode::Untrusted,
            Self::CertificateExpired => ByeCode::Expired,
            Self::UnexpectedMessage(_) | Self::Malformed { .. } => ByeCode::Protocol,
            Self::Version(_) => ByeCode::Version,
            Self::HelloTimeout => ByeCode::HelloTimeout,
            Self::DataPathDead => ByeCode::DataPathDead,
            Self::DuplicateIdentity => ByeCode::DuplicateIdentity,
            Self::TooManySessions => ByeCode::TooMany,
            Self::ClockJump => ByeCode::ClockJump,
            Self::KeysTooOld => ByeCode::KeysTooOld,
        }
    }
}
