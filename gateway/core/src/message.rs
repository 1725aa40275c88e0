//! [`Message`]: what two gateways say on the control stream, and its encoding (gateway/PROTOCOL.md,
//! "Control stream").
//!
//! ```text
//! frame   = length u32 | kind u16 | field*    length counts kind and fields, at most 64 KiB
//! field   = tag u16 | length u32 | value      top bit of the tag: the receiver must know the field
//! ```
//! All integers are big-endian. Unknown kinds are skipped. Unknown fields are skipped unless their
//! top bit is set: then the message is malformed, as it is with a missing, doubled, truncated or
//! oversized field. A malformed message is a value ([`Incoming::Malformed`]), which the mesh treats
//! as a withdrawal of the message's content (in the spirit of RFC 7606, section 2). Only a frame
//! that is too long, or too short to hold a kind, ends the session ([`FramingError`]). The head of
//! each file lists its tags; numbers are never reused.

mod addresses;
mod bye;
mod field;
mod fragment;
mod frame;
mod hello;
mod offer;
mod policy;
mod prefix;
mod records;
mod refuse;
mod sibling;
mod site_settings;
mod wire;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ringway_config::{OrgId, Prefix};

use crate::held_record::HeldRecord;
use crate::rank::Rank;

pub use addresses::MAX_ADDRESSES;
pub use bye::ByeCode;
pub use field::FieldError;
pub use fragment::{FRAGMENTS, FragmentMessage, MAX_VERDICT_TEXT, ServicesOrigin};
pub use frame::{Decoder, FramingError, Incoming, Kind, MAX_FRAME};
pub use hello::{Aead, Hello, Lane, VERSIONS, VersionMismatch};
pub use offer::{ATTACH, MAX_RESOLVERS, Offer};
pub use policy::{NodeAway, POLICY_QUESTIONS, PolicyMessage, PolicyVerdict};
pub use prefix::MAX_PREFIXES;
pub use records::MAX_RECORDS;
pub use refuse::{Refuse, RefuseReason};
pub use sibling::{Answer, Relay, SIBLING_ROUTES, SIBLINGS, SiblingMessage, SiblingState};
pub use site_settings::{MAX_VIRTUAL_ADDRESSES, SiteSettings};
pub use zone::{MAX_CHUNK, ZoneMessage};

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first message of each end. A session is up when both have arrived.
    Hello(Hello),
    /// The sender serves these prefixes, besides those it announced before.
    Announce {
        /// Grows with every change of what the sender serves; never falls within a session.
        serial: u64,
        /// At most [`MAX_PREFIXES`].
        prefixes: BTreeSet<Prefix>,
    },
    /// The sender does not serve these prefixes any more.
    Withdraw {
        /// The same count as in `Announce`.
        serial: u64,
        /// At most [`MAX_PREFIXES`].
        prefixes: BTreeSet<Prefix>,
    },
    /// All claims of the receiver that the sender refuses now; empty if there is none any more.
    Refuse(Refuse),
    /// The member records that the sender holds now, at most [`MAX_RECORDS`].
    Records {
        /// Each organization's record.
        records: BTreeMap<OrgId, HeldRecord>,
    },
    /// The rank of the sender's claims from now on; before the first, epoch and preference are 0.
    Rank(Rank),
    /// The sender's state, for another gateway of its site.
    Sibling(SiblingMessage),
    /// One gateway of a site to another, through one that both have a tunnel with.
    Relay(Relay),
    /// Where the sender can be dialled inside its site, at most [`MAX_ADDRESSES`].
    Addresses(BTreeSet<SocketAddr>),
    /// What the sender's file has of what a site's gateways must have alike.
    SiteSettings(SiteSettings),
    /// A message between the replicators of zones.
    Zone(ZoneMessage),
    /// A question about the receiver's policy, or the answer to one.
    Policy(PolicyMessage),
    /// What the sender, a gateway, has for the receiver, an attached node.
    Offer(Offer),
    /// The sender ends the session.
    Bye {
        /// The reason.
        code: ByeCode,
    },
}

impl Message {
    /// The whole frame, length included. The caller keeps to the caps named at each variant; beyond
    /// them the receiver finds the message malformed.
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
            Message::Rank(_) => Kind::Rank,
            Message::Sibling(_) => Kind::Sibling,
            Message::Relay(_) => Kind::Relay,
            Message::Addresses(_) => Kind::Addresses,
            Message::SiteSettings(_) => Kind::SiteSettings,
            Message::Zone(message) => message.kind(),
            Message::Policy(PolicyMessage::Question { .. }) => Kind::PolicyQuestion,
            Message::Policy(PolicyMessage::Answer { .. }) => Kind::PolicyAnswer,
            Message::Offer(_) => Kind::Offer,
            Message::Bye { .. } => Kind::Bye,
        }
    }
}
