//! Logs denied packets at a bounded rate: a member that sends them must not be able to fill the
//! disk.

use std::sync::Arc;
use std::time::Duration;

use ringway_dataplane::Shared;
use ringway_filter::{DeniedPacket, Direction, Rules};
use tokio::time::sleep;

use crate::drive::denied_service;

/// Interval of the checks for denied packets.
const PAUSE: Duration = Duration::from_secs(1);
/// Lines that may be written at once, after a pause.
const BURST: u32 = 20;
/// Number of checks after which the budget grows by a line: six lines a minute.
const CHECKS_PER_LINE: u32 = 10;

/// The budget of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Budget {
    lines: u32,
    checks: u32,
}

/// Logs denied packets until it is dropped.
pub async fn log(shared: Shared) {
    let mut budget = Budget {
        lines: BURST,
        checks: 0,
    };
    let mut next = 0;

    loop {
        sleep(PAUSE).await;
        budget.tick();

        let snapshot = shared.snapshot.load();
        if let Some(rules) = snapshot.rules() {
            let scan = log_new(&shared, rules, next, &mut budget);
            next = scan.next;
            if scan.unlogged > 0 {
                tracing::debug!(packets = scan.unlogged, "More packets were denied");
            }
        }
    }
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
struct Scan {
    /// The number of the next denied packet.
    next: u64,
    /// New packets that were not logged: beyond the budget, or overwritten before this check.
    unlogged: u64,
}

/// Logs what has number `next` or a later one, as far as `budget` allows.
fn log_new(shared: &Shared, rules: &Arc<Rules>, next: u64, budget: &mut Budget) -> Scan {
    let denied = shared.filter.denied(rules);
    let Some(last) = denied.last().map(|packet| packet.number) else {
        return Scan { next, unlogged: 0 };
    };

    let mut unlogged = (last + 1).saturating_sub(next);
    for packet in denied.iter().filter(|packet| packet.number >= next) {
        if !budget.take() {
            break;
        }
        write(packet);
        unlogged -= 1;
    }
    Scan {
        next: last + 1,
        unlogged,
    }
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
    fn tick(&mut self) {
        self.checks += 1;
        if self.checks >= CHECKS_PER_LINE {
            self.checks = 0;
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
    use std::time::Instant;

    use arc_swap::ArcSwap;
    use ringway_config::Policy;
    use ringway_dataplane::{Counters, SiteNo, Snapshot};
    use ringway_filter::{Filter, MOST_DENIED_KEPT, RemoteSite, RulesSpec, Settings, Verdict};

    use super::*;

    #[test]
    fn a_flood_of_denied_packets_writes_six_lines_a_minute() {
        let mut budget = Budget {
            lines: BURST,
            checks: 0,
        };
        let mut lines = 0;
        for _ in 0..600 {
            budget.tick();
            for _ in 0..1000 {
                lines += u32::from(budget.take());
            }
        }
        assert_eq!(lines, BURST + 60);
    }

    #[test]
    fn each_denied_packet_is_logged_once() {
        let now = Instant::now();
        let spec = RulesSpec {
            policy: Policy {
                allow: Some(Vec::new()),
                ..Policy::default()
            },
            former: Vec::new(),
            site: 0,
            own: vec!["10.1.0.0/16".parse().unwrap()],
            sites: vec![RemoteSite {
                number: 1,
                org: "beta".parse().unwrap(),
                site: "east".parse().unwrap(),
                prefixes: vec!["10.2.0.0/16".parse().unwrap()],
                has_gateways: true,
                via: None,
            }],
            names: [].into(),
            dns: Vec::new(),
            gateway: Vec::new(),
            tunnel_port: 4600,
        };
        let settings = Settings::of(&spec.policy);
        let rules = Arc::new(Rules::compile(&spec));
        let shared = Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty(SiteNo(0)))),
            counters: Arc::new(Counters::new()),
            filter: Arc::new(Filter::new(&settings, [7; 16], now)),
        };

        let mut udp = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        udp.extend([10, 2, 0, 9, 10, 1, 0, 9, 0, 1, 0, 2, 0, 8, 0, 0]);
        let deny = |count| {
            for _ in 0..count {
                let verdict = shared.filter.arrives(&rules, 1, &udp, now);
                assert!(matches!(verdict, Verdict::Drop(_)));
            }
        };
        let mut budget = Budget {
            lines: BURST,
            checks: 0,
        };

        let nothing = |next| Scan { next, unlogged: 0 };
        assert_eq!(log_new(&shared, &rules, 0, &mut budget), nothing(0));
        deny(3);
        let scan = log_new(&shared, &rules, 0, &mut budget);
        assert_eq!(scan.unlogged, 0);
        assert_eq!(budget.lines, BURST - 3);
        let next = scan.next;
        assert_eq!(log_new(&shared, &rules, next, &mut budget), nothing(next));
        assert_eq!(budget.lines, BURST - 3, "nothing is new");
        deny(2);
        let scan = log_new(&shared, &rules, next, &mut budget);
        assert_eq!(scan, nothing(next + 2));
        assert_eq!(budget.lines, BURST - 5);

        // Beyond the budget, and beyond what the ring keeps of one time.
        budget.lines = 4;
        deny(10);
        let scan = log_new(&shared, &rules, next + 2, &mut budget);
        assert_eq!((scan.next, scan.unlogged), (next + 12, 6));
        deny(5000);
        let scan = log_new(&shared, &rules, next + 12, &mut budget);
        let kept = MOST_DENIED_KEPT as u64;
        assert_eq!((scan.next, scan.unlogged), (kept, kept - next - 12));
    }
}
