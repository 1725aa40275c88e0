//! [`Sharing`]: when every flow is sent to another gateway of our site: with the first round after
//! its session has come up, and then from time to time. The data plane sends new flows at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_core::ConnId;

/// Well within the three minutes after which a UDP flow is forgotten.
const PERIOD: Duration = Duration::from_secs(30);

/// The sessions with the other gateways of our site, and when every flow was sent last.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    sessions: BTreeSet<ConnId>,
    /// Those to which nothing was sent yet.
    fresh: BTreeSet<ConnId>,
    last: Option<Instant>,
}

impl Sharing {
    /// These are the sessions now.
    pub(crate) fn follow(&mut self, sessions: &BTreeSet<ConnId>) {
        self.fresh.extend(sessions.difference(&self.sessions));
        self.fresh.retain(|conn| sessions.contains(conn));

        self.sessions.clone_from(sessions);
    }

    /// The sessions to which every flow is to be sent now, if there are any.
    pub(crate) fn due(&mut self, now: Instant) -> Option<BTreeSet<ConnId>> {
        let fresh = std::mem::take(&mut self.fresh);
        let is_time = self.last.is_none_or(|last| last + PERIOD <= now);
        // Between two rounds, sessions that have come up since get everything at once.
        let to = if is_time {
            self.sessions.clone()
        } else {
            fresh
        };

        if is_time {
            self.last = Some(now);
        }
        (!to.is_empty()).then_some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_session_gets_every_flow_at_once_and_every_session_from_time_to_time() {
        let start = Instant::now();
        let mut sharing = Sharing::default();
        let set = |conns: &[u64]| conns.iter().copied().map(ConnId).collect::<BTreeSet<_>>();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(sharing.due(at(0)), None);

        sharing.follow(&set(&[1]));
        assert_eq!(sharing.due(at(1)), Some(set(&[1])));
        assert_eq!(sharing.due(at(2)), None);
        sharing.follow(&set(&[1, 2]));
        assert_eq!(sharing.due(at(3)), Some(set(&[2])));
        assert_eq!(sharing.due(at(29)), None);
        assert_eq!(sharing.due(at(30)), Some(set(&[1, 2])));

        sharing.follow(&set(&[2, 3]));
        sharing.follow(&set(&[2]));
        assert_eq!(sharing.due(at(31)), None, "3 has ended meanwhile");
    }
}
