//! `ZoneOffer`, `ZoneFetch` and `ZoneData`: zones, and the changes between their versions, in
//! chunks.
//!
//! The mesh only carries these messages. When to offer a zone, and which to accept, is the
//! replicator's decision.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | apex | name |
//! | 2 | serial | u32 |
//! | 3 | digest (offer) | SHA-256 |
//! | 4 | size (offer) | u32 |
//! | 5 | offset (data) | u32 |
//! | 6 | last (data) | u8, 0 or 1 |
//! | 7 | bytes (data) | at most 48 KiB |
//! | 8 | have (fetch, optional) | serial u32, SHA-256 |
//! | 9 | from (data, only in a difference) | serial u32 |

use ringway_config::{Digest, ZoneName};

use super::field::{FieldError, Fields, Writer};
use super::fragment::{self, FragmentMessage};
use super::frame::Kind;

/// Most bytes of a zone in one `ZoneData`.
pub const MAX_CHUNK: usize = 48 * 1024;

const APEX: u16 = 1;
const SERIAL: u16 = 2;
const DIGEST: u16 = 3;
const SIZE: u16 = 4;
const OFFSET: u16 = 5;
const LAST: u16 = 6;
const BYTES: u16 = 7;
const HAVE: u16 = 8;
const FROM: u16 = 9;

/// A message between the replicators of two gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneMessage {
    /// The sender has this zone.
    Offer {
        /// The zone.
        apex: ZoneName,
        /// SOA serial.
        serial: u32,
        /// SHA-256 of the whole content.
        digest: Digest,
        /// Bytes of the whole content.
        size: u32,
    },
    /// The sender wants this zone.
    Fetch {
        /// The zone.
        apex: ZoneName,
        /// SOA serial of the version that is wanted.
        serial: u32,
        /// Serial and digest of the version that the sender holds. If it is there, the changes
        /// since that version may be sent instead of the zone.
        have: Option<(u32, Digest)>,
    },
    /// A part of a zone, or of the changes in it.
    Data {
        /// The zone.
        apex: ZoneName,
        /// SOA serial.
        serial: u32,
        /// `Some`: the content is the changes since this serial. `None`: it is the zone.
        from: Option<u32>,
        /// Offset of the first byte in the whole content.
        offset: u32,
        /// True for the last part.
        last: bool,
        /// At most [`MAX_CHUNK`].
        bytes: Vec<u8>,
    },
    /// About a fragment of a zone.
    Fragment(FragmentMessage),
}

impl ZoneMessage {
    /// Its number on the wire.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Offer { .. } => Kind::ZoneOffer,
            Self::Fetch { .. } => Kind::ZoneFetch,
            Self::Data { .. } => Kind::ZoneData,
            Self::Fragment(message) => message.kind(),
        }
    }
}

pub(super) fn put(message: &ZoneMessage, out: &mut Writer<'_>) {
    match message {
        ZoneMessage::Offer {
            apex,
            serial,
            digest,
            size,
        } => {
            out.required(APEX, apex);
            out.required(SERIAL, serial);
            out.required(DIGEST, digest);
            out.required(SIZE, size);
        }
        ZoneMessage::Fetch { apex, serial, have } => {
            out.required(APEX, apex);
            out.required(SERIAL, serial);

            // Optional: a gateway that does not know the field answers with the whole zone, which
            // serves.
            if let Some(have) = have {
                out.optional(HAVE, have);
            }
        }
        ZoneMessage::Data {
            apex,
            serial,
            from,
            offset,
            last,
            bytes,
        } => {
            out.required(APEX, apex);
            out.required(SERIAL, serial);
            out.required(OFFSET, offset);
            out.required(LAST, last);
            out.bytes(BYTES, bytes);

            // Required: a gateway that does not know the field must not take a difference for a
            // zone.
            if let Some(from) = from {
                out.required(FROM, from);
            }
        }
        ZoneMessage::Fragment(message) => fragment::put(message, out),
    }
}

pub(super) fn get_offer(body: &[u8]) -> Result<ZoneMessage, FieldError> {
    let fields = Fields::split(body, &[APEX, SERIAL, DIGEST, SIZE])?;

    Ok(ZoneMessage::Offer {
        apex: fields.required(APEX)?,
        serial: fields.required(SERIAL)?,
        digest: fields.required(DIGEST)?,
        size: fields.required(SIZE)?,
    })
}

pub(super) fn get_fetch(body: &[u8]) -> Result<ZoneMessage, FieldError> {
    let fields = Fields::split(body, &[APEX, SERIAL, HAVE])?;

    Ok(ZoneMessage::Fetch {
        apex: fields.required(APEX)?,
        serial: fields.required(SERIAL)?,
        have: fields.optional(HAVE)?,
    })
}

pub(super) fn get_data(body: &[u8]) -> Result<ZoneMessage, FieldError> {
    let fields = Fields::split(body, &[APEX, SERIAL, OFFSET, LAST, BYTES, FROM])?;

    Ok(ZoneMessage::Data {
        apex: fields.required(APEX)?,
        serial: fields.required(SERIAL)?,
        from: fields.optional(FROM)?,
        offset: fields.required(OFFSET)?,
        last: fields.required(LAST)?,
        bytes: fields.bytes(BYTES, MAX_CHUNK)?.to_vec(),
    })
}
