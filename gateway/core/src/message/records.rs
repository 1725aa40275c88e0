//! `Records`, and the same list inside `Hello`: fingerprints of member records, as
//! `(organization's name, SHA-256)*` in field 1. Operators see differences in `status`; they decide
//! nothing.

use std::collections::BTreeMap;

use ringway_config::{Digest, OrgId};

use super::field::{FieldError, Fields, Writer};

/// Most records in one message: 48 KiB with names of 63 bytes. In a larger consortium only the
/// first are sent.
pub const MAX_RECORDS: usize = 512;

const RECORDS: u16 = 1;

pub(super) fn put(tag: u16, records: &BTreeMap<OrgId, Digest>, out: &mut Writer<'_>) {
    let capped = records.iter().take(MAX_RECORDS);
    out.list(tag, capped.map(|(org, digest)| (org.clone(), *digest)));
}

pub(super) fn put_message(records: &BTreeMap<OrgId, Digest>, out: &mut Writer<'_>) {
    put(RECORDS, records, out);
}

pub(super) fn get_message(body: &[u8]) -> Result<BTreeMap<OrgId, Digest>, FieldError> {
    let fields = Fields::split(body, &[RECORDS])?;
    Ok(fields.list(RECORDS, MAX_RECORDS)?.into_iter().collect())
}
