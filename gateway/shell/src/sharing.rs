//! [`Sharing`]: schedules the transfer of all flow records to siblings: soon after a session has
//! come up, and then periodically. The data plane sends new flows at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_core::ConnId;

/// Well within the three minutes after which a UDP flow is forgotten.
const PERIOD: Duration = Duration::from_secs(30);

/// The sessions with siblings and the time of the last full transfer.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    sessions: BTreeSet<ConnId>,
    /// Those that have not received a full transfer yet.
    fresh: BTreeSet<ConnId>,
    last: Option<Instant>,
}

impl Sharing {
    /// Replaces the set of sessions.
    pub(crate) fn set_sessions(&mut self, sessions: &BTreeSet<ConnId>) {
        self.fresh.extend(sessions.difference(&self.sessions));
        self.fresh.retain(|conn| sessions.contains(conn));

        self.sessions.clone_from(sessions);
    }

    /// The sessions on which to send all flow records now, if any.
    pub(crate) fn due(&mut self, now: Instant) -> Option<BTreeSet<ConnId>> {
        let fresh = std::mem::take(&mut self.fresh);
        let is_due = self.last.is_none_or(|last| last + PERIOD <= now);
        // Between two rounds, sessions that have come up since get everything at once.
        let to = if is_due { self.sessions.clone() } else { fresh };

        if is_due {
            self.last = Some(now);
        }
        (!to.is_empty()).then_some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_shared_with_a_new_session_at_once_and_with_all_sessions_periodically() {
        let start = Instant::now();
        let mut sharing = Sharing::default();
        let set = |conns: &[u64]| conns.iter().copied().map(ConnId).collect::<BTreeSet<_>>();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(sharing.due(at(0)), None);

        sharing.set_sessions(&set(&[1]));
        assert_eq!(sharing.due(at(1)), Some(set(&[1])));
        assert_eq!(sharing.due(at(2)), None);
        sharing.set_sessions(&set(&[1, 2]));
        assert_eq!(sharing.due(at(3)), Some(set(&[2])));
        assert_eq!(sharing.due(at(29)), None);
        assert_eq!(sharing.due(at(30)), Some(set(&[1, 2])));

        sharing.set_sessions(&set(&[2, 3]));
        sharing.set_sessions(&set(&[2]));
        assert_eq!(sharing.due(at(31)), None, "3 has ended meanwhile");
    }
}
