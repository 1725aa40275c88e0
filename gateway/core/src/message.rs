//! [`Message`]: what two gateways say on the control stream, and its encoding.
//!
//! ```text
//! frame   = length u32 | kind u16 | field*          length counts kind and fields, at most 64 KiB
//! field   = tag u16 | length u32 | value            top bit of the tag: the receiver must know it
//! ```
//! All integers are big-endian. Unknown kinds are skipped; unknown fields are skipped unless their top bit
//! is set, then the message is malformed, as it is with a missing, doubled, truncated or oversized field.
//! A malformed message is a value ([`Incoming::Malformed`]), which the mesh treats as a withdrawal of what
//! it carried (in the spirit of RFC 7606, section 2); only a frame that is too long or too short to hold a
//! kind ends the session ([`FramingError`]). Tags stand beside each message; numbers are never reused.

mod bye;
mod field;
mod frame;
mod hello;
mod prefix;
mod records;
mod refuse;
mod wire;
mod zone;

use std::collections::{BTreeMap, BTreeSet};

use ringway_config::{Digest, OrgId, Prefix};

pub use bye::ByeCode;
pub use field::FieldError;
pub use frame::{Decoder, FramingError, Incoming, Kind, MAX_FRAME};
pub use hello::{Aead, Hello, Lane, VERSIONS, VersionMismatch};
pub use prefix::MAX_PREFIXES;
pub use records::MAX_RECORDS;
pub use refuse::{Refuse, RefuseReason};
pub use zone::{MAX_CHUNK, ZoneMessage};

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first message of each end. A session is up when both are through.
    Hello(Hello),
    /// The sender serves these prefixes, too.
    Announce {
        /// Grows with every change of what the sender serves; never falls within a session.
        serial: u64,
        /// At most [`MAX_PREFIXES`].
        prefixes: BTreeSet<Prefix>,
    },
    /// The sender serves these prefixes no longer.
    Withdraw {
        /// As in `Announce`.
        serial: u64,
        /// At most [`MAX_PREFIXES`].
        prefixes: BTreeSet<Prefix>,
    },
    /// All of the receiver's claims that the sender refuses; empty: none any more.
    Refuse(Refuse),
    /// Fingerprints of the member records that the sender holds now, at most [`MAX_RECORDS`].
    Records {
        /// By organization.
        records: BTreeMap<OrgId, Digest>,
    },
    /// Zones: for the replicator.
    Zone(ZoneMessage),
    /// The sender ends the session.
    Bye {
        /// Why.
        code: ByeCode,
    },
}

impl Message {
    /// The whole frame, length included. The caller keeps to the caps named at each variant; beyond them
    /// the receiver finds the message malformed.
    pub fn encode(&self) -> Vec<u8> {
        frame::encode(self)
    }

    /// Its number on the wire.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Hello(_) => Kind::Hello,
            Message::Announce { .. } => Kind::Announce,
            Message::Withdraw { .. } => Kind::Withdraw,
            Message::Refuse(_) => Kind::Refuse,
            Message::Records { .. } => Kind::Records,
            Message::Zone(message) => message.kind(),
            Message::Bye { .. } => Kind::Bye,
        }
    }
}
