//! [`Attack`]: what a malicious owner of a zone may try, as an offer and the bytes that follow.
//!
//! The program `ringway-malicious-owner` brings it to a peer over a real session.

mod echo_socket;

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use ringway_config::{Digest, ZoneName};
use ringway_core::{Message, ZoneMessage};
use ringway_dns::{Name, Zone};

pub use echo_socket::{EchoSocket, Keys};

/// What the owner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Attack {
    /// No attack: it sends its zone, which contains the host `proof`.
    None,
    /// It offers the zone of another organization.
    ForeignZone,
    /// It sends a zone with a label that reaches outside of the zone.
    OutsideLabel,
    /// It sends bytes that do not match the digest of its offer.
    WrongDigest,
    /// It marks as last a message that ends in the middle of the zone.
    Truncated,
    /// It sends a zone that claims to have a million records.
    MillionRecords,
    /// It offers a zone of 4 GiB.
    HugeOffer,
    /// It sends its zone byte by byte, slowly.
    Slow,
}

/// Pause between the bytes of [`Attack::Slow`]: short enough that the peer never sees a silence.
const SLOW_PAUSE: Duration = Duration::from_millis(250);

/// The address of the host `proof` in the valid zone.
pub const PROOF: &str = "10.10.1.99";

/// A zone to be sent: the offer, and the bytes that follow when the peer fetches it.
pub struct Delivery {
    /// The zone's apex according to the offer.
    pub apex: ZoneName,
    serial: u32,
    digest: Digest,
    size: u32,
    bytes: Vec<u8>,
    piece_len: usize,
    pause: Duration,
}

impl Delivery {
    /// The zone of the sender, whose apex is `ours`, changed as `attack` says. `foreign` is the
    /// apex of another organization's zone.
    pub fn new(attack: Attack, ours: &ZoneName, foreign: &ZoneName) -> Result<Delivery> {
        // Serials follow the clock: this one is newer than any that the true owner has given out.
        let serial = u32::try_from(UNIX_EPOCH.elapsed()?.as_secs())? + 3600;
        let apex = match attack {
            Attack::ForeignZone => foreign,
            _ => ours,
        };
        let valid = zone(apex, serial)?.encode();
        let bytes = change(attack, apex, &valid)?;

        // The offer of a zone that is damaged on purpose is that of the valid zone. Elsewhere the
        // offer matches, so that the peer's other checks are reached.
        let offered = match attack {
            Attack::WrongDigest | Attack::Truncated => &valid,
            _ => &bytes,
        };
        let size = match attack {
            Attack::HugeOffer => u32::MAX,
            _ => u32::try_from(offered.len())?,
        };
        let is_slow = attack == Attack::Slow;
        Ok(Delivery {
            apex: apex.clone(),
            serial,
            digest: Digest::of(offered),
            size,
            piece_len: if is_slow { 1 } else { bytes.len() },
            pause: if is_slow { SLOW_PAUSE } else { Duration::ZERO },
            bytes,
        })
    }

    /// The offer.
    pub fn offer(&self) -> Message {
        Message::Zone(ZoneMessage::Offer {
            apex: self.apex.clone(),
            serial: self.serial,
            digest: self.digest,
            size: self.size,
        })
    }

    /// Time to wait before each message of [`Delivery::messages`].
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// The messages that carry the zone: one, or one for each byte of [`Attack::Slow`].
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        let pieces = self.bytes.chunks(self.piece_len);
        let last = pieces.len() - 1;
        pieces.enumerate().map(move |(i, piece)| {
            Message::Zone(ZoneMessage::Data {
                apex: self.apex.clone(),
                serial: self.serial,
                from: None,
                offset: (i * self.piece_len) as u32,
                last: i == last,
                bytes: piece.to_vec(),
            })
        })
    }
}

/// The bytes that are sent instead of the encoded zone `valid`.
fn change(attack: Attack, apex: &ZoneName, valid: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = valid.to_vec();
    match attack {
        Attack::None | Attack::ForeignZone | Attack::HugeOffer | Attack::Slow => {}
        Attack::OutsideLabel => {
            let label = valid
                .windows(6)
                .position(|window| window == b"\x05proof")
                .context("the zone has no host `proof`")?;
            // A label's length is at most 63 (RFC 1035, 3.1); 0x45 is 69.
            bytes[label] = 0x45;
        }
        Attack::WrongDigest => *bytes.last_mut().context("an encoded zone has bytes")? ^= 1,
        Attack::Truncated => bytes.truncate(valid.len() / 2),
        Attack::MillionRecords => {
            // The number of records follows four bytes and the apex.
            let count = 4 + Name::from(apex).as_wire().len();
            bytes[count..count + 4].copy_from_slice(&1_000_000u32.to_be_bytes());
        }
    }
    Ok(bytes)
}

fn zone(apex: &ZoneName, serial: u32) -> Result<Zone> {
    let text = format!(
        "$TTL 5\n@ SOA gw h {serial} 60 10 600 5\n@ NS gw\ngw A 10.10.1.1\nproof A {PROOF}\n"
    );
    Zone::from_text(&text, Some(&Name::from(apex))).map_err(|faults| anyhow!("{faults:?}"))
}
