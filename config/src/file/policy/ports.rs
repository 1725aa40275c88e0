//! Port ranges.

use std::ops::RangeInclusive;

use crate::file::item::Item;
use crate::{PortRange, limits};

const PORTS: RangeInclusive<u32> = 1..=65535;

/// Port ranges in order, disjoint.
pub(super) fn read(item: &Item<'_>) -> Vec<PortRange> {
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        item.fault("no port; remove ports to allow every one");
    }

    join(items.iter().filter_map(read_range).collect())
}

/// Sorts ranges and joins those that overlap or touch.
pub(super) fn join(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort();

    let mut joined: Vec<PortRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            // Sorted by their first ports, so that only the last range can be met.
            Some(last) if range.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }

    joined
}

fn read_range(item: &Item<'_>) -> Option<PortRange> {
    if !item.is_text() {
        let port = u16::try_from(item.integer(PORTS)?).ok()?;
        return Some(PortRange::one(port));
    }

    let text = item.text()?;
    text.parse().map_or_else(|error| item.refuse(error), Some)
}
