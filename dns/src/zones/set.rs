//! [`ZoneSet`]: the zones at one moment, searched by name.
//!
//! Immutable once published. [`Zones`](super::Zones) derives each set from the previous one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::PublishError;
use super::publication::Publication;
use super::status::{Origin, ZoneStatus};
use crate::name::{Labels, Name};
use crate::reach::Reach;
use crate::reverse::{Ranges, ReverseName, ReversePlace};
use crate::tree::Found;
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
    /// The consortium's own zone, which has the names that belong to no organization.
    domain: Option<Arc<Zone>>,
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
    /// What is too old to answer from, but known to exist.
    expired: Option<Arc<Zone>>,
    /// Every gateway of the organization has contributed, as far as is known.
    complete: bool,
}

/// What a name is answered from.
pub(crate) enum Authority<'z> {
    /// A zone with content.
    Zone(&'z Zone),
    /// A zone of which a part is missing.
    Partial(Partial<'z>),
    /// A reverse zone, whose content is derived from its organization's zone.
    Reverse(ReversePlace<'z>),
    /// A member's zone that was never received.
    NotReady,
    /// A member's zone whose copy is too old.
    Stale,
    /// Nothing: the name is in no zone of the consortium.
    Outside,
}

/// A zone of which a part is missing or too old. Only names that it has are answered.
#[derive(Clone, Copy)]
pub(crate) struct Partial<'z> {
    pub(crate) zone: &'z Zone,
    expired: Option<&'z Zone>,
    complete: bool,
}

/// Why a partial zone cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// A gateway that could have the name has not contributed yet.
    Missing,
    /// The name is in a part that is too old.
    Expired,
}

impl Partial<'_> {
    /// Why `name` cannot be answered; `None` if it can be. What is missing could have the name, so
    /// that neither its absence nor a wildcard, a delegation or a DNAME above it counts.
    pub(crate) fn gap(&self, name: &Labels<'_>, qtype: u16) -> Option<Gap> {
        if let Found::Exact(_) = self.zone.find(name, qtype) {
            return None;
        }
        if !self.complete {
            return Some(Gap::Missing);
        }

        let expired = self.expired?.find(name, qtype);
        let has_it = !matches!(expired, Found::Missing { wildcard: None });
        has_it.then_some(Gap::Expired)
    }
}

impl ZoneSet {
    /// A set of these zones only.
    pub fn of(zones: impl IntoIterator<Item = Zone>) -> ZoneSet {
        let mut set = ZoneSet::default();
        for zone in zones {
            // One that is not expected would have no entry to be put into.
            set.expect(*zone.apex(), Origin::Own);
            _ = set.replace(&Publication::whole(zone, SystemTime::UNIX_EPOCH));
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
                Ok(content) => content.authority(),
                Err(unusable) => unusable,
            },
            None => self.authority_beside_organizations(name),
        }
    }

    fn authority_beside_organizations(&self, name: &Labels<'_>) -> Authority<'_> {
        let domain = self.domain.as_deref().filter(|domain| {
            let apex = domain.apex().labels();
            let above = name.count().checked_sub(apex.count());
            above.is_some_and(|above| name.suffix(above) == domain.apex().as_wire())
        });

        match domain {
            Some(domain) => Authority::Zone(domain),
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
            Ok(content) => content.reverse_authority(below, name),
            Err(unusable) => unusable,
        }
    }

    /// The reverse zone at `apex`; `None` if no member's prefix has one there, or its zone was
    /// never received.
    pub fn reverse_zone(&self, apex: &Name) -> Option<Zone> {
        let name = ReverseName::parse(&apex.labels())?;
        let (owner, below) = self.ranges.find(&name)?;
        let entry = self.entries.get(owner.as_wire())?;
        if below > 0 {
            return None;
        }

        entry.content.as_ref()?.zone.reverse(apex)?.ok()
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
            domain: self.domain.clone(),
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

    pub(super) fn with_domain(&self, domain: Option<Arc<Zone>>) -> ZoneSet {
        ZoneSet {
            domain,
            ..self.clone()
        }
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

    /// Replaces the content of the zone's entry.
    pub(super) fn replace(&mut self, publication: &Publication) -> Result<(), PublishError> {
        let apex = publication.zone.apex();
        if !self.entries.contains_key(apex.as_wire()) {
            return Err(PublishError::Unexpected(apex.to_string()));
        }

        self.derive_pointers(&publication.zone);
        if let Some(entry) = self.entries.get_mut(apex.as_wire()) {
            entry.content = Some(Content::of(publication));
            entry.stale = publication.stale;
        }
        Ok(())
    }

    /// Removes the content of a zone, which remains expected.
    pub(super) fn withdraw(&mut self, apex: &Name) {
        if let Some(entry) = self.entries.get_mut(apex.as_wire()) {
            entry.content = None;
            entry.stale = false;
        }
    }

    pub(super) fn set_complete(&mut self, apex: &Name, complete: bool) {
        let entry = self.entries.get_mut(apex.as_wire());
        if let Some(content) = entry.and_then(|entry| entry.content.as_mut()) {
            content.complete = complete;
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

impl Content {
    fn of(publication: &Publication) -> Content {
        Content {
            zone: publication.zone.clone(),
            received: publication.received,
            expired: publication.expired.clone(),
            complete: publication.complete,
        }
    }

    fn authority(&self) -> Authority<'_> {
        match self.partial() {
            Some(partial) => Authority::Partial(partial),
            None => Authority::Zone(&self.zone),
        }
    }

    fn partial(&self) -> Option<Partial<'_>> {
        let is_whole = self.complete && self.expired.is_none();

        (!is_whole).then(|| Partial {
            zone: &self.zone,
            expired: self.expired.as_deref(),
            complete: self.complete,
        })
    }

    /// In a zone of which a part is missing, an address without a name may have one there.
    fn reverse_authority<'z>(&'z self, below: usize, name: ReverseName) -> Authority<'z> {
        let place = ReversePlace {
            zone: &self.zone,
            below,
            name,
        };

        match self.partial() {
            Some(partial) if below > 0 && !place.exists() && partial.complete => Authority::Stale,
            Some(_) if below > 0 && !place.exists() => Authority::NotReady,
            _ => Authority::Reverse(place),
        }
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
            complete: content.is_some_and(|content| content.complete),
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
