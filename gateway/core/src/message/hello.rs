//! `Hello`, the first message of each end. It says which versions the sender speaks, which run of
//! its daemon this is (the boot id), and how to seal for it: an index and an AEAD for each lane.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | versions | oldest u16, newest u16 |
//! | 2 | features (optional) | bits u64, unknown ones ignored |
//! | 3 | boot id | 16 bytes |
//! | 4 | replaces | u64 |
//! | 5 | lanes | (receiver's index u32, AEAD u8)*, lane 0 first |
//! | 6 | records | see `records` |
//! | 7 | serials (optional) | see `records` |

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ringway_config::{OrgId, limits};

use super::field::{FieldError, Fields, Writer};
use super::records;
use super::wire::{Cursor, Wire};
use crate::held_record::HeldRecord;
use crate::{BootId, SessionIndex};

/// The protocol versions spoken here.
pub const VERSIONS: RangeInclusive<u16> = 1..=1;

/// The peer and this gateway have no protocol version in common.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("peer runs protocol version {newest}, we speak {}", VERSIONS.end())]
pub struct VersionMismatch {
    /// The newest version that the peer speaks.
    pub newest: u16,
}

const SPOKEN: u16 = 1;
const FEATURES: u16 = 2;
const BOOT: u16 = 3;
const REPLACES: u16 = 4;
const LANES: u16 = 5;
const RECORDS: u16 = 6;
const SERIALS: u16 = 7;

/// The first message of each end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Oldest and newest protocol version spoken.
    pub versions: (u16, u16),
    /// Feature bits; both ends use the features that both offer.
    pub features: u64,
    /// The present start of the sending daemon.
    pub boot: BootId,
    /// The sessions of a tunnel are numbered. This is the highest number that the sender knew when
    /// the session was started; 0: none. The dialler's value decides: the session has the next
    /// number and replaces all lower ones. It competes only with a session of the same number,
    /// started at the same time by the other end; of these two the lower identity's dial wins. The
    /// accepter's value lets a dialler that was restarted continue the count.
    pub replaces: u64,
    /// How to seal for each of the sender's lanes, lane 0 first; at least one.
    pub lanes: Vec<Lane>,
    /// The member records that the sender holds.
    pub records: BTreeMap<OrgId, HeldRecord>,
}

/// How to seal for one lane of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// The index that the packets carry.
    pub index: SessionIndex,
    /// The cipher they are sealed with.
    pub aead: Aead,
}

/// Ciphers of the data path, by their number on the wire. Every gateway has all; the receiver
/// chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aead {
    /// AES-128-GCM.
    Aes128Gcm = 1,
    /// AES-256-GCM.
    Aes256Gcm = 2,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305 = 3,
}

pub(super) fn put(hello: &Hello, out: &mut Writer<'_>) {
    out.required(SPOKEN, &hello.versions);
    out.optional(FEATURES, &hello.features);
    out.required(BOOT, &hello.boot.0);
    out.required(REPLACES, &hello.replaces);
    out.list(LANES, hello.lanes.iter().copied());
    records::put(RECORDS, SERIALS, &hello.records, out);
}

pub(super) fn get(body: &[u8]) -> Result<Hello, FieldError> {
    // A later version may add required fields. Its number says more than the first unknown field.
    check_versions(body)?;
    let known = [SPOKEN, FEATURES, BOOT, REPLACES, LANES, RECORDS, SERIALS];
    let fields = Fields::split(body, &known)?;

    let lanes = fields.list(LANES, limits::LANES as usize)?;
    if lanes.is_empty() {
        return Err(FieldError::Missing(LANES));
    }

    Ok(Hello {
        versions: fields.required(SPOKEN)?,
        features: fields.optional(FEATURES)?.unwrap_or_default(),
        boot: BootId(fields.required(BOOT)?),
        replaces: fields.required(REPLACES)?,
        lanes,
        records: records::get(RECORDS, SERIALS, &fields)?,
    })
}

fn check_versions(body: &[u8]) -> Result<(), FieldError> {
    let (oldest, newest): (u16, u16) =
        Fields::first(body, SPOKEN).ok_or(FieldError::Missing(SPOKEN))?;
    if oldest <= *VERSIONS.end() && *VERSIONS.start() <= newest {
        Ok(())
    } else {
        Err(VersionMismatch { newest }.into())
    }
}

impl Wire for Lane {
    fn put(&self, out: &mut Vec<u8>) {
        self.index.0.put(out);
        (self.aead as u8).put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        // 0 is never an index.
        let index = u32::get(cursor).filter(|index| *index != 0)?;
        let aead = match u8::get(cursor)? {
            1 => Aead::Aes128Gcm,
            2 => Aead::Aes256Gcm,
            3 => Aead::ChaCha20Poly1305,
            _ => return None,
        };
        Some(Lane {
            index: SessionIndex(index),
            aead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_is_named_even_if_its_hello_has_fields_we_do_not_know() {
        let mut body = Vec::new();
        let mut out = Writer(&mut body);
        out.required(40, &7u16);
        out.required(SPOKEN, &(3u16, 4u16));

        let mismatch = VersionMismatch { newest: 4 };
        assert_eq!(
            mismatch.to_string(),
            "peer runs protocol version 4, we speak 1"
        );
        assert_eq!(get(&body), Err(mismatch.into()));
    }

    #[test]
    fn an_index_of_zero_and_an_unknown_aead_are_no_lane() {
        let lane = |bytes: &[u8]| Lane::get(&mut Cursor(bytes));

        assert!(lane(&[0, 0, 0, 1, 3]).is_some());
        assert_eq!(lane(&[0, 0, 0, 0, 3]), None);
        assert_eq!(lane(&[0, 0, 0, 1, 4]), None);
    }
}
