//! [`ZoneSet`]: the zones at one moment, searched by name.
//!
//! Immutable once published. [`Zones`](super::Zones) derives each set from the previous one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::PublishError;
use super::status::{Origin, ZoneStatus};
use crate::name::{Labels, Name};
use crate::reach::Reach;
use crate::reverse::{Ranges, ReverseName, ReversePlace};
use crate::serial::is_newer;
use crate::zone::Zone;

/// The zones at one moment, and everything else that answers depend on.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {
    /// By the apex in wire form.
    entries: HashMap<Box<[u8]>, Entry>,
    /// Number of labels of the deepest apex. Longer suffixes of a name need no lookup.
    depth: usize,
    ranges: Arc<Ranges>,
    reach: Arc<Reach>,
}

#[derive(Debug, Clone)]
struct Entry {
    apex: Name,
    origin: Origin,
    /// `None` if the zone was never received.
    content: Option<Content>,
    stale: bool,
}

#[derive(Debug, Clone)]
struct Content {
    zone: Arc<Zone>,
    received: SystemTime,
}

/// What a name is answered from.
pub(crate) enum Authority<'z> {
    /// A zone with content.
    Zone(&'z Zone),
    /// A reverse zone, whose content is derived from its organization's zone.
    Reverse(ReversePlace<'z>),
    /// A member's zone that was never received.
    NotReady,
    /// A member's zone whose copy is too old.
    Stale,
    /// Nothing: the name is in no zone of the consortium.
    Outside,
}

impl ZoneSet {
    /// A set of these zones only.
    pub fn of(zones: impl IntoIterator<Item = Zone>) -> ZoneSet {
        let mut set = ZoneSet::default();
        for zone in zones {
            // One that is not expected would have no entry to be put into.
            set.expect(*zone.apex(), Origin::Own);
            set.put(Arc::new(zone), SystemTime::UNIX_EPOCH);
        }
        set
    }

    /// Finds the zone of `name`: the one with the deepest apex at or above it.
    pub(crate) fn authority(&self, name: &Labels<'_>) -> Authority<'_> {
        let first = name.count().saturating_sub(self.depth);
        let mut suffixes = (first..=name.count()).map(|i| name.suffix(i));

        // From the longest suffix: the deepest apex wins.
        match suffixes.find_map(|suffix| self.entries.get(suffix)) {
            Some(entry) => match entry.content() {
                Ok(content) => Authority::Zone(&content.zone),
                Err(unusable) => unusable,
            },
            None => self.reverse_authority(name),
        }
    }

    fn reverse_authority(&self, name: &Labels<'_>) -> Authority<'_> {
        let Some(name) = ReverseName::parse(name) else {
            return Authority::Outside;
        };
        let Some((owner, below)) = self.ranges.find(&name) else {
            return Authority::Outside;
        };
        let Some(entry) = self.entries.get(owner.as_wire()) else {
            return Authority::Outside;
        };

        match entry.content() {
            Ok(Content { zone, .. }) => Authority::Reverse(ReversePlace { zone, below, name }),
            Err(unusable) => unusable,
        }
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// See [`Zones::set_expected`](super::Zones::set_expected).
    pub(super) fn with_expected(&self, own: &Name, members: &[Name]) -> ZoneSet {
        let mut set = ZoneSet {
            entries: HashMap::new(),
            depth: 0,
            ranges: self.ranges.clone(),
            reach: self.reach.clone(),
        };

        set.expect(*own, Origin::Own);
        for apex in members {
            if apex != own {
                set.expect(*apex, Origin::Replica);
            }
        }

        // Content survives even if a zone's origin changes: it has the same apex.
        for (apex, entry) in &mut set.entries {
            if let Some(old) = self.entries.get(apex) {
                entry.content = old.content.clone();
                entry.stale = old.stale;
            }
        }
        set
    }

    pub(super) fn with_ranges(&self, ranges: Arc<Ranges>) -> ZoneSet {
        let set = ZoneSet {
            ranges,
            ..self.clone()
        };

        for content in set.entries.values().flat_map(|entry| &entry.content) {
            set.derive_pointers(&content.zone);
        }
        set
    }

    pub(super) fn with_reach(&self, reach: Arc<Reach>) -> ZoneSet {
        ZoneSet {
            reach,
            ..self.clone()
        }
    }

    /// Adds a zone without content.
    fn expect(&mut self, apex: Name, origin: Origin) {
        let entry = Entry {
            apex,
            origin,
            content: None,
            stale: false,
        };

        self.entries.insert(apex.as_wire().into(), entry);
        self.depth = self.depth.max(apex.labels().count());
    }

    /// Replaces the content of the zone's entry. With [`Origin::Replica`] the serial must be newer.
    pub(super) fn replace(
        &mut self,
        zone: &Arc<Zone>,
        received: SystemTime,
        origin: Origin,
    ) -> Result<(), PublishError> {
        let apex = zone.apex();
        let Some(entry) = self.entries.get(apex.as_wire()) else {
            return Err(PublishError::Unexpected(apex.to_string()));
        };

        let offered = zone.serial();
        let served = entry.content.as_ref().map(|content| content.zone.serial());

        // RFC 1982. The gateways of an organization can differ for a while, so that an older copy
        // arrives last.
        if let Some(held) = served
            && origin == Origin::Replica
            && !is_newer(offered, held)
        {
            return Err(PublishError::Old {
                apex: apex.to_string(),
                offered,
                held,
            });
        }

        self.put(zone.clone(), received);
        Ok(())
    }

    fn put(&mut self, zone: Arc<Zone>, received: SystemTime) {
        self.derive_pointers(&zone);

        if let Some(entry) = self.entries.get_mut(zone.apex().as_wire()) {
            entry.content = Some(Content { zone, received });
            entry.stale = false;
        }
    }

    /// Done before the set is published, so that no query has to wait for it. Without prefixes of
    /// its own a zone has no reverse zones and needs none.
    fn derive_pointers(&self, zone: &Zone) {
        if self.ranges.has(zone.apex()) {
            zone.derive_pointers();
        }
    }

    pub(super) fn set_stale(&mut self, apex: &Name, stale: bool) {
        if let Some(entry) = self.entries.get_mut(apex.as_wire()) {
            entry.stale = stale;
        }
    }

    pub(super) fn zone(&self, apex: &Name) -> Option<Arc<Zone>> {
        let entry = self.entries.get(apex.as_wire())?;
        entry.content.as_ref().map(|content| content.zone.clone())
    }

    /// In no particular order.
    pub(super) fn statuses(&self) -> Vec<ZoneStatus> {
        self.entries.values().map(Entry::status).collect()
    }
}

impl Entry {
    /// The content to answer from, or else why there is none.
    fn content(&self) -> Result<&Content, Authority<'_>> {
        match &self.content {
            None => Err(Authority::NotReady),
            Some(_) if self.stale => Err(Authority::Stale),
            Some(content) => Ok(content),
        }
    }

    fn status(&self) -> ZoneStatus {
        let content = self.content.as_ref();

        ZoneStatus {
            apex: self.apex,
            content: content.map(|content| (content.zone.serial(), content.received)),
            origin: self.origin,
            stale: self.stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::zone;

    #[test]
    fn a_name_belongs_to_the_zone_with_the_deepest_apex() {
        let at = |serial, apex| zone(apex, "@ SOA gw h 1 1 1 1 5\n").with_serial(serial);
        let set = ZoneSet::of([at(1, "example"), at(2, "org1.example")]);
        let serial = |text: &str| match set.authority(&Name::from_text(text).unwrap().labels()) {
            Authority::Zone(zone) => Some(zone.serial()),
            _ => None,
        };

        assert_eq!(serial("a.b.org1.example"), Some(2));
        assert_eq!(serial("org1.example"), Some(2));
        assert_eq!(serial("org2.example"), Some(1));
        assert_eq!(serial("example"), Some(1));
        assert_eq!(serial("other"), None);
        assert_eq!(serial("."), None);
    }
}
