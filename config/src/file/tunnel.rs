//! `[tunnel]`: what happens while a peer cannot be reached.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::table::Table;
use crate::keys::{Key, gateway, tunnel as keys};
use crate::{Tunnel, limits};

/// Seconds. A tunnel is dead only when its probes have gone unanswered, so that less than a second
/// would mean nothing.
const RESET_AFTER: RangeInclusive<u32> = 1..=3600;

/// Seconds; 0 holds every connection request.
const FAIL_FAST: RangeInclusive<u32> = 0..=3600;

/// Reads `[tunnel]`. A value with faults is reported; the default that replaces it is never used.
pub(crate) fn read(table: &Table<'_>) -> Tunnel {
    let mut tunnel = Tunnel::default();
    let Some(table) = table.table(&gateway::TUNNEL, &keys::SCHEMA) else {
        return tunnel;
    };

    if let Some(duration) = read_seconds(&table, &keys::RESET_AFTER, RESET_AFTER) {
        tunnel.reset_after = duration;
    }
    if let Some(duration) = read_seconds(&table, &keys::FAIL_FAST, FAIL_FAST) {
        tunnel.fail_fast = duration;
    }
    if let Some(item) = table.optional(&keys::HELD_SYNS) {
        let most = item.integer(0..=limits::HELD_SYNS);
        tunnel.held_syns = most.unwrap_or(tunnel.held_syns);
    }

    tunnel
}

/// A number of seconds, if the key is there.
pub(super) fn read_seconds(
    table: &Table<'_>,
    key: &Key,
    range: RangeInclusive<u32>,
) -> Option<Duration> {
    let seconds = table.optional(key)?.integer(range)?;
    Some(Duration::from_secs(seconds.into()))
}
