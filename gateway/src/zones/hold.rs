//! How long copies are served while their owners are silent: looks now and then, and has it written
//! who was heard when. What silence is, is [`ringway_dns::Hold`]'s.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_config::{GatewayId, ZoneName};
use ringway_dns::{Hold, HoldFile, Moment, Origin, Transfer, ZoneStatus};

use super::Replicator;

/// How often it is looked which copies have become too old.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is written who was heard, besides when somebody falls silent. After a crash, copies
/// look older by no more.
const WRITE: Duration = Duration::from_secs(600);

/// Who was heard when, and for how long copies are served.
pub(super) struct Keeping {
    heard: Hold,
    hold: Duration,
    looked: Option<Instant>,
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

    /// The owner of `apex` is heard for the last time.
    pub(super) fn leave(&mut self, apex: &ZoneName, now: Moment) {
        self.heard.record_contact(apex, now);
        self.written = None;
    }
}

impl Replicator {
    /// How long the owner of `apex` has been silent: not at all while it has a session with us.
    pub fn silence(&mut self, apex: &ZoneName, now: Moment) -> Duration {
        let is_owner = |(peer, _): &(GatewayId, Transfer)| self.domain.zone_of(&peer.org) == *apex;
        match self.receiving.values().any(is_owner) {
            true => Duration::ZERO,
            false => self.keeping.heard.silence(apex, now),
        }
    }

    /// Copies are served for so long from now on, and those of `members` only.
    pub fn set_hold(&mut self, hold: Duration, members: &[ZoneName]) {
        self.keeping.hold = hold;
        self.keeping.heard.retain(members);
        self.keeping.looked = None;
    }

    /// Looks, now and then, which copies have become too old, or good again; gives what is to be
    /// written.
    pub fn look(&mut self, now: Moment) -> Option<HoldFile> {
        let Keeping { looked, heard, .. } = &mut self.keeping;
        if looked.is_some_and(|at| now.monotonic.duration_since(at) < LOOK) {
            return None;
        }
        *looked = Some(now.monotonic);
        let owners = self
            .receiving
            .values()
            .map(|(peer, _)| self.domain.zone_of(&peer.org));
        let present: BTreeSet<ZoneName> = owners.collect();
        present
            .iter()
            .for_each(|apex| heard.record_contact(apex, now));
        self.zones
            .list()
            .iter()
            .for_each(|zone| self.judge(zone, now));
        let Keeping { written, heard, .. } = &mut self.keeping;
        let due = written.is_none_or(|at| now.monotonic.duration_since(at) >= WRITE);
        due.then(|| {
            *written = Some(now.monotonic);
            heard.file()
        })
    }

    fn judge(&mut self, zone: &ZoneStatus, now: Moment) {
        if zone.origin != Origin::Replica || zone.content.is_none() {
            return;
        }
        // Every apex is made from a `ZoneName`.
        let Ok(apex) = zone.apex.to_string().parse::<ZoneName>() else {
            return;
        };
        let silence = self.keeping.heard.silence(&apex, now);
        let stale = silence > self.keeping.hold;
        if stale == zone.stale {
            return;
        }
        self.zones.set_stale(&apex, stale);
        match stale {
            true => {
                tracing::warn!(zone = %apex, elapsed = ?silence, "Zone too old: its names fail")
            }
            false => tracing::info!(zone = %apex, "Zone answered again"),
        }
    }

    /// When members were last heard, to be written at the end.
    pub fn heard(&self) -> HoldFile {
        self.keeping.heard.file()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use ringway_core::ConnId;
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
    fn a_copy_is_answered_from_for_the_hold_and_again_when_its_owner_is_back() {
        let dir = std::env::temp_dir().join(format!("ringway-zones-hold-{}", std::process::id()));
        let (org0, org1) = (name("org0.example.test"), name("org1.example.test"));
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
        assert!(!is_stale(), "a longer hold counts at once");
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
            "who falls silent is written soon"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
