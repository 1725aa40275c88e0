//! [`Zones`]: the zones that this gateway serves, published as one immutable [`ZoneSet`].
//!
//! The gateway publishes; the server loads the current set for each message and never waits. The
//! set also lists zones of members that were never received. Their names get SERVFAIL; without the
//! entry they would get REFUSED, as if no member had them.

mod publication;
mod set;
mod status;

pub use self::publication::Publication;
pub use self::set::ZoneSet;
pub(crate) use self::set::{Authority, Gap};
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

    /// Sets the zone of the consortium's domain: it answers for the names below it that belong to
    /// no organization. Without one, those are refused, or forwarded.
    pub fn set_domain(&self, zone: Option<Zone>) {
        let zone = zone.map(Arc::new);
        self.set.rcu(|old| old.with_domain(zone.clone()));
    }

    /// Publishes a zone of which nothing is missing.
    pub fn publish(&self, zone: Zone, received: SystemTime) -> Result<(), PublishError> {
        self.publish_union(&Publication::whole(zone, received))
    }

    /// Publishes a zone, whatever was served before.
    pub fn publish_union(&self, publication: &Publication) -> Result<(), PublishError> {
        let mut result = Ok(());

        // The closure runs again if another task has replaced the set meanwhile; the result of the
        // last run counts.
        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            result = set.replace(publication);
            set
        });

        result
    }

    /// Removes the content of a zone: all its names get SERVFAIL.
    pub fn withdraw(&self, apex: &ZoneName) {
        let apex = Name::from(apex);

        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            set.withdraw(&apex);
            set
        });
    }

    /// Whether names that the zone does not have are answered with NXDOMAIN; see
    /// [`Publication::complete`].
    pub fn set_complete(&self, apex: &ZoneName, complete: bool) {
        let apex = Name::from(apex);

        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            set.set_complete(&apex, complete);
            set
        });
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
        zones.publish(at(3, "org1.example"), THEN).unwrap();
        zones.publish(at(4, "org2.example"), later).unwrap();
        let published = [
            (org1, Some(3), Origin::Own),
            (org2, Some(4), Origin::Replica),
        ];
        assert_eq!(list(&zones), published);
        assert_eq!(zones.list()[1].content, Some((4, later)));
        assert_eq!(zones.zone(&name("org2.example")).unwrap().serial(), 4);
    }

    #[test]
    fn what_is_published_replaces_what_was_whatever_the_serials() {
        let zones = two();
        for (apex, serial) in [
            ("org2.example", 4),
            ("org2.example", 3),
            ("org1.example", 2),
        ] {
            zones.publish(at(serial, apex), THEN).unwrap();
            assert_eq!(zones.zone(&name(apex)).unwrap().serial(), serial);
        }
    }

    #[test]
    fn a_withdrawn_zone_is_expected_and_has_no_content() {
        let zones = two();
        zones.publish(at(4, "org2.example"), THEN).unwrap();
        zones.withdraw(&name("org2.example"));

        assert!(zones.zone(&name("org2.example")).is_none());
        assert_eq!(list(&zones).len(), 2);
    }

    #[test]
    fn a_zone_that_is_not_expected_is_not_published() {
        let zones = two();
        for other in ["org3.example", "example", "a.org2.example"] {
            let error = zones
                .publish(at(1, &format!("{other}.")), THEN)
                .unwrap_err();
            assert_eq!(error, PublishError::Unexpected(other.into()));
        }
    }

    #[test]
    fn the_zone_of_a_member_that_leaves_is_removed_and_the_others_stay() {
        let zones = two();
        zones.publish(at(3, "org1.example"), THEN).unwrap();
        zones.publish(at(4, "org2.example"), THEN).unwrap();

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
        zones.publish(at(4, "org2.example"), THEN).unwrap();

        zones.set_stale(&name("org2.example"), true);
        zones.set_expected(&name("org1.example"), &[name("org2.example")]);
        assert!(is_stale());

        zones.publish(at(5, "org2.example"), THEN).unwrap();
        assert!(!is_stale());
    }
}
