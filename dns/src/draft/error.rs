//! [`ZoneError`]: why a record, or a whole zone, is refused.

use super::MAX_SET;
use crate::name::NameError;
use crate::rdata::RdataError;

/// A rule that the records of a zone must obey and do not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The owner is not at or below the apex.
    #[error("{owner} is outside the zone {apex}")]
    Outside {
        /// The record's owner.
        owner: String,
        /// The zone.
        apex: String,
    },
    /// The text is not a domain name.
    #[error("{text:?} is no domain name: {reason}")]
    Name {
        /// The text as written.
        text: String,
        /// The rule that it breaks.
        reason: NameError,
    },
    /// A QTYPE or meta type (RFC 6895, section 3.1), which exists in messages only.
    #[error("type {kind} cannot stand in a zone")]
    Kind {
        /// The type's number.
        kind: u16,
    },
    /// The RDATA is malformed.
    #[error(transparent)]
    Data(#[from] RdataError),
    /// Above 2^31 - 1 seconds (RFC 2181, section 8).
    #[error("a TTL may be at most 2147483647 seconds")]
    Ttl,
    /// No SOA at the apex, or more than one, or one elsewhere (RFC 1035, section 5.2).
    #[error("a zone has exactly one SOA record, at its apex")]
    Soa,
    /// A CNAME with a second record at the same name (RFC 2181, section 10.1).
    #[error("{owner} has a CNAME and can have no other record")]
    Alias {
        /// The name.
        owner: String,
    },
    /// More than one DNAME at a name (RFC 6672, section 2.4).
    #[error("{owner} has more than one DNAME")]
    Dname {
        /// The name.
        owner: String,
    },
    /// An RRset that fits into no message.
    #[error("the records of type {kind} at {owner} take more than {MAX_SET} octets")]
    Large {
        /// The name.
        owner: String,
        /// The type's number.
        kind: u16,
    },
}
