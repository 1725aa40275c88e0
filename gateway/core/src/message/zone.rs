//! `ZoneOffer`, `ZoneFetch`, `ZoneData`: zones, and what changed in them, travel in chunks. When to offer and what to accept is the
//! replicator's matter; the mesh only carries them.

use ringway_config::{Digest, ZoneName};

use super::Message;
use super::field::{FieldError, Fields, Writer};

/// Most bytes of a zone in one `ZoneData`.
pub const MAX_CHUNK: usize = 48 * 1024;

const APEX: u16 = 1;
const SERIAL: u16 = 2;
const DIGEST: u16 = 3;
const SIZE: u16 = 4;
const OFFSET: u16 = 5;
const LAST: u16 = 6;
const BYTES: u16 = 7;
const HAVE: u16 = 8;
const FROM: u16 = 9;

pub(super) fn put_name(apex: &ZoneName, serial: u32, out: &mut Writer<'_>) {
    out.required(APEX, apex);
    out.required(SERIAL, &serial);
}

pub(super) fn put_offer(digest: &Digest, size: u32, out: &mut Writer<'_>) {
    out.required(DIGEST, digest);
    out.required(SIZE, &size);
}

/// A gateway that does not know the field answers with the whole zone, which is as good.
pub(super) fn put_have(have: &Option<(u32, Digest)>, out: &mut Writer<'_>) {
    have.iter().for_each(|have| out.optional(HAVE, have));
}

/// Whoever does not know this field must not take a difference for a zone.
pub(super) fn put_from(from: &Option<u32>, out: &mut Writer<'_>) {
    from.iter().for_each(|from| out.required(FROM, from));
}

pub(super) fn put_data(offset: u32, last: bool, bytes: &[u8], out: &mut Writer<'_>) {
    out.required(OFFSET, &offset);
    out.required(LAST, &last);
    out.bytes(BYTES, bytes);
}

pub(super) fn get_offer(body: &[u8]) -> Result<Message, FieldError> {
    let fields = Fields::split(body, &[APEX, SERIAL, DIGEST, SIZE])?;
    Ok(Message::ZoneOffer {
        apex: fields.required(APEX)?,
        serial: fields.required(SERIAL)?,
        digest: fields.required(DIGEST)?,
        size: fields.required(SIZE)?,
    })
}

pub(super) fn get_fetch(body: &[u8]) -> Result<Message, FieldError> {
    let fields = Fields::split(body, &[APEX, SERIAL, HAVE])?;
    Ok(Message::ZoneFetch {
        apex: fields.required(APEX)?,
        serial: fields.required(SERIAL)?,
        have: fields.optional(HAVE)?,
    })
}

pub(super) fn get_data(body: &[u8]) -> Result<Message, FieldError> {
    let fields = Fields::split(body, &[APEX, SERIAL, OFFSET, LAST, BYTES, FROM])?;
    Ok(Message::ZoneData {
        apex: fields.required(APEX)?,
        serial: fields.required(SERIAL)?,
        from: fields.optional(FROM)?,
        offset: fields.required(OFFSET)?,
        last: fields.required(LAST)?,
        bytes: fields.bytes(BYTES, MAX_CHUNK)?.to_vec(),
    })
}
