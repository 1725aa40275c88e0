//! [`ZoneSet`]: the zones of one moment, found by name. Immutable once published: [`Zones`](super::Zones)
//! makes the next from the last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Origin, PublishError, ZoneStatus};
use crate::name::{Labels, Name};
use crate::reach::Reach;
use crate::reverse::{Ranges, ReverseName, ReversePlace};
use crate::zone::Zone;

/// The zones of one moment, and what else answers depend on.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {
    entries: HashMap<Box<[u8]>, Entry>,
    /// Labels of the deepest apex: no need to look for deeper ones.
    depth: usize,
    ranges: Arc<Ranges>,
    reach: Arc<Reach>,
}

#[derive(Debug, Clone)]
struct Entry {
    apex: Name,
    origin: Origin,
    content: Option<Content>,
    stale: bool,
}

#[derive(Debug, Clone)]
struct Content {
    zone: Arc<Zone>,
    received: SystemTime,
}

/// Who holds a name.
pub(crate) enum Held<'z> {
    /// A zone that is answered from.
    Zone(&'z Zone),
    /// An organization whose prefixes hold the address that the name is of.
    Reverse(ReversePlace<'z>),
    /// A zone that was never received.
    NotReady,
    /// A zone whose copy has become too old.
    Stale,
    /// No member.
    Nobody,
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

    /// What holds `name`: the deepest apex at or above it.
    pub(crate) fn holding(&self, name: &Labels<'_>) -> Held<'_> {
        let first = name.count().saturating_sub(self.depth);
        match (first..=name.count()).find_map(|i| self.entries.get(name.suffix(i))) {
            Some(entry) => entry
                .held()
                .map_or_else(|held| held, |content| Held::Zone(&content.zone)),
            None => self.holding_reverse(name),
        }
    }

    fn holding_reverse(&self, name: &Labels<'_>) -> Held<'_> {
        let Some(name) = ReverseName::parse(name) else {
            return Held::Nobody;
        };
        let Some((owner, below)) = self.ranges.holding(&name) else {
            return Held::Nobody;
        };
        let Some(entry) = self.entries.get(owner.as_wire()) else {
            return Held::Nobody;
        };
        entry.held().map_or_else(
            |held| held,
            |Content { zone, .. }| Held::Reverse(ReversePlace { zone, below, name }),
        )
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(super) fn with_expected(&self, own: &Name, members: &[Name]) -> ZoneSet {
        let mut set = ZoneSet {
            entries: HashMap::new(),
            depth: 0,
            ..self.clone()
        };
        set.expect(*own, Origin::Own);
        members
            .iter()
            .filter(|apex| *apex != own)
            .for_each(|apex| set.expect(*apex, Origin::Replica));
        for (apex, entry) in &mut set.entries {
            if let Some(old) = self.entries.get(apex) {
                *entry = Entry {
                    origin: entry.origin,
                    ..old.clone()
                };
            }
        }
        set
    }

    pub(super) fn with_ranges(&self, ranges: Arc<Ranges>) -> ZoneSet {
        let set = ZoneSet {
            ranges,
            ..self.clone()
        };
        set.entries
            .values()
            .flat_map(|entry| &entry.content)
            .for_each(|content| set.derive(&content.zone));
        set
    }

    pub(super) fn with_reach(&self, reach: Arc<Reach>) -> ZoneSet {
        ZoneSet {
            reach,
            ..self.clone()
        }
    }

    fn expect(&mut self, apex: Name, origin: Origin) {
        let entry = || Entry {
            apex,
            origin,
            content: None,
            stale: false,
        };
        self.entries
            .entry(apex.as_wire().into())
            .or_insert_with(entry)
            .origin = origin;
        self.depth = self.depth.max(apex.labels().count());
    }

    pub(super) fn put(&mut self, zone: Arc<Zone>, received: SystemTime) {
        self.derive(&zone);
        if let Some(entry) = self.entries.get_mut(zone.apex().as_wire()) {
            entry.content = Some(Content { zone, received });
            entry.stale = false;
        }
    }

    /// No question waits for pointers; a zone whose addresses nobody can ask for needs none.
    fn derive(&self, zone: &Zone) {
        if self.ranges.has(zone.apex()) {
            zone.derive_pointers();
        }
    }

    pub(super) fn set_stale(&mut self, apex: &Name, stale: bool) {
        if let Some(entry) = self.entries.get_mut(apex.as_wire()) {
            entry.stale = stale;
        }
    }

    pub(super) fn remove(&mut self, apex: &Name) {
        self.entries.remove(apex.as_wire());
    }

    pub(super) fn serial(&self, apex: &Name) -> Result<Option<u32>, PublishError> {
        let entry = self.entries.get(apex.as_wire());
        let entry = entry.ok_or_else(|| PublishError::Unexpected(apex.to_string()))?;
        Ok(entry.content.as_ref().map(|content| content.zone.serial()))
    }

    pub(super) fn zone(&self, apex: &Name) -> Option<Arc<Zone>> {
        Some(
            self.entries
                .get(apex.as_wire())?
                .content
                .as_ref()?
                .zone
                .clone(),
        )
    }

    pub(super) fn statuses(&self) -> Vec<ZoneStatus> {
        let status = |entry: &Entry| ZoneStatus {
            apex: entry.apex,
            content: entry
                .content
                .as_ref()
                .map(|content| (content.zone.serial(), content.received)),
            origin: entry.origin,
            stale: entry.stale,
        };
        self.entries.values().map(status).collect()
    }
}

impl Entry {
    /// What is answered from, or why nothing is.
    fn held(&self) -> Result<&Content, Held<'_>> {
        match &self.content {
            None => Err(Held::NotReady),
            Some(_) if self.stale => Err(Held::Stale),
            Some(content) => Ok(content),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::zone;

    #[test]
    fn the_deepest_zone_holds_a_name() {
        let at = |serial, apex| zone(apex, "@ SOA gw h 1 1 1 1 5\n").with_serial(serial);
        let set = ZoneSet::of([at(1, "example"), at(2, "org1.example")]);
        let serial = |text: &str| match set.holding(&Name::from_text(text).unwrap().labels()) {
            Held::Zone(zone) => Some(zone.serial()),
            _ => None,
        };
        assert_eq!(serial("a.b.org1.example"), Some(2));
        assert_eq!(serial("org1.example"), Some(2));
        assert_eq!(
            (serial("org2.example"), serial("example")),
            (Some(1), Some(1))
        );
        assert_eq!((serial("other"), serial(".")), (None, None));
    }
}
