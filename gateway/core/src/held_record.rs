//! [`HeldRecord`]: which version of an organization's member record a gateway holds.

use ringway_config::{Digest, Member};

/// One organization's record, as one gateway holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRecord {
    /// 0 for a record of version 1, and from a peer of version 0.1, which does not say.
    pub serial: u64,
    /// SHA-256 of the record.
    pub digest: Digest,
}

/// A record whose serial is not known.
impl From<Digest> for HeldRecord {
    fn from(digest: Digest) -> HeldRecord {
        HeldRecord { serial: 0, digest }
    }
}

impl From<&Member> for HeldRecord {
    fn from(record: &Member) -> HeldRecord {
        HeldRecord {
            serial: record.serial,
            digest: record.digest,
        }
    }
}
