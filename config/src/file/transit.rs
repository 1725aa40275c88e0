//! `[[transit]]`: the sites of other organizations that this one consents to serve.

use super::item::Item;
use super::table::Table;
use crate::{OrgId, Transit, TransitSite, keys, limits};

/// The consents of a record of this version. `ours` is its organization.
pub(super) fn read(record: &Table<'_>, ours: Option<&OrgId>, version: u32) -> Vec<Transit> {
    // Version 1 does not have the key; it is reported as unknown.
    if version == 1 {
        return Vec::new();
    }

    let mut consents: Vec<Transit> = Vec::new();
    let schema = &keys::transit::SCHEMA;
    for table in record.tables(&keys::member::TRANSIT, limits::TRANSIT, schema) {
        let Some(item) = table.required(&keys::transit::FOR) else {
            continue;
        };
        if let Some(consent) = read_one(&item, ours, &consents) {
            consents.push(consent);
        }
    }
    consents
}

fn read_one(item: &Item<'_>, ours: Option<&OrgId>, known: &[Transit]) -> Option<Transit> {
    let TransitSite { org, site } = item.parse()?;
    if Some(&org) == ours {
        return item.refuse(format!(
            "{org}/{site} is a site of this organization, which needs no consent; remove the block"
        ));
    }
    if known
        .iter()
        .any(|known| known.org == org && known.site == site)
    {
        return item.refuse(format!("{org}/{site} is listed twice; remove one of them"));
    }

    Some(Transit {
        org,
        site,
        place: item.place(),
    })
}
