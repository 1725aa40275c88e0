//! `Rank`, `Sibling` and `Relay`: which gateway of a site is the active one. Only gateways that
//! both offer [`SIBLINGS`] in `Hello` send these messages.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | epoch (rank, sibling, relay) | u64 |
//! | 2 | preference (rank, sibling, relay) | u32 |
//! | 3 | state (sibling, relay) | bits u8: 1 active, 2 hands over, 4 no carrier; others ignored |
//! | 4 | tunnels (sibling, relay) | u16 |
//! | 5 | secret (sibling) | 32 bytes |
//! | 6 | from (relay) | name |
//! | 7 | to (relay) | name |
//! | 8 | nonce (relay) | 16 bytes |
//! | 9 | proof (relay, optional) | SHA-256 |
//! | 10 | serial (sibling, relay) | u64 |
//! | 11 | organization (relay) | label |
//!
//! A relay has epoch, preference, state, tunnels and serial if it has a proof: the proof covers
//! them.

use ringway_config::{Digest, GatewayName, OrgId};

use super::field::{FieldError, Fields, Writer};
use crate::rank::Rank;
use crate::secret::Secret;

/// The feature bit in `Hello` of a gateway that ranks the gateways of a site.
pub const SIBLINGS: u64 = 2;

/// The feature bit in `Hello` of a gateway that announces to the other gateways of its site which
/// prefixes of other sites it reaches, and passes on what these send there.
pub const SIBLING_ROUTES: u64 = 16;

const EPOCH: u16 = 1;
const PREFERENCE: u16 = 2;
const STATE: u16 = 3;
const TUNNELS: u16 = 4;
const SECRET: u16 = 5;
const FROM: u16 = 6;
const TO: u16 = 7;
const NONCE: u16 = 8;
const PROOF: u16 = 9;
const SERIAL: u16 = 10;
const ORG: u16 = 11;

const ACTIVE: u8 = 1;
const HANDS_OVER: u8 = 2;
const NO_CARRIER: u8 = 4;

/// The state that a gateway reports to the others of its site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SiblingState {
    /// The rank of its claims.
    pub rank: Rank,
    /// The gateway is the active one.
    pub is_active: bool,
    /// The gateway asks another one to take over: it is about to stop, or its uplink is dead.
    pub hands_over: bool,
    /// None of its interfaces to the site's network has a carrier: it does not reach the site's
    /// hosts.
    pub no_carrier: bool,
    /// Its tunnels to other sites that carry packets.
    pub tunnels: u16,
    /// Incremented with every change, also across restarts. It orders states that arrive on
    /// different paths.
    pub serial: u64,
}

/// The message of a gateway to another one of its site, on their session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiblingMessage {
    /// The sender's state.
    pub state: SiblingState,
    /// The key of the proofs that the sender will give to the receiver.
    pub secret: Secret,
}

/// A query of one sibling to another, whether it is alive and in which state, or the answer. A peer
/// of both forwards it, and can neither forge nor change the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The organization of both. Gateways of different organizations often have equal names.
    pub org: OrgId,
    /// The sender.
    pub from: GatewayName,
    /// The receiver, a gateway of the same site.
    pub to: GatewayName,
    /// Unique to each query; the answer repeats it.
    pub nonce: [u8; 16],
    /// `None` in a query.
    pub answer: Option<Answer>,
}

/// A sibling's answer through a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The sibling's state.
    pub state: SiblingState,
    /// Authenticates nonce and state: see [`Secret::prove`].
    pub proof: Digest,
}

pub(super) fn put_rank(rank: Rank, out: &mut Writer<'_>) {
    out.required(EPOCH, &rank.epoch);
    out.required(PREFERENCE, &rank.preference);
}

pub(super) fn get_rank(body: &[u8]) -> Result<Rank, FieldError> {
    let fields = Fields::split(body, &[EPOCH, PREFERENCE])?;

    rank(&fields)
}

pub(super) fn put_sibling(message: &SiblingMessage, out: &mut Writer<'_>) {
    put_state(&message.state, out);
    out.required(SECRET, &message.secret.0);
}

pub(super) fn get_sibling(body: &[u8]) -> Result<SiblingMessage, FieldError> {
    let fields = Fields::split(body, &[EPOCH, PREFERENCE, STATE, TUNNELS, SERIAL, SECRET])?;

    Ok(SiblingMessage {
        state: state(&fields)?,
        secret: Secret(fields.required(SECRET)?),
    })
}

pub(super) fn put_relay(relay: &Relay, out: &mut Writer<'_>) {
    out.required(ORG, &relay.org);
    out.required(FROM, &relay.from);
    out.required(TO, &relay.to);
    out.required(NONCE, &relay.nonce);
    if let Some(answer) = &relay.answer {
        put_state(&answer.state, out);
        out.optional(PROOF, &answer.proof);
    }
}

pub(super) fn get_relay(body: &[u8]) -> Result<Relay, FieldError> {
    let known = [
        ORG, FROM, TO, NONCE, PROOF, EPOCH, PREFERENCE, STATE, TUNNELS, SERIAL,
    ];
    let fields = Fields::split(body, &known)?;

    let answer = match fields.optional(PROOF)? {
        Some(proof) => Some(Answer {
            state: state(&fields)?,
            proof,
        }),
        None => None,
    };
    Ok(Relay {
        org: fields.required(ORG)?,
        from: fields.required(FROM)?,
        to: fields.required(TO)?,
        nonce: fields.required(NONCE)?,
        answer,
    })
}

impl SiblingState {
    /// The value of the field with tag [`STATE`].
    fn bits(&self) -> u8 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };

        bit(self.is_active, ACTIVE)
            | bit(self.hands_over, HANDS_OVER)
            | bit(self.no_carrier, NO_CARRIER)
    }

    /// The input of a proof, of fixed length.
    pub(crate) fn to_bytes(self) -> [u8; 23] {
        let mut bytes = [0; 23];
        bytes[..8].copy_from_slice(&self.rank.epoch.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.rank.preference.to_be_bytes());
        bytes[12] = self.bits();
        bytes[13..15].copy_from_slice(&self.tunnels.to_be_bytes());
        bytes[15..].copy_from_slice(&self.serial.to_be_bytes());

        bytes
    }
}

fn put_state(state: &SiblingState, out: &mut Writer<'_>) {
    put_rank(state.rank, out);
    out.required(STATE, &state.bits());
    out.required(TUNNELS, &state.tunnels);
    out.required(SERIAL, &state.serial);
}

fn state(fields: &Fields<'_>) -> Result<SiblingState, FieldError> {
    let bits: u8 = fields.required(STATE)?;

    Ok(SiblingState {
        rank: rank(fields)?,
        is_active: bits & ACTIVE != 0,
        hands_over: bits & HANDS_OVER != 0,
        no_carrier: bits & NO_CARRIER != 0,
        tunnels: fields.required(TUNNELS)?,
        serial: fields.required(SERIAL)?,
    })
}

fn rank(fields: &Fields<'_>) -> Result<Rank, FieldError> {
    Ok(Rank {
        epoch: fields.required(EPOCH)?,
        preference: fields.required(PREFERENCE)?,
    })
}
