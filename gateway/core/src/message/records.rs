//! `Records`, and the same lists inside `Hello`: the member records that the sender holds, as
//! `(organization's name, SHA-256)*` in field 1, and in field 2 their serials, u64 each, in the
//! same order. Field 2 is optional: a peer of version 0.1 neither sends nor needs it. Operators see
//! differences in `status`; they decide nothing.

use std::collections::BTreeMap;

use ringway_config::{Digest, OrgId};

use super::field::{FieldError, Fields, Writer};
use crate::held_record::HeldRecord;

/// Most records in one message: 52 KiB with names of 63 bytes. In a larger consortium only the
/// first are sent.
pub const MAX_RECORDS: usize = 512;

const RECORDS: u16 = 1;
const SERIALS: u16 = 2;

pub(super) fn put(
    records_tag: u16,
    serials_tag: u16,
    records: &BTreeMap<OrgId, HeldRecord>,
    out: &mut Writer<'_>,
) {
    let capped = records.iter().take(MAX_RECORDS);
    out.list(
        records_tag,
        capped.map(|(org, held)| (org.clone(), held.digest)),
    );

    // In the order of the records: a serial does not name its organization.
    let capped = records.values().take(MAX_RECORDS);
    out.optional_list(serials_tag, capped.map(|held| held.serial));
}

pub(super) fn get(
    records_tag: u16,
    serials_tag: u16,
    fields: &Fields<'_>,
) -> Result<BTreeMap<OrgId, HeldRecord>, FieldError> {
    let records: Vec<(OrgId, Digest)> = fields.list(records_tag, MAX_RECORDS)?;
    let serials: Vec<u64> = fields.list(serials_tag, MAX_RECORDS)?;

    // A peer that does not tell serials tells none; one for each record, or it is no list of them.
    if !serials.is_empty() && serials.len() != records.len() {
        return Err(FieldError::Value(serials_tag));
    }
    let serials = serials.into_iter().chain(std::iter::repeat(0));
    let held = records.into_iter().zip(serials);
    Ok(held
        .map(|((org, digest), serial)| (org, HeldRecord { serial, digest }))
        .collect())
}

pub(super) fn put_message(records: &BTreeMap<OrgId, HeldRecord>, out: &mut Writer<'_>) {
    put(RECORDS, SERIALS, records, out);
}

pub(super) fn get_message(body: &[u8]) -> Result<BTreeMap<OrgId, HeldRecord>, FieldError> {
    let fields = Fields::split(body, &[RECORDS, SERIALS])?;
    get(RECORDS, SERIALS, &fields)
}
