//! `FragmentOffer`, `FragmentFetch`, `FragmentData` and `FragmentVerdict`: what one gateway
//! contributes to its organization's zone. Only gateways that both offer [`FRAGMENTS`] in `Hello`
//! send these messages.
//!
//! The sender of an offer is the owner of the fragment, so that no message names one. Versions have
//! no serial: their digests tell them apart, and what the owner offers last is the newest.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 3 | digest | SHA-256 of the version that the message is about |
//! | 4 | size (offer) | u32 |
//! | 5 | offset (data) | u32 |
//! | 6 | last (data) | u8, 0 or 1 |
//! | 7 | bytes (data) | at most 48 KiB |
//! | 8 | have (fetch, optional) | SHA-256 |
//! | 9 | from (data, only in a difference) | SHA-256 |
//! | 10 | taken (verdict) | u8, 0 or 1 |
//! | 11 | text (verdict, optional) | UTF-8, at most 512 bytes |
//! | 12 | services (offer, optional) | source SHA-256, is current u8, 0 or 1 |

use ringway_config::Digest;

use super::field::{FieldError, Fields, Writer};
use super::frame::Kind;
use super::wire::{Cursor, Wire};
use super::zone::MAX_CHUNK;

/// The feature bit in `Hello` of a gateway that sends and understands fragments.
pub const FRAGMENTS: u64 = 1;

/// Most bytes of the text in a `FragmentVerdict`.
pub const MAX_VERDICT_TEXT: usize = 512;

const DIGEST: u16 = 3;
const SIZE: u16 = 4;
const OFFSET: u16 = 5;
const LAST: u16 = 6;
const BYTES: u16 = 7;
const HAVE: u16 = 8;
const FROM: u16 = 9;
const TAKEN: u16 = 10;
const TEXT: u16 = 11;
const SERVICES: u16 = 12;

/// Where the names of Kubernetes Services in a fragment come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServicesOrigin {
    /// Identifies the cluster, and which of its Services are followed.
    pub source: Digest,
    /// The gateway is connected to the API server. Otherwise the names are those of an earlier
    /// time.
    pub is_current: bool,
}

impl Wire for ServicesOrigin {
    fn put(&self, out: &mut Vec<u8>) {
        self.source.put(out);
        self.is_current.put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        let source = Digest::get(cursor)?;
        let is_current = bool::get(cursor)?;
        Some(ServicesOrigin { source, is_current })
    }
}

/// A message about the fragment of its sender, or, for `Fetch` and `Verdict`, of its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FragmentMessage {
    /// The sender contributes this to its organization's zone, and nothing that it offered before.
    Offer {
        /// SHA-256 of the encoded fragment.
        digest: Digest,
        /// Bytes of the encoded fragment.
        size: u32,
        /// `None` if the fragment has no names of Kubernetes Services.
        services: Option<ServicesOrigin>,
    },
    /// The sender wants this version.
    Fetch {
        /// The version, as it was offered.
        digest: Digest,
        /// The version that the sender holds. If it is there, the changes since that version may be
        /// sent instead of the fragment.
        have: Option<Digest>,
    },
    /// A part of a fragment, or of the changes in it.
    Data {
        /// The version, as it was offered.
        digest: Digest,
        /// `Some`: the content is the changes since this version. `None`: it is the fragment.
        from: Option<Digest>,
        /// Offset of the first byte in the whole content.
        offset: u32,
        /// True for the last part.
        last: bool,
        /// At most [`MAX_CHUNK`].
        bytes: Vec<u8>,
    },
    /// What became of an offer.
    Verdict {
        /// The version, as it was offered.
        digest: Digest,
        /// The sender answers from it.
        taken: bool,
        /// Why it was refused, or which of its records are not answered. The peer wrote it: escape
        /// it where it is shown.
        text: Option<String>,
    },
}

impl FragmentMessage {
    /// Its number on the wire.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Offer { .. } => Kind::FragmentOffer,
            Self::Fetch { .. } => Kind::FragmentFetch,
            Self::Data { .. } => Kind::FragmentData,
            Self::Verdict { .. } => Kind::FragmentVerdict,
        }
    }
}

pub(super) fn put(message: &FragmentMessage, out: &mut Writer<'_>) {
    match message {
        FragmentMessage::Offer {
            digest,
            size,
            services,
        } => {
            out.required(DIGEST, digest);
            out.required(SIZE, size);
            if let Some(services) = services {
                out.optional(SERVICES, services);
            }
        }
        FragmentMessage::Fetch { digest, have } => {
            out.required(DIGEST, digest);
            if let Some(have) = have {
                out.optional(HAVE, have);
            }
        }
        FragmentMessage::Data {
            digest,
            from,
            offset,
            last,
            bytes,
        } => {
            out.required(DIGEST, digest);
            out.required(OFFSET, offset);
            out.required(LAST, last);
            out.bytes(BYTES, bytes);

            // Required: a difference must not be mistaken for a fragment.
            if let Some(from) = from {
                out.required(FROM, from);
            }
        }
        FragmentMessage::Verdict {
            digest,
            taken,
            text,
        } => {
            out.required(DIGEST, digest);
            out.required(TAKEN, taken);
            if let Some(text) = text {
                out.optional_bytes(TEXT, &text.as_bytes()[..end_of(text)]);
            }
        }
    }
}

/// Where `text` is cut, so that it fits its field and ends with a whole character.
fn end_of(text: &str) -> usize {
    let longest = text.len().min(MAX_VERDICT_TEXT);

    (0..=longest)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0)
}

pub(super) fn get_offer(body: &[u8]) -> Result<FragmentMessage, FieldError> {
    let fields = Fields::split(body, &[DIGEST, SIZE, SERVICES])?;

    Ok(FragmentMessage::Offer {
        digest: fields.required(DIGEST)?,
        size: fields.required(SIZE)?,
        services: fields.optional(SERVICES)?,
    })
}

pub(super) fn get_fetch(body: &[u8]) -> Result<FragmentMessage, FieldError> {
    let fields = Fields::split(body, &[DIGEST, HAVE])?;

    Ok(FragmentMessage::Fetch {
        digest: fields.required(DIGEST)?,
        have: fields.optional(HAVE)?,
    })
}

pub(super) fn get_data(body: &[u8]) -> Result<FragmentMessage, FieldError> {
    let fields = Fields::split(body, &[DIGEST, OFFSET, LAST, BYTES, FROM])?;

    Ok(FragmentMessage::Data {
        digest: fields.required(DIGEST)?,
        from: fields.optional(FROM)?,
        offset: fields.required(OFFSET)?,
        last: fields.required(LAST)?,
        bytes: fields.bytes(BYTES, MAX_CHUNK)?.to_vec(),
    })
}

pub(super) fn get_verdict(body: &[u8]) -> Result<FragmentMessage, FieldError> {
    let fields = Fields::split(body, &[DIGEST, TAKEN, TEXT])?;
    // It is only shown, and escaped then: it need not be UTF-8.
    let text = match fields.bytes(TEXT, MAX_VERDICT_TEXT) {
        Ok(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Err(FieldError::Missing(_)) => None,
        Err(error) => return Err(error),
    };

    Ok(FragmentMessage::Verdict {
        digest: fields.required(DIGEST)?,
        taken: fields.required(TAKEN)?,
        text,
    })
}
