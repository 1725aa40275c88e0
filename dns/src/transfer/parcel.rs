//! [`Parcel`]: what came of one zone, whole or as a difference, and the check that makes a zone of it.

use ringway_config::{Digest, ZoneName};

use super::{Chunk, MAX_CHUNK, Offer, TransferError};
use crate::delta::{self, Version};
use crate::zone::Zone;

/// The octets of one transfer. They are believed nothing until [`Parcel::check`].
#[derive(Debug)]
pub struct Parcel {
    apex: ZoneName,
    pub(super) offer: Offer,
    /// The version that they change; `None`: they are the whole zone.
    base: Option<Version>,
    /// Grows with what arrives, never by what was promised.
    bytes: Vec<u8>,
}

impl Parcel {
    pub(super) fn new(apex: ZoneName, offer: Offer) -> Parcel {
        Parcel {
            apex,
            offer,
            base: None,
            bytes: Vec::new(),
        }
    }

    /// Whose zone it is.
    pub fn apex(&self) -> &ZoneName {
        &self.apex
    }

    /// What it was announced as.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// True if it only says what changed.
    pub fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    pub(super) fn octets(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the next piece; `base` is the same for all.
    pub(super) fn add(
        &mut self,
        base: Option<Version>,
        chunk: Chunk<'_>,
    ) -> Result<(), TransferError> {
        let Chunk {
            offset,
            last,
            bytes,
        } = chunk;
        let first = self.bytes.is_empty();
        if !first && base != self.base {
            return Err(TransferError::Base);
        }
        let (size, after) = (
            self.offer.size,
            self.bytes.len() as u64 + bytes.len() as u64,
        );
        // A difference that is larger than the zone is nonsense; where it ends, only its owner knows.
        let ends = if base.is_some() {
            after <= size
        } else {
            last == (after == size) && after <= size
        };
        if bytes.is_empty() || bytes.len() > MAX_CHUNK || offset != self.bytes.len() as u64 || !ends
        {
            return Err(TransferError::Chunk {
                offset,
                len: bytes.len(),
                size,
            });
        }
        self.base = base;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The zone, if all is as it was offered. `held` is what we have of it. Large zones take their time:
    /// some 100 ms for the largest.
    pub fn check(self, held: Option<&Zone>) -> Result<Zone, TransferError> {
        let bytes = match self.base {
            None => self.bytes,
            Some((serial, _)) => {
                let held = held
                    .filter(|held| held.serial() == serial)
                    .ok_or(TransferError::Base)?;
                delta::apply(&held.encode(), &self.bytes)?
            }
        };
        if Digest::of(&bytes) != self.offer.digest {
            return Err(TransferError::Digest);
        }
        let zone = Zone::decode(&bytes, &self.apex)?;
        if zone.serial() != self.offer.serial {
            return Err(TransferError::Serial {
                found: zone.serial(),
                offered: self.offer.serial,
            });
        }
        Ok(zone)
    }
}
