//! `Refuse`: the answer to claims that the import policy does not admit. Both ends show the
//! reasons.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | whole (optional) | reason u16, about the last announcement as a whole |
//! | 2 | refused | (reason u16, prefix)* |

use std::collections::BTreeMap;
use std::fmt;

use ringway_config::Prefix;

use super::field::{FieldError, Fields, Writer};
use super::prefix::MAX_PREFIXES;
use super::wire::{Cursor, Wire};

const WHOLE: u16 = 1;
const REFUSED: u16 = 2;

/// All claims of the receiver that the sender refuses now. A later message replaces it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refuse {
    /// Why the last announcement was refused as a whole, or its prefixes beyond a cap.
    pub whole: Option<RefuseReason>,
    /// Refused claims; at most [`MAX_PREFIXES`].
    pub refused: BTreeMap<Prefix, RefuseReason>,
}

/// Why a claim is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefuseReason {
    /// 1: outside the prefixes that the member record gives the sender's site.
    NotAuthorized,
    /// 2: a prefix of the site that the refusing gateway serves.
    LocalSite,
    /// 3: more claims than one gateway may have.
    TooMany,
    /// 4: a lower serial than that of an earlier message.
    OldSerial,
    /// 5: the message could not be read; everything the session had claimed is withdrawn.
    Malformed,
    /// 6: in conflict with another member's prefix, or with a range that the refusing gateway
    /// reserves.
    Conflicted,
    /// A number that a later version uses.
    Other(u16),
}

impl From<u16> for RefuseReason {
    fn from(number: u16) -> Self {
        match number {
            1 => Self::NotAuthorized,
            2 => Self::LocalSite,
            3 => Self::TooMany,
            4 => Self::OldSerial,
            5 => Self::Malformed,
            6 => Self::Conflicted,
            other => Self::Other(other),
        }
    }
}

impl From<RefuseReason> for u16 {
    fn from(reason: RefuseReason) -> Self {
        match reason {
            RefuseReason::NotAuthorized => 1,
            RefuseReason::LocalSite => 2,
            RefuseReason::TooMany => 3,
            RefuseReason::OldSerial => 4,
            RefuseReason::Malformed => 5,
            RefuseReason::Conflicted => 6,
            RefuseReason::Other(other) => other,
        }
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAuthorized => f.write_str("outside the site's authorized prefixes"),
            Self::LocalSite => f.write_str("belongs to the site of the refusing gateway"),
            Self::TooMany => f.write_str("too many prefixes"),
            Self::OldSerial => f.write_str("older than the last announcement"),
            Self::Malformed => f.write_str("announcement could not be read"),
            Self::Conflicted => f.write_str("in conflict with another claim (see `ringway check`)"),
            Self::Other(number) => write!(f, "reason {number}"),
        }
    }
}

impl Wire for RefuseReason {
    fn put(&self, out: &mut Vec<u8>) {
        u16::from(*self).put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        u16::get(cursor).map(Self::from)
    }
}

pub(super) fn put(refuse: &Refuse, out: &mut Writer<'_>) {
    if let Some(reason) = refuse.whole {
        out.optional(WHOLE, &reason);
    }

    let refused = refuse.refused.iter();
    out.list(REFUSED, refused.map(|(prefix, reason)| (*reason, *prefix)));
}

pub(super) fn get(body: &[u8]) -> Result<Refuse, FieldError> {
    let fields = Fields::split(body, &[WHOLE, REFUSED])?;
    let refused = fields.list::<(RefuseReason, Prefix)>(REFUSED, MAX_PREFIXES)?;
    let refused = refused.into_iter();

    Ok(Refuse {
        whole: fields.optional(WHOLE)?,
        refused: refused.map(|(reason, prefix)| (prefix, reason)).collect(),
    })
}
