//! [`Legacy`]: our organization's zone as a whole, for gateways of versions without fragments.

use std::sync::Arc;

use ringway_config::ZoneName;
use ringway_core::{Message, ZoneMessage};
use ringway_dns::Zone;
use ringway_dns::transfer::{self, Offer};

use super::own;
use crate::quic::link::Load;

/// The union of our organization's fragments, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Legacy {
    apex: ZoneName,
    pub(super) offer: Offer,
    pub(super) whole: Load,
}

impl Legacy {
    /// Encodes `zone`. Blocks.
    pub(super) fn of(apex: &ZoneName, zone: &Arc<Zone>) -> Legacy {
        let bytes = zone.encode();
        let offer = own::offer(zone, &bytes);

        Legacy {
            apex: apex.clone(),
            offer,
            whole: load(apex, offer.serial, &bytes),
        }
    }

    pub(super) fn message(&self) -> ZoneMessage {
        ZoneMessage::Offer {
            apex: self.apex.clone(),
            serial: self.offer.serial,
            digest: self.offer.digest,
            // Fits: a zone is far smaller than 4 GiB (`replica::MAX_SIZE`).
            size: self.offer.size as u32,
        }
    }
}

fn load(apex: &ZoneName, serial: u32, bytes: &[u8]) -> Load {
    transfer::chunks(bytes)
        .map(|chunk| {
            let data = ZoneMessage::Data {
                apex: apex.clone(),
                serial,
                from: None,
                offset: chunk.offset as u32,
                last: chunk.last,
                bytes: chunk.bytes.to_vec(),
            };
            Message::Zone(data).encode()
        })
        .collect()
}
