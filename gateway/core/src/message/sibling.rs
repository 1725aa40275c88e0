//! `Rank`, `Sibling` and `Relay`: which gateway of a site is the active one. Only gateways that
//! both offer [`SIBLINGS`] in `Hello` send these messages.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | epoch (rank, sibling) | u64 |
//! | 2 | preference (rank, sibling) | u32 |
//! | 3 | state (sibling) | bits u8: 1 active, 2 hands over; others are ignored |
//! | 4 | tunnels (sibling) | u16 |
//! | 5 | secret (sibling) | 32 bytes |
//! | 6 | from (relay) | name |
//! | 7 | to (relay) | name |
//! | 8 | nonce (relay) | 16 bytes |
//! | 9 | proof (relay, optional) | SHA-256 |

use ringway_config::{Digest, GatewayName};

use super::field::{FieldError, Fields, Writer};
use crate::rank::Rank;
use crate::secret::Secret;

/// The feature bit in `Hello` of a gateway that ranks the gateways of a site.
pub const SIBLINGS: u64 = 2;

const EPOCH: u16 = 1;
const PREFERENCE: u16 = 2;
const STATE: u16 = 3;
const TUNNELS: u16 = 4;
const SECRET: u16 = 5;
const FROM: u16 = 6;
const TO: u16 = 7;
const NONCE: u16 = 8;
const PROOF: u16 = 9;

const ACTIVE: u8 = 1;
const HANDS_OVER: u8 = 2;

/// What a gateway tells another one of its own site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiblingState {
    /// The rank of its claims.
    pub rank: Rank,
    /// It is the active one.
    pub is_active: bool,
    /// Another one should be active in its place: it is about to leave, or its uplink is dead.
    pub hands_over: bool,
    /// Its tunnels to other sites that carry packets.
    pub tunnels: u16,
    /// By which it proves to the receiver that it is alive.
    pub secret: Secret,
}

/// A question of one sibling to another whether it is alive, or the answer. A peer of both passes
/// it on and cannot answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The gateway that says it.
    pub from: GatewayName,
    /// The gateway of the same site that it is for.
    pub to: GatewayName,
    /// New with every question; the answer repeats it.
    pub nonce: [u8; 16],
    /// Only in an answer.
    pub proof: Option<Digest>,
}

pub(super) fn put_rank(rank: Rank, out: &mut Writer<'_>) {
    out.required(EPOCH, &rank.epoch);
    out.required(PREFERENCE, &rank.preference);
}

pub(super) fn get_rank(body: &[u8]) -> Result<Rank, FieldError> {
    let fields = Fields::split(body, &[EPOCH, PREFERENCE])?;

    rank(&fields)
}

pub(super) fn put_state(state: &SiblingState, out: &mut Writer<'_>) {
    let active = if state.is_active { ACTIVE } else { 0 };
    let hands_over = if state.hands_over { HANDS_OVER } else { 0 };

    put_rank(state.rank, out);
    out.required(STATE, &(active | hands_over));
    out.required(TUNNELS, &state.tunnels);
    out.required(SECRET, &state.secret.0);
}

pub(super) fn get_state(body: &[u8]) -> Result<SiblingState, FieldError> {
    let fields = Fields::split(body, &[EPOCH, PREFERENCE, STATE, TUNNELS, SECRET])?;
    let state: u8 = fields.required(STATE)?;

    Ok(SiblingState {
        rank: rank(&fields)?,
        is_active: state & ACTIVE != 0,
        hands_over: state & HANDS_OVER != 0,
        tunnels: fields.required(TUNNELS)?,
        secret: Secret(fields.required(SECRET)?),
    })
}

pub(super) fn put_relay(relay: &Relay, out: &mut Writer<'_>) {
    out.required(FROM, &relay.from);
    out.required(TO, &relay.to);
    out.required(NONCE, &relay.nonce);
    if let Some(proof) = &relay.proof {
        out.optional(PROOF, proof);
    }
}

pub(super) fn get_relay(body: &[u8]) -> Result<Relay, FieldError> {
    let fields = Fields::split(body, &[FROM, TO, NONCE, PROOF])?;

    Ok(Relay {
        from: fields.required(FROM)?,
        to: fields.required(TO)?,
        nonce: fields.required(NONCE)?,
        proof: fields.optional(PROOF)?,
    })
}

fn rank(fields: &Fields<'_>) -> Result<Rank, FieldError> {
    Ok(Rank {
        epoch: fields.required(EPOCH)?,
        preference: fields.required(PREFERENCE)?,
    })
}
