//! Reads the member records in the files, to say of a difference from a peer's records whether a
//! reload ends it.

use ringway_config::{Config, OrgId, Survey};
use ringway_core::{FiledRecords, HeldRecord};

/// The records that a reload would read. One that cannot be read counts as unchanged. `None` if the
/// members directory cannot be read.
pub(super) fn read(current: &Config) -> Option<FiledRecords> {
    let survey = Survey::read(&current.path, Some(current));
    if !survey.is_listed {
        return None;
    }

    let unread = survey.unread.iter().filter_map(|org| {
        let org: OrgId = org.parse().ok()?;
        current.record(&org)
    });
    let records = unread.chain(&survey.records);
    Some(
        records
            .map(|record| (record.org.clone(), HeldRecord::from(record)))
            .collect(),
    )
}
