//! How long replicas are served while their owners are silent: marks those that have become too
//! old, and says when the time of each owner's last contact must be written to disk. How silence is
//! measured is up to [`ringway_dns::Hold`].

use std::time::{Duration, Instant};

use ringway_config::ZoneName;
use ringway_dns::{Hold, HoldFile, Moment, Origin, ZoneStatus};

use super::Replicator;

/// How often the replicas' ages are compared with the hold.
const LOOK: Duration = Duration::from_secs(5);
/// How often the last contacts are written; also at once after an owner's last session has ended.
/// After a crash, owners seem to have been silent for up to this much longer than they were.
const WRITE: Duration = Duration::from_secs(600);

/// The last contact with each owner, and for how long a silent owner's zone is served.
pub(super) struct Keeping {
    heard: Hold,
    hold: Duration,
    /// When [`Replicator::look`] last did its work.
    looked: Option<Instant>,
    /// When the last contacts were last written; `None`: they must be written soon.
    written: Option<Instant>,
}

impl Keeping {
    pub(super) fn new(heard: Hold, hold: Duration) -> Keeping {
        Keeping {
            heard,
            hold,
            looked: None,
            written: None,
        }
    }

    /// A session with the owner of `apex` has ended.
    pub(super) fn leave(&mut self, apex: &ZoneName, now: Moment) {
        self.heard.record_contact(apex, now);
        self.written = None;
    }
}

impl Replicator {
    /// How long the owner of `apex` has been silent: zero while it has a session with us.
    pub fn silence(&mut self, apex: &ZoneName, now: Moment) -> Duration {
        if self.has_session_with(apex) {
            return Duration::ZERO;
        }
        self.keeping.heard.silence(apex, now)
    }

    fn has_session_with(&self, apex: &ZoneName) -> bool {
        self.receiving
            .values()
            .any(|(peer, _)| self.domain.zone_of(&peer.org) == *apex)
    }

    /// Sets the hold. The last contacts of zones that are not of `members` are removed.
    pub fn set_hold(&mut self, hold: Duration, members: &[ZoneName]) {
        self.keeping.hold = hold;
        self.keeping.heard.retain(members);
        self.keeping.looked = None;
    }

    /// Marks replicas that have become too old, or usable again. Returns the file with the last
    /// contacts when it must be written. Does nothing if called again within `LOOK`.
    pub fn look(&mut self, now: Moment) -> Option<HoldFile> {
        if is_within(self.keeping.looked, LOOK, now) {
            return None;
        }
        self.keeping.looked = Some(now.monotonic);

        // First, so that no owner with a session counts as silent.
        for (peer, _) in self.receiving.values() {
            let apex = self.domain.zone_of(&peer.org);
            self.keeping.heard.record_contact(&apex, now);
        }
        for zone in self.zones.list() {
            self.update_stale(&zone, now);
        }

        if is_within(self.keeping.written, WRITE, now) {
            return None;
        }
        self.keeping.written = Some(now.monotonic);
        Some(self.keeping.heard.file())
    }

    /// Marks `zone` as stale or not, by the silence of its owner.
    fn update_stale(&mut self, zone: &ZoneStatus, now: Moment) {
        if zone.origin != Origin::Replica || zone.content.is_none() {
            return;
        }
        // Cannot fail: every apex was made from a `ZoneName`.
        let Ok(apex) = zone.apex.to_string().parse::<ZoneName>() else {
            return;
        };

        let silence = self.keeping.heard.silence(&apex, now);
        let stale = silence > self.keeping.hold;
        if stale == zone.stale {
            return;
        }

        self.zones.set_stale(&apex, stale);
        if stale {
            tracing::warn!(zone = %apex, elapsed = ?silence, "Zone too old: its names fail");
        } else {
            tracing::info!(zone = %apex, "Zone answered again");
        }
    }

    /// The file with the last contacts, to be written at shutdown.
    pub fn heard(&self) -> HoldFile {
        self.keeping.heard.file()
    }
}

/// True if less than `time` has passed since `last`.
fn is_within(last: Option<Instant>, time: Duration, now: Moment) -> bool {
    last.is_some_and(|last| now.monotonic.duration_since(last) < time)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use ringway_core::ConnId;
    use ringway_dns::transfer::Transfer;
    use ringway_dns::{ReplicaStore, Zone, Zones};

    use super::super::Own;
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    const CONN: ConnId = ConnId(1);

    fn name(text: &str) -> ZoneName {
        text.parse().unwrap()
    }

    fn zone(apex: &str) -> Zone {
        let text = format!(
            "{apex}. 5 SOA ns.{apex}. h.{apex}. 3 60 10 600 5\npeer0.{apex}. 5 A 10.1.0.9\n"
        );
        Zone::from_text(&text, None).unwrap()
    }

    #[test]
    fn a_replica_is_stale_once_its_owner_is_silent_for_longer_than_the_hold_until_it_is_back() {
        let dir = std::env::temp_dir().join(format!("ringway-zones-hold-{}", std::process::id()));
        let org0 = name("org0.example.test");
        let org1 = name("org1.example.test");
        let zones = Arc::new(Zones::new());
        zones.set_expected(&org0, std::slice::from_ref(&org1));
        zones
            .publish_replica(zone("org1.example.test"), SystemTime::now())
            .unwrap();
        let copies = Arc::new(ReplicaStore::open(&dir).unwrap());
        let start = Moment::now();
        let after = |time| Moment {
            wall: start.wall + time,
            monotonic: start.monotonic + time,
        };
        let keeping = Keeping::new(Hold::open(&dir.join("heard"), start).unwrap(), WEEK);
        let own = Own::new(org0, Arc::new(zone("org0.example.test")));
        let mut replica = Replicator::of(zones.clone(), copies, name("example.test"), own, keeping);
        let is_stale = || zones.list().iter().any(|zone| zone.stale);
        let session = |apex: &ZoneName| ("gw.org1".parse().unwrap(), Transfer::new(apex.clone()));
        let minute = Duration::from_secs(60);

        assert!(replica.look(start).is_some() && !is_stale());
        assert!(replica.look(after(WEEK)).is_some() && !is_stale());
        assert!(replica.look(after(WEEK + minute)).is_none() && is_stale());

        replica.set_hold(2 * WEEK, std::slice::from_ref(&org1));
        replica.look(after(WEEK + minute));
        assert!(!is_stale(), "a longer hold applies at once");
        replica.look(after(3 * WEEK));
        assert!(is_stale());

        replica.receiving.insert(CONN, session(&org1));
        replica.look(after(4 * WEEK));
        assert!(!is_stale(), "its owner is back, with the same zone");
        assert!(
            replica.silence(&org1, after(9 * WEEK)).is_zero(),
            "while it has a session"
        );

        replica.forget(CONN);
        assert!(
            replica.look(after(4 * WEEK + minute)).is_some(),
            "the last contact is written soon after the session has ended"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
