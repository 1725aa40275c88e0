//! A zone as bytes: what goes over a control stream and into a [`ReplicaStore`](crate::store::ReplicaStore).
//!
//! ```text
//! "RWZ1" | apex | records: u32 | record...
//! record: owner's labels below the apex, without the root, after their length (u8) | type: u16 | ttl: u32 | length: u16 | data
//! ```
//! Numbers are in network order, owners lowercase. Records stand in one order only (canonical order
//! of owners, then type, then data), so a zone has exactly one encoding and equal digests mean equal
//! zones. Decoding takes all of it or nothing, and trusts none of it: the bytes come from another
//! organization.

use ringway_config::{Digest, ZoneName};

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::zone::Zone;

/// Octets of the largest zone that is taken from others.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// Records of the largest zone that is taken from others.
pub const MAX_RECORDS: usize = 100_000;

const MAGIC: &[u8; 4] = b"RWZ1";

/// Why bytes are not a zone that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// Not this format, cut off, or followed by something.
    #[error("the bytes are not a zone of this format")]
    Format,
    /// Larger than [`MAX_SIZE`].
    #[error("{0} octets; a zone may have at most {MAX_SIZE}")]
    Size(usize),
    /// More records than [`MAX_RECORDS`].
    #[error("{0} records; a zone may have at most {MAX_RECORDS}")]
    Records(usize),
    /// Another organization's zone, or none.
    #[error("it is the zone {found}, not {expected}")]
    Apex {
        /// What it says.
        found: String,
        /// Whose it must be.
        expected: String,
    },
    /// Not in canonical order, repeated, with uppercase owners or with two TTLs in one set.
    #[error("octet {0} departs from the canonical form")]
    Form(usize),
    /// A record, or the lack of one, breaks a rule of zones.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl Zone {
    /// The one encoding of this zone.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(self.apex().as_wire());
        bytes.extend_from_slice(&(self.records() as u32).to_be_bytes());
        let apex_len = self.apex().as_wire().len();
        self.rrsets(|owner, set| {
            let below = &owner.as_wire()[..owner.as_wire().len() - apex_len];
            for data in set.data() {
                bytes.push(below.len() as u8);
                bytes.extend_from_slice(below);
                bytes.extend_from_slice(&set.kind().to_be_bytes());
                bytes.extend_from_slice(&set.ttl().to_be_bytes());
                bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
                bytes.extend_from_slice(data);
            }
        });
        bytes
    }

    /// Reads a zone that must be `apex`'s.
    pub fn decode(bytes: &[u8], apex: &ZoneName) -> Result<Zone, ReplicaError> {
        decode(bytes, Name::from(apex))
    }

    /// The digest that an offer of this zone carries.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

fn decode(bytes: &[u8], apex: Name) -> Result<Zone, ReplicaError> {
    if bytes.len() > MAX_SIZE {
        return Err(ReplicaError::Size(bytes.len()));
    }
    let mut reader = Reader(bytes);
    if reader.array() != Some(*MAGIC) {
        return Err(ReplicaError::Format);
    }
    let (found, len) = Name::from_wire(reader.0).map_err(|_| ReplicaError::Format)?;
    if found.as_wire() != apex.as_wire() || reader.take(len) != Some(apex.as_wire()) {
        return Err(ReplicaError::Apex { found: found.to_string(), expected: apex.to_string() });
    }
    let records = u32::from_be_bytes(reader.array().ok_or(ReplicaError::Format)?) as usize;
    if records > MAX_RECORDS {
        return Err(ReplicaError::Records(records));
    }
    let mut draft = Draft::new(apex);
    for _ in 0..records {
        let record = reader.record().ok_or(ReplicaError::Format)?;
        let owner = apex.prefixed(record.below).ok_or(ReplicaError::Format)?;
        // `prefixed` trusts its labels; reading the name back finds broken ones.
        let (owner, len) = Name::from_wire(owner.as_wire()).map_err(|_| ReplicaError::Format)?;
        if len != record.below.len() + apex.as_wire().len() {
            return Err(ReplicaError::Format);
        }
        draft.add(&owner, record.kind, record.ttl, record.data)?;
    }
    if !reader.0.is_empty() {
        return Err(ReplicaError::Format);
    }
    let zone = draft.finish()?;
    check_canonical(&zone, bytes)?;
    Ok(zone)
}

/// The zone's own encoding must be the bytes it came from.
fn check_canonical(zone: &Zone, bytes: &[u8]) -> Result<(), ReplicaError> {
    let own = zone.encode();
    if own == bytes {
        return Ok(());
    }
    let same = own.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(ReplicaError::Form(same))
}

struct Record<'b> {
    below: &'b [u8],
    kind: u16,
    ttl: u32,
    data: &'b [u8],
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn record(&mut self) -> Option<Record<'b>> {
        let [below] = self.array()?;
        let below = self.take(below.into())?;
        let kind = u16::from_be_bytes(self.array()?);
        let ttl = u32::from_be_bytes(self.array()?);
        let len = u16::from_be_bytes(self.array()?);
        Some(Record { below, kind, ttl, data: self.take(len.into())? })
    }
}
