//! A reverse zone as a zone, to be written down.

use ringway_config::reverse_name;

use super::ReverseName;
use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::rrset::RRset;
use crate::zone::Zone;

impl Zone {
    /// The reverse zone at `apex`, with this organization's SOA and NS and the names of its
    /// addresses; `None` if `apex` is no reverse name.
    pub(crate) fn reverse(&self, apex: &Name) -> Option<Result<Zone, ZoneError>> {
        let range = ReverseName::parse(&apex.labels())?.range()?;
        let addresses = range.address()..=range.last();
        let sets = self.pointers().0.range(addresses);

        let at_apex = [Some(self.soa()), self.ns()];
        let mut wanted: Vec<(Name, &RRset)> = Vec::new();
        wanted.extend(at_apex.into_iter().flatten().map(|set| (*apex, set)));
        for (address, set) in sets {
            wanted.push((Name::from_text(&reverse_name(*address)).ok()?, set));
        }

        Some(zone_of(apex, &wanted))
    }
}

fn zone_of(apex: &Name, sets: &[(Name, &RRset)]) -> Result<Zone, ZoneError> {
    let mut draft = Draft::new(*apex);
    for (owner, set) in sets {
        let data: Vec<&[u8]> = set.data().collect();
        draft.add_set(owner, (set.kind(), set.ttl()), &data)?;
    }
    draft.finish()
}
