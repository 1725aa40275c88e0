//! `Bye` and its codes, which are also the application error codes of the QUIC connection.

use std::fmt;

use super::field::{FieldError, Fields, Writer};

const CODE: u16 = 1;

/// Why a session ends. [`Display`](fmt::Display) is the text for the operator of the gateway that
/// receives the code; the gateway that sends it logs its [`CloseReason`](crate::CloseReason).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ByeCode {
    /// 0: the peer shuts down.
    Shutdown,
    /// 1: another session of this tunnel replaces it.
    Replaced,
    /// 2: the peer has no member record of the organization.
    UnknownOrg,
    /// 3: the member record does not list the gateway, or revokes it.
    UnknownGateway,
    /// 4: the certificate or its key was revoked, or is not trusted any more.
    Untrusted,
    /// 5: the certificate has expired.
    Expired,
    /// 6: the receiver of the code broke the protocol.
    Protocol,
    /// 7: no common protocol version.
    Version,
    /// 8: no `Hello` in time.
    HelloTimeout,
    /// 9: no probe was echoed on the data path, although the control path works.
    DataPathDead,
    /// 10: another daemon uses this identity.
    DuplicateIdentity,
    /// 11: too many sessions at once.
    TooMany,
    /// 12: the peer's clock jumped (suspend), which ends all its sessions.
    ClockJump,
    /// 13: no other session replaced this one before its keys reached the age limit.
    KeysTooOld,
    /// A number that a later version uses.
    Other(u16),
}

impl ByeCode {
    /// True if the sender does not accept the certificate of the receiver.
    pub(crate) fn is_about_certificates(self) -> bool {
        matches!(
            self,
            Self::UnknownOrg | Self::UnknownGateway | Self::Untrusted | Self::Expired
        )
    }
}

impl From<u16> for ByeCode {
    fn from(number: u16) -> Self {
        match number {
            0 => Self::Shutdown,
            1 => Self::Replaced,
            2 => Self::UnknownOrg,
            3 => Self::UnknownGateway,
            4 => Self::Untrusted,
            5 => Self::Expired,
            6 => Self::Protocol,
            7 => Self::Version,
            8 => Self::HelloTimeout,
            9 => Self::DataPathDead,
            10 => Self::DuplicateIdentity,
            11 => Self::TooMany,
            12 => Self::ClockJump,
            13 => Self::KeysTooOld,
            other => Self::Other(other),
        }
    }
}

impl From<ByeCode> for u16 {
    fn from(code: ByeCode) -> Self {
        match code {
            ByeCode::Shutdown => 0,
            ByeCode::Replaced => 1,
            ByeCode::UnknownOrg => 2,
            ByeCode::UnknownGateway => 3,
            ByeCode::Untrusted => 4,
            ByeCode::Expired => 5,
            ByeCode::Protocol => 6,
            ByeCode::Version => 7,
            ByeCode::HelloTimeout => 8,
            ByeCode::DataPathDead => 9,
            ByeCode::DuplicateIdentity => 10,
            ByeCode::TooMany => 11,
            ByeCode::ClockJump => 12,
            ByeCode::KeysTooOld => 13,
            ByeCode::Other(other) => other,
        }
    }
}

impl fmt::Display for ByeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shutdown => "peer shut down",
            Self::Replaced => "peer uses another session",
            Self::UnknownOrg => "peer does not know our org",
            Self::UnknownGateway => "peer does not list this gateway in our org's member record",
            Self::Untrusted => "peer does not trust our certificate any more",
            Self::Expired => "our certificate has expired",
            Self::Protocol => "peer says that we broke the protocol",
            Self::Version => "peer does not speak our protocol version",
            Self::HelloTimeout => "peer received no hello from us in time",
            Self::DataPathDead => "peer received no data packets from us",
            Self::DuplicateIdentity => "another daemon uses our identity",
            Self::TooMany => "peer has too many sessions with us",
            Self::ClockJump => "peer was suspended",
            Self::KeysTooOld => "the session's keys were in use for too long",
            Self::Other(code) => return write!(f, "peer ended the session with code {code}"),
        })
    }
}

pub(super) fn put(code: ByeCode, out: &mut Writer<'_>) {
    out.required(CODE, &u16::from(code));
}

pub(super) fn get(body: &[u8]) -> Result<ByeCode, FieldError> {
    Fields::split(body, &[CODE])?
        .required::<u16>(CODE)
        .map(ByeCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for number in 0..20 {
            assert_eq!(u16::from(ByeCode::from(number)), number);
        }
    }
}
