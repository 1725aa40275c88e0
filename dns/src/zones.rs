//! [`Zones`]: the zones that this gateway serves, published as one immutable [`ZoneSet`].
//!
//! The gateway publishes; the server loads the current set for each message and never waits. The
//! set also lists zones of members that were never received. Their names get SERVFAIL; without the
//! entry they would get REFUSED, as if no member had them.

mod set;
mod status;

pub(crate) use self::set::Authority;
pub use self::set::ZoneSet;
pub use self::status::{Origin, ZoneStatus};

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use ringway_config::{Prefix, ZoneName};

use crate::name::Name;
use crate::reach::Reach;
use crate::reverse::Ranges;
use crate::zone::Zone;

/// Why a zone was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No member has this zone, or its member has left.
    #[error("{0} is no zone of this consortium")]
    Unexpected(String),
    /// The serial of a replica must be newer than the one being served.
    #[error("serial {offered} of {apex} is not newer than {held}")]
    Old {
        /// The zone.
        apex: String,
        /// The serial of the zone to publish.
        offered: u32,
        /// The serial being served.
        held: u32,
    },
}

/// The current [`ZoneSet`], which the gateway replaces and the server reads.
#[derive(Debug, Default)]
pub struct Zones {
    set: ArcSwap<ZoneSet>,
}

impl Zones {
    /// No zones: every name is refused.
    pub fn new() -> Zones {
        Zones::default()
    }

    /// Sets which zones exist: this organization's and every member's.
    ///
    /// Zones that remain keep their content. All others are removed, and their names refused.
    pub fn set_expected(&self, own: &ZoneName, members: &[ZoneName]) {
        let own = Name::from(own);
        let members: Vec<Name> = members.iter().map(Name::from).collect();
        self.set.rcu(|old| old.with_expected(&own, &members));
    }

    /// Sets the prefixes of each organization, given with its zone. They make up the reverse zones,
    /// whose content is derived from the organizations' zones.
    pub fn set_reverse(&self, owners: impl IntoIterator<Item = (ZoneName, Vec<Prefix>)>) {
        let ranges = Ranges::new(
            owners
                .into_iter()
                .map(|(apex, prefixes)| (Name::from(&apex), prefixes)),
        );

        let ranges = Arc::new(ranges);
        self.set.rcu(|old| old.with_ranges(ranges.clone()));
    }

    /// Sets which addresses are near and which are unreachable.
    pub fn set_reach(&self, reach: Arc<Reach>) {
        self.set.rcu(|old| old.with_reach(reach.clone()));
    }

    /// Marks the copy of `apex` as too old to answer from, or as usable again.
    ///
    /// Names of a stale zone get SERVFAIL. Publishing a newer copy clears the mark.
    pub fn set_stale(&self, apex: &ZoneName, stale: bool) {
        let apex = Name::from(apex);

        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            set.set_stale(&apex, stale);
            set
        });
    }

    /// Publishes this organization's zone, whatever serial was served before.
    pub fn publish_own(&self, zone: Zone, now: SystemTime) -> Result<(), PublishError> {
        self.publish(zone, now, Origin::Own)
    }

    /// Publishes a member's zone, if its serial is newer than the one being served.
    pub fn publish_replica(&self, zone: Zone, received: SystemTime) -> Result<(), PublishError> {
        self.publish(zone, received, Origin::Replica)
    }

    fn publish(
        &self,
        zone: Zone,
        received: SystemTime,
        origin: Origin,
    ) -> Result<(), PublishError> {
        let zone = Arc::new(zone);
        let mut result = Ok(());

        // The closure runs again if another task has replaced the set meanwhile; the result of the
        // last run counts.
        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            result = set.replace(&zone, received, origin);
            set
        });

        result
    }

    /// Every zone's state, ordered by name.
    pub fn list(&self) -> Vec<ZoneStatus> {
        let mut list = self.set.load().statuses();
        list.sort_by_cached_key(|status| status.apex.to_string());
        list
    }

    /// The zone being served for `apex`.
    pub fn zone(&self, apex: &ZoneName) -> Option<Arc<Zone>> {
        self.set.load().zone(&Name::from(apex))
    }

    /// The current set.
    pub fn load(&self) -> Guard<Arc<ZoneSet>> {
        self.set.load()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::zone::tests::zone;

    const THEN: SystemTime = SystemTime::UNIX_EPOCH;

    fn name(text: &str) -> ZoneName {
        text.parse().unwrap()
    }

    /// An otherwise empty zone with this serial.
    fn at(serial: u32, apex: &str) -> Zone {
        zone(apex, "@ SOA gw h 1 1 1 1 5\n").with_serial(serial)
    }

    /// Apex, serial and origin of each zone.
    fn list(zones: &Zones) -> Vec<(String, Option<u32>, Origin)> {
        let mut list = Vec::new();
        for status in zones.list() {
            let serial = status.content.map(|(serial, _)| serial);
            list.push((status.apex.to_string(), serial, status.origin));
        }
        list
    }

    /// Our zone `org1.example` and the member zone `org2.example`, both expected.
    fn two() -> Zones {
        let zones = Zones::new();
        zones.set_expected(&name("org1.example"), &[name("org2.example")]);
        zones
    }

    #[test]
    fn a_zone_is_listed_once_expected_and_served_once_published() {
        let zones = two();
        let org1 = "org1.example".to_owned();
        let org2 = "org2.example".to_owned();
        let empty = [
            (org1.clone(), None, Origin::Own),
            (org2.clone(), None, Origin::Replica),
        ];
        assert_eq!(list(&zones), empty);

        let later = THEN + Duration::from_secs(9);
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        zones.publish_replica(at(4, "org2.example"), later).unwrap();
        let published = [
            (org1, Some(3), Origin::Own),
            (org2, Some(4), Origin::Replica),
        ];
        assert_eq!(list(&zones), published);
        assert_eq!(zones.list()[1].content, Some((4, later)));
        assert_eq!(zones.zone(&name("org2.example")).unwrap().serial(), 4);
    }

    #[test]
    fn a_replicas_serial_only_increases_and_our_zones_may_decrease() {
        let zones = two();
        zones.publish_replica(at(4, "org2.example"), THEN).unwrap();
        for offered in [4, 3] {
            let error = PublishError::Old {
                apex: "org2.example".into(),
                offered,
                held: 4,
            };
            assert_eq!(
                zones.publish_replica(at(offered, "org2.example"), THEN),
                Err(error)
            );
        }

        zones.publish_own(at(4, "org1.example"), THEN).unwrap();
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        assert_eq!(zones.zone(&name("org1.example")).unwrap().serial(), 3);
    }

    #[test]
    fn a_zone_that_is_not_expected_is_not_published() {
        let zones = two();
        for other in ["org3.example", "example", "a.org2.example"] {
            let error = zones
                .publish_replica(at(1, &format!("{other}.")), THEN)
                .unwrap_err();
            assert_eq!(error, PublishError::Unexpected(other.into()));
        }
    }

    #[test]
    fn the_zone_of_a_member_that_leaves_is_removed_and_the_others_stay() {
        let zones = two();
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        zones.publish_replica(at(4, "org2.example"), THEN).unwrap();

        zones.set_expected(&name("org1.example"), &[name("org3.example")]);
        let expected = [
            ("org1.example".to_owned(), Some(3), Origin::Own),
            ("org3.example".to_owned(), None, Origin::Replica),
        ];
        assert_eq!(list(&zones), expected);
        assert!(zones.zone(&name("org2.example")).is_none());
    }

    #[test]
    fn a_zone_is_stale_until_a_newer_copy_is_published() {
        let zones = two();
        let is_stale = || zones.list()[1].stale;
        zones.publish_replica(at(4, "org2.example"), THEN).unwrap();

        zones.set_stale(&name("org2.example"), true);
        zones.set_expected(&name("org1.example"), &[name("org2.example")]);
        assert!(is_stale());

        zones.publish_replica(at(5, "org2.example"), THEN).unwrap();
        assert!(!is_stale());
    }
}
