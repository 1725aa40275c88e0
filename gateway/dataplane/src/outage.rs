//! [`Outage`]: the start of a prefix's outage, and how its packets are answered meanwhile. Pure.
//!
//! ```text
//!            0            2 s                 fail-fast (20 s)
//!   SYN      │ held       │ refused           │ held, until a session leads there again
//!   segment  │ dropped                │ reset from reset-after (5 s) on
//!   others   │ answered by ICMP errors
//! ```
//! A short outage is not to be noticed; in a longer one, clients that have other servers must learn
//! of it at once; and a client that has none must not back off for minutes, so that the SYNs of
//! long outages are kept for the moment in which they can be sent.

use std::time::{Duration, Instant};

use ringway_config::Tunnel;

/// Outages that are shorter are bridged.
const SHORT: Duration = Duration::from_secs(2);

/// How long after a start an attempt to reach a peer is waited for.
const FIRST_ATTEMPT: Duration = Duration::from_secs(10);

/// How long a peer that said that it restarts has time to come back with its connections.
const RESTART: Duration = Duration::from_secs(60);

/// Why no session leads to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageCause {
    /// This gateway has started, and its first attempts to reach the peer are not over yet.
    Starting,
    /// The last session was lost, or there never was one.
    Lost,
    /// The peer said that it stops, or withdrew the prefix: it may only restart.
    Announced,
    /// The peer is there and does not serve the prefix.
    Unserved,
}

/// No session leads to a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the last one ended; if there was none, when this gateway learned of the prefix.
    pub since: Instant,
    /// Why.
    pub cause: OutageCause,
}

/// What becomes of a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SynDecision {
    Hold,
    Refuse,
}

impl Outage {
    /// What becomes of a SYN at `now`.
    pub(crate) fn syn(&self, times: &Tunnel, now: Instant) -> SynDecision {
        let elapsed = now.saturating_duration_since(self.since);
        // Until the first attempts are over, it is not known that the peer is away.
        let waits = self.cause == OutageCause::Starting && elapsed < FIRST_ATTEMPT;
        // After so long, clients that have other servers have learned of it. Those that have none
        // wait.
        let returns = self.cause != OutageCause::Unserved && elapsed >= times.fail_fast;

        if times.held_syns > 0 && (elapsed < SHORT || waits || returns) {
            SynDecision::Hold
        } else {
            SynDecision::Refuse
        }
    }

    /// True from the time on at which connections are reset.
    pub(crate) fn resets(&self, times: &Tunnel, now: Instant) -> bool {
        self.resets_at(times) <= now
    }

    /// When connections are reset.
    pub(crate) fn resets_at(&self, times: &Tunnel) -> Instant {
        let patience = match self.cause {
            OutageCause::Starting | OutageCause::Lost => times.reset_after,
            OutageCause::Announced | OutageCause::Unserved => times.reset_after.max(RESTART),
        };
        self.since + patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Tunnel = Tunnel {
        reset_after: Duration::from_secs(5),
        fail_fast: Duration::from_secs(20),
        held_syns: 8192,
    };

    fn decisions(cause: OutageCause, times: &Tunnel) -> String {
        let since = Instant::now();
        let outage = Outage { since, cause };
        [0, 1, 2, 9, 10, 19, 20, 3600]
            .map(
                |second| match outage.syn(times, since + Duration::from_secs(second)) {
                    SynDecision::Hold => 'h',
                    SynDecision::Refuse => 'r',
                },
            )
            .iter()
            .collect()
    }

    #[test]
    fn syns_are_held_at_first_and_in_long_outages_and_refused_between() {
        assert_eq!(decisions(OutageCause::Lost, &TIMES), "hhrrrrhh");
        assert_eq!(decisions(OutageCause::Announced, &TIMES), "hhrrrrhh");
        assert_eq!(decisions(OutageCause::Starting, &TIMES), "hhhhrrhh");
        assert_eq!(decisions(OutageCause::Unserved, &TIMES), "hhrrrrrr");

        let never_held = Tunnel {
            held_syns: 0,
            ..TIMES
        };
        assert_eq!(decisions(OutageCause::Starting, &never_held), "rrrrrrrr");
        let never_refused = Tunnel {
            fail_fast: Duration::ZERO,
            ..TIMES
        };
        assert_eq!(decisions(OutageCause::Lost, &never_refused), "hhhhhhhh");
    }

    #[test]
    fn connections_are_reset_early_unless_the_peer_announced_its_end() {
        let since = Instant::now();
        for (cause, seconds) in [
            (OutageCause::Lost, 5),
            (OutageCause::Starting, 5),
            (OutageCause::Announced, 60),
            (OutageCause::Unserved, 60),
        ] {
            let outage = Outage { since, cause };
            let at = since + Duration::from_secs(seconds);
            assert!(!outage.resets(&TIMES, at - Duration::from_millis(1)));
            assert!(outage.resets(&TIMES, at), "{cause:?}");
        }
    }
}
