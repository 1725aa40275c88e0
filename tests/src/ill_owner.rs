//! [`Ill`]: what the owner of a zone may try with it, as an offer and the octets that follow. How it gets to
//! a peer is the program `ringway-ill-owner`'s.

mod pulse;

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use ringway_config::{Digest, ZoneName};
use ringway_core::{Message, ZoneMessage};
use ringway_dns::{Name, Zone};

pub use pulse::{Keys, Pulse};

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ill {
    /// Nothing: it gives its zone, with the host `proof`.
    Good,
    /// Offers the zone of somebody else.
    Another,
    /// Gives a zone with a label that reaches outside of it.
    Outside,
    /// Gives other octets than the offer's digest is of.
    Hash,
    /// Says that there is no more long before there is no more.
    Truncated,
    /// Gives a zone that says it has a million records.
    Million,
    /// Offers a zone of 4 GiB.
    Huge,
    /// Gives its zone an octet at a time, and takes its time.
    Drip,
}

/// Between two drops: often enough that it never looks as if nothing came.
const DRIP: Duration = Duration::from_millis(250);

/// The address of `proof` in the good zone.
pub const PROOF: &str = "10.10.1.99";

/// A zone on its way: the offer, and what is sent to whoever fetches it.
pub struct Parcel {
    /// Whose it is said to be.
    pub apex: ZoneName,
    serial: u32,
    digest: Digest,
    size: u32,
    octets: Vec<u8>,
    drips: bool,
}

impl Parcel {
    /// What `ill` makes of the zone `own`; `another` is the zone of somebody else.
    pub fn new(ill: Ill, own: &ZoneName, another: &ZoneName) -> Result<Parcel> {
        // Serials follow the clock: this one is newer than any that the true owner has given.
        let serial = u32::try_from(UNIX_EPOCH.elapsed()?.as_secs())? + 3600;
        let apex = if ill == Ill::Another { another } else { own };
        let good = zone(apex, serial)?.encode();
        let mut octets = good.clone();
        match ill {
            Ill::Good | Ill::Another | Ill::Huge | Ill::Drip => {}
            Ill::Outside => {
                let label = good
                    .windows(6)
                    .position(|at| at == b"\x05proof")
                    .context("its host")?;
                octets[label] = 0x45;
            }
            Ill::Hash => *octets.last_mut().context("a zone has octets")? ^= 1,
            Ill::Truncated => octets.truncate(good.len() / 2),
            Ill::Million => {
                let count = 4 + Name::from(apex).as_wire().len();
                octets[count..count + 4].copy_from_slice(&1_000_000u32.to_be_bytes());
            }
        }
        let promised = if matches!(ill, Ill::Hash | Ill::Truncated) {
            &good
        } else {
            &octets
        };
        let size = if ill == Ill::Huge {
            u32::MAX
        } else {
            u32::try_from(promised.len())?
        };
        let (apex, digest, drips) = (apex.clone(), Digest::of(promised), ill == Ill::Drip);
        Ok(Parcel {
            apex,
            serial,
            digest,
            size,
            octets,
            drips,
        })
    }

    /// The offer.
    pub fn offer(&self) -> Message {
        let Parcel {
            serial,
            digest,
            size,
            ..
        } = *self;
        Message::Zone(ZoneMessage::Offer {
            apex: self.apex.clone(),
            serial,
            digest,
            size,
        })
    }

    /// The zone, which is small enough for one message, and how long to wait before each.
    pub fn data(&self) -> impl Iterator<Item = (Duration, Message)> {
        let (piece, pause) = if self.drips {
            (1, DRIP)
        } else {
            (self.octets.len(), Duration::ZERO)
        };
        self.octets
            .chunks(piece)
            .enumerate()
            .map(move |(i, bytes)| {
                let (apex, serial, offset) = (self.apex.clone(), self.serial, i * piece);
                let last = offset + bytes.len() == self.octets.len();
                let (offset, bytes) = (offset as u32, bytes.to_vec());
                (
                    pause,
                    Message::Zone(ZoneMessage::Data {
                        apex,
                        serial,
                        from: None,
                        offset,
                        last,
                        bytes,
                    }),
                )
            })
    }
}

fn zone(apex: &ZoneName, serial: u32) -> Result<Zone> {
    let text = format!(
        "$TTL 5\n@ SOA gw h {serial} 60 10 600 5\n@ NS gw\ngw A 10.10.1.1\nproof A {PROOF}\n"
    );
    Zone::from_text(&text, Some(&Name::from(apex))).map_err(|faults| anyhow!("{faults:?}"))
}
