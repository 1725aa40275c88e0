//! [`Zones`]: the zones that this gateway serves, published as one immutable [`ZoneSet`].
//!
//! The gateway publishes; the server loads a set per message and never waits. A zone that should
//! exist but was never received is in the set too, without content: the difference between SERVFAIL
//! and a lie (NXDOMAIN).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use ringway_config::ZoneName;

use crate::name::{Labels, Name};
use crate::serial::is_newer;
use crate::zone::Zone;

/// Where a zone comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This organization's configuration.
    Own,
    /// Its owner, over a control stream or from the last good copy.
    Replica,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Own => "own",
            Origin::Replica => "replica",
        })
    }
}

/// One zone's state, for `status` and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneStatus {
    /// The zone's name.
    pub apex: Name,
    /// Its content's serial and time of arrival; `None` if it was never received.
    pub content: Option<(u32, SystemTime)>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Why a zone was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No member has this zone (any more).
    #[error("{0} is no zone of this consortium")]
    Unexpected(String),
    /// A replica whose serial is not newer than that of the copy being served.
    #[error("serial {offered} of {apex} is not newer than {held}")]
    Old {
        /// The zone.
        apex: String,
        /// Its serial.
        offered: u32,
        /// The serial being served.
        held: u32,
    },
}

/// The zones of one moment.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {
    entries: HashMap<Box<[u8]>, Entry>,
    /// Labels of the deepest apex: no need to look for deeper ones.
    depth: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    apex: Name,
    origin: Origin,
    content: Option<(Arc<Zone>, SystemTime)>,
}

impl ZoneSet {
    /// A set of just these zones.
    pub fn of(zones: impl IntoIterator<Item = Zone>) -> ZoneSet {
        let mut set = ZoneSet::default();
        for zone in zones {
            let apex = *zone.apex();
            set.expect(apex, Origin::Own);
            set.put(Arc::new(zone), SystemTime::UNIX_EPOCH);
        }
        set
    }

    /// The zone that holds `name`: the deepest apex at or above it. `Some(None)`: never received.
    pub(crate) fn holding(&self, name: &Labels<'_>) -> Option<Option<&Zone>> {
        let first = name.count().saturating_sub(self.depth);
        (first..=name.count())
            .find_map(|i| self.entries.get(name.suffix(i)))
            .map(|entry| entry.content.as_ref().map(|(zone, _)| &**zone))
    }

    fn expect(&mut self, apex: Name, origin: Origin) {
        let entry = || Entry { apex, origin, content: None };
        self.entries.entry(apex.as_wire().into()).or_insert_with(entry).origin = origin;
        self.depth = self.depth.max(apex.labels().count());
    }

    fn put(&mut self, zone: Arc<Zone>, received: SystemTime) {
        if let Some(entry) = self.entries.get_mut(zone.apex().as_wire()) {
            entry.content = Some((zone, received));
        }
    }

    fn serial(&self, apex: &Name) -> Result<Option<u32>, PublishError> {
        let entry = self.entries.get(apex.as_wire());
        let entry = entry.ok_or_else(|| PublishError::Unexpected(apex.to_string()))?;
        Ok(entry.content.as_ref().map(|(zone, _)| zone.serial()))
    }
}

/// The published set. Shared by the gateway, which changes it, and the server, which reads it.
#[derive(Debug, Default)]
pub struct Zones {
    set: ArcSwap<ZoneSet>,
}

impl Zones {
    /// No zones yet: every name is refused.
    pub fn new() -> Zones {
        Zones::default()
    }

    /// The zones that exist from now on: the own one and every member's. What is published of them
    /// stays; what is published of others is gone.
    pub fn set_expected(&self, own: &ZoneName, members: &[ZoneName]) {
        let own = Name::from(own);
        let members: Vec<Name> = members.iter().map(Name::from).collect();
        self.set.rcu(|old| {
            let mut set = ZoneSet::default();
            set.expect(own, Origin::Own);
            members.iter().filter(|apex| **apex != own).for_each(|apex| set.expect(*apex, Origin::Replica));
            for (apex, entry) in &mut set.entries {
                entry.content = old.entries.get(apex).and_then(|entry| entry.content.clone());
            }
            set
        });
    }

    /// Serves `zone` as the own one, whatever was served before.
    pub fn publish_own(&self, zone: Zone, now: SystemTime) -> Result<(), PublishError> {
        self.publish(zone, now, |_, _| true)
    }

    /// Serves `zone`, received at `received`, if it is newer than what is served of its apex.
    pub fn publish_replica(&self, zone: Zone, received: SystemTime) -> Result<(), PublishError> {
        self.publish(zone, received, |offered, held| held.is_none_or(|held| is_newer(offered, held)))
    }

    fn publish(
        &self,
        zone: Zone,
        received: SystemTime,
        admit: impl Fn(u32, Option<u32>) -> bool,
    ) -> Result<(), PublishError> {
        let zone = Arc::new(zone);
        let (apex, offered) = (zone.apex(), zone.serial());
        let mut result = Ok(());
        self.set.rcu(|old| {
            result = old.serial(apex).and_then(|held| match held {
                held if admit(offered, held) => Ok(()),
                held => {
                    let (apex, held) = (apex.to_string(), held.unwrap_or_default());
                    Err(PublishError::Old { apex, offered, held })
                }
            });
            let mut set = ZoneSet::clone(old);
            if result.is_ok() {
                set.put(zone.clone(), received);
            }
            set
        });
        result
    }

    /// Serves nothing of `apex` any more; its names are refused.
    pub fn remove(&self, apex: &ZoneName) {
        let apex = Name::from(apex);
        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            set.entries.remove(apex.as_wire());
            set
        });
    }

    /// Every zone's state, by name.
    pub fn list(&self) -> Vec<ZoneStatus> {
        let set = self.set.load();
        let status = |entry: &Entry| ZoneStatus {
            apex: entry.apex,
            content: entry.content.as_ref().map(|(zone, received)| (zone.serial(), *received)),
            origin: entry.origin,
        };
        let mut list: Vec<_> = set.entries.values().map(status).collect();
        list.sort_by_key(|status| status.apex.to_string());
        list
    }

    /// The zone of `apex` as it is served.
    pub fn zone(&self, apex: &ZoneName) -> Option<Arc<Zone>> {
        let set = self.set.load();
        let (zone, _) = set.entries.get(Name::from(apex).as_wire())?.content.as_ref()?;
        Some(zone.clone())
    }

    /// The set of this moment.
    pub fn load(&self) -> Guard<Arc<ZoneSet>> {
        self.set.load()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::zone::tests::zone;

    fn name(text: &str) -> ZoneName {
        text.parse().unwrap()
    }

    fn at(serial: u32, apex: &str) -> Zone {
        zone(apex, "@ SOA gw h 1 1 1 1 5\n").with_serial(serial)
    }

    /// As (apex, serial, origin).
    fn list(zones: &Zones) -> Vec<(String, Option<u32>, Origin)> {
        let status = |s: ZoneStatus| (s.apex.to_string(), s.content.map(|(serial, _)| serial), s.origin);
        zones.list().into_iter().map(status).collect()
    }

    const THEN: SystemTime = SystemTime::UNIX_EPOCH;

    fn two() -> Zones {
        let zones = Zones::new();
        zones.set_expected(&name("org1.example"), &[name("org2.example")]);
        zones
    }

    #[test]
    fn a_zone_is_listed_from_when_it_is_expected_and_served_from_when_it_is_published() {
        let zones = two();
        let (org1, org2) = ("org1.example".to_owned(), "org2.example".to_owned());
        let expected = [(org1.clone(), None, Origin::Own), (org2.clone(), None, Origin::Replica)];
        assert_eq!(list(&zones), expected);
        let later = THEN + Duration::from_secs(9);
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        zones.publish_replica(at(4, "org2.example"), later).unwrap();
        assert_eq!(list(&zones), [(org1, Some(3), Origin::Own), (org2, Some(4), Origin::Replica)]);
        assert_eq!(zones.list()[1].content, Some((4, later)));
        assert_eq!(zones.zone(&name("org2.example")).unwrap().serial(), 4);
    }

    #[test]
    fn a_replica_never_goes_back_and_the_own_zone_is_what_the_configuration_says() {
        let zones = two();
        zones.publish_replica(at(4, "org2.example"), THEN).unwrap();
        for offered in [4, 3] {
            let error = PublishError::Old { apex: "org2.example".into(), offered, held: 4 };
            assert_eq!(zones.publish_replica(at(offered, "org2.example"), THEN), Err(error));
        }
        zones.publish_own(at(4, "org1.example"), THEN).unwrap();
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        assert_eq!(zones.zone(&name("org1.example")).unwrap().serial(), 3);
    }

    #[test]
    fn nobody_can_publish_what_is_not_expected() {
        let zones = two();
        for other in ["org3.example", "example", "a.org2.example"] {
            let error = zones.publish_replica(at(1, &format!("{other}.")), THEN).unwrap_err();
            assert_eq!(error, PublishError::Unexpected(other.into()));
        }
    }

    #[test]
    fn an_organization_that_leaves_takes_its_zone_along_and_the_others_stay() {
        let zones = two();
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        zones.publish_replica(at(4, "org2.example"), THEN).unwrap();
        zones.set_expected(&name("org1.example"), &[name("org3.example")]);
        let (org1, org3) = ("org1.example".to_owned(), "org3.example".to_owned());
        assert_eq!(list(&zones), [(org1, Some(3), Origin::Own), (org3, None, Origin::Replica)]);
        zones.remove(&name("org3.example"));
        assert_eq!(list(&zones).len(), 1);
    }

    #[test]
    fn the_deepest_zone_holds_a_name() {
        let set = ZoneSet::of([at(1, "example"), at(2, "org1.example")]);
        let serial = |text: &str| {
            let name = Name::from_text(text).unwrap();
            set.holding(&name.labels()).flatten().map(Zone::serial)
        };
        assert_eq!(serial("a.b.org1.example"), Some(2));
        assert_eq!(serial("org1.example"), Some(2));
        assert_eq!((serial("org2.example"), serial("example")), (Some(1), Some(1)));
        assert_eq!((serial("other"), serial(".")), (None, None));
    }
}
