//! The log of what the rules denied, at a bounded rate: a member that sends denied packets must not
//! be able to fill the disk.

use std::sync::Arc;
use std::time::Duration;

use ringway_dataplane::Shared;
use ringway_filter::{DeniedPacket, Direction, Rules};
use tokio::time::sleep;

use crate::drive::denied_service;

/// Pause between two looks at the denied packets.
const PAUSE: Duration = Duration::from_secs(1);
/// Lines that may be written at once, when nothing was written for a while.
const BURST: u32 = 20;
/// Looks after which one more line may be written: six lines a minute.
const LOOKS_PER_LINE: u32 = 10;

/// What was logged, and what may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Budget {
    lines: u32,
    looks: u32,
}

/// Logs denied packets until it is dropped.
pub async fn log(shared: Shared) {
    let mut budget = Budget {
        lines: BURST,
        looks: 0,
    };
    let mut next = 0;

    loop {
        sleep(PAUSE).await;
        budget.look();

        let snapshot = shared.snapshot.load();
        if let Some(rules) = snapshot.rules() {
            next = log_new(&shared, rules, next, &mut budget);
        }
    }
}

/// Logs what has number `next` or a later one, as far as `budget` allows. Gives the number after.
fn log_new(shared: &Shared, rules: &Arc<Rules>, next: u64, budget: &mut Budget) -> u64 {
    let denied = shared.filter.denied(rules);
    let Some(last) = denied.last().map(|packet| packet.number) else {
        return next;
    };

    let mut unlogged = (last + 1).saturating_sub(next);
    for packet in denied.iter().filter(|packet| packet.number >= next) {
        if !budget.take() {
            break;
        }
        write(packet);
        unlogged -= 1;
    }
    if unlogged > 0 {
        tracing::debug!(packets = unlogged, "More packets were denied");
    }
    last + 1
}

fn write(packet: &DeniedPacket) {
    let org = packet.org.as_ref().map(ToString::to_string);
    let direction = match packet.direction {
        Direction::Arriving => "arriving",
        Direction::Leaving => "leaving",
    };
    tracing::info!(
        org,
        direction,
        source = %packet.source,
        destination = %packet.destination,
        service = denied_service(packet),
        reason = %packet.reason,
        "Packet denied by the policy"
    );
}

impl Budget {
    fn look(&mut self) {
        self.looks += 1;
        if self.looks >= LOOKS_PER_LINE {
            self.looks = 0;
            self.lines = (self.lines + 1).min(BURST);
        }
    }

    fn take(&mut self) -> bool {
        let is_left = self.lines > 0;
        self.lines = self.lines.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_denied_packets_writes_six_lines_a_minute() {
        let mut budget = Budget {
            lines: BURST,
            looks: 0,
        };
        let mut lines = 0;
        for _ in 0..600 {
            budget.look();
            for _ in 0..1000 {
                lines += u32::from(budget.take());
            }
        }
        assert_eq!(lines, BURST + 60);
    }
}
