//! [`Parcel`]: the received octets of a zone or of a difference, and their check.

use ringway_config::{Digest, ZoneName};

use super::{Chunk, MAX_CHUNK, Offer, TransferError};
use crate::delta::{self, Version};
use crate::zone::Zone;

/// The octets of one transfer, which are not trusted before [`Parcel::check`].
#[derive(Debug)]
pub struct Parcel {
    apex: ZoneName,
    pub(super) offer: Offer,
    /// The version to which the difference applies; `None`: the octets are a whole zone.
    base: Option<Version>,
    /// Grows with what arrives, so that an offer alone allocates nothing.
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

    /// The apex that the zone must have.
    pub fn apex(&self) -> &ZoneName {
        &self.apex
    }

    /// The offer that was fetched.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// True if the octets are a difference.
    pub fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    pub(super) fn octets(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the next chunk; `base` must be the same for all.
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
        // The first chunk decides whether the octets are a delta, and from which version.
        if !first && base != self.base {
            return Err(TransferError::Base);
        }

        let size = self.offer.size;
        let after = self.bytes.len() as u64 + bytes.len() as u64;
        // A difference must not be larger than the zone; the offer does not say where it ends.
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

    /// Decodes the zone and compares it with its offer. `held` is the version that we have. The
    /// largest zones take about 100 ms.
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

        // A delta that was made from other content than ours results in other octets.
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
