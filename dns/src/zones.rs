//! [`Zones`]: the zones that this gateway serves, published as one immutable [`ZoneSet`].
//!
//! The gateway publishes; the server loads a set per message and never waits. A zone that should
//! exist but was never received is in the set too, without content: the difference between SERVFAIL
//! and a lie (NXDOMAIN).

mod set;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use ringway_config::{Prefix, ZoneName};

pub(crate) use set::Held;
pub use set::ZoneSet;

use crate::name::Name;
use crate::reach::Reach;
use crate::reverse::Ranges;
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
    /// Its copy is too old to answer from ([`Zones::set_stale`]).
    pub stale: bool,
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
        self.set.rcu(|old| old.with_expected(&own, &members));
    }

    /// Whose addresses are whose from now on: each organization's zone and prefixes. Their reverse zones
    /// (`reverse`) follow the zones with every publication.
    pub fn set_reverse(&self, owners: impl IntoIterator<Item = (ZoneName, Vec<Prefix>)>) {
        let owners = owners
            .into_iter()
            .map(|(apex, prefixes)| (Name::from(&apex), prefixes));
        let ranges = Arc::new(Ranges::new(owners));
        self.set.rcu(|old| old.with_ranges(ranges.clone()));
    }

    /// What is near and what is reachable from now on.
    pub fn set_reach(&self, reach: Arc<Reach>) {
        self.set.rcu(|old| old.with_reach(reach.clone()));
    }

    /// Whether the copy of `apex` is too old to answer from: its names fail then, they are never denied.
    /// A new copy is not stale.
    pub fn set_stale(&self, apex: &ZoneName, stale: bool) {
        let apex = Name::from(apex);
        self.set.rcu(|old| {
            let mut set = ZoneSet::clone(old);
            set.set_stale(&apex, stale);
            set
        });
    }

    /// Serves `zone` as the own one, whatever was served before.
    pub fn publish_own(&self, zone: Zone, now: SystemTime) -> Result<(), PublishError> {
        self.publish(zone, now, |_, _| true)
    }

    /// Serves `zone`, received at `received`, if it is newer than what is served of its apex.
    pub fn publish_replica(&self, zone: Zone, received: SystemTime) -> Result<(), PublishError> {
        self.publish(zone, received, |offered, held| {
            held.is_none_or(|held| is_newer(offered, held))
        })
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
                    Err(PublishError::Old {
                        apex,
                        offered,
                        held,
                    })
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
            set.remove(&apex);
            set
        });
    }

    /// Every zone's state, by name.
    pub fn list(&self) -> Vec<ZoneStatus> {
        let mut list = self.set.load().statuses();
        list.sort_by_key(|status| status.apex.to_string());
        list
    }

    /// The zone of `apex` as it is served.
    pub fn zone(&self, apex: &ZoneName) -> Option<Arc<Zone>> {
        self.set.load().zone(&Name::from(apex))
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
        let status = |s: ZoneStatus| {
            (
                s.apex.to_string(),
                s.content.map(|(serial, _)| serial),
                s.origin,
            )
        };
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
        let expected = [
            (org1.clone(), None, Origin::Own),
            (org2.clone(), None, Origin::Replica),
        ];
        assert_eq!(list(&zones), expected);
        let later = THEN + Duration::from_secs(9);
        zones.publish_own(at(3, "org1.example"), THEN).unwrap();
        zones.publish_replica(at(4, "org2.example"), later).unwrap();
        assert_eq!(
            list(&zones),
            [
                (org1, Some(3), Origin::Own),
                (org2, Some(4), Origin::Replica)
            ]
        );
        assert_eq!(zones.list()[1].content, Some((4, later)));
        assert_eq!(zones.zone(&name("org2.example")).unwrap().serial(), 4);
    }

    #[test]
    fn a_replica_never_goes_back_and_the_own_zone_is_what_the_configuration_says() {
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
    fn nobody_can_publish_what_is_not_expected() {
        let zones = two();
        for other in ["org3.example", "example", "a.org2.example"] {
            let error = zones
                .publish_replica(at(1, &format!("{other}.")), THEN)
                .unwrap_err();
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
        assert_eq!(
            list(&zones),
            [(org1, Some(3), Origin::Own), (org3, None, Origin::Replica)]
        );
        zones.remove(&name("org3.example"));
        assert_eq!(list(&zones).len(), 1);
    }

    #[test]
    fn a_stale_copy_is_listed_as_such_until_a_new_one_comes() {
        let zones = two();
        let stale = || zones.list()[1].stale;
        zones.publish_replica(at(4, "org2.example"), THEN).unwrap();
        zones.set_stale(&name("org2.example"), true);
        zones.set_expected(&name("org1.example"), &[name("org2.example")]);
        assert!(stale());
        zones.publish_replica(at(5, "org2.example"), THEN).unwrap();
        assert!(!stale());
    }
}
