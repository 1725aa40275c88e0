//! Leaves addresses that fail their checks out of a zone.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::rdata::kind;
use crate::reach::address;
use crate::rrset::RRset;
use crate::zone::Zone;

impl Zone {
    /// This zone without the `failed` addresses of their names. A name whose addresses have all
    /// failed keeps all of them: none would mean that it has none, and the checks may be wrong.
    ///
    /// Builds the zone again: a large one takes some 100 ms.
    pub fn without_addresses(&self, failed: &HashSet<(Name, IpAddr)>) -> Result<Zone, ZoneError> {
        let alive = self.names_with_other_addresses(failed);
        let is_left_out = |owner: &Name, set: &RRset, data: &[u8]| {
            is_address(set)
                && alive.contains(owner)
                && address(data).is_some_and(|address| failed.contains(&(*owner, address)))
        };

        let mut draft = Draft::new(*self.apex());
        let mut result = Ok(());
        self.rrsets(|owner, set| {
            let kept: Vec<&[u8]> = set
                .data()
                .filter(|data| !is_left_out(owner, set, data))
                .collect();
            // The visit cannot stop early: after a fault, the rest is passed over.
            if result.is_ok() {
                result = draft.add_set(owner, (set.kind(), set.ttl()), &kept);
            }
        });

        result?;
        draft.finish()
    }

    /// The names that have an address which is not `failed`.
    fn names_with_other_addresses(&self, failed: &HashSet<(Name, IpAddr)>) -> HashSet<Name> {
        let mut names = HashSet::new();
        self.rrsets(|owner, set| {
            let mut addresses = set.data().filter_map(address);
            if is_address(set) && addresses.any(|address| !failed.contains(&(*owner, address))) {
                names.insert(*owner);
            }
        });
        names
    }
}

fn is_address(set: &RRset) -> bool {
    matches!(set.kind(), kind::A | kind::AAAA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::zone;

    const HOSTS: &str = "@ SOA ns h 1 2 3 4 5
peer0 A 10.1.0.11
peer0 A 10.1.0.12
peer0 AAAA fd00::11
peer1 A 10.1.0.11
peer1 TXT alive
";

    fn left(failed: &[(&str, &str)]) -> Vec<String> {
        let failed = failed
            .iter()
            .map(|(name, address)| {
                let name = Name::from_text(&format!("{name}.acme.example")).unwrap();
                (name, address.parse().unwrap())
            })
            .collect();
        let zone = zone("acme.example", HOSTS)
            .without_addresses(&failed)
            .unwrap();

        let mut left = Vec::new();
        zone.rrsets(|owner, set| {
            let addresses = set.data().filter_map(address);
            left.extend(addresses.map(|address| format!("{owner} {address}")));
        });
        left
    }

    #[test]
    fn a_failed_address_is_left_out_of_its_name_alone() {
        assert_eq!(
            left(&[("peer0", "10.1.0.11")]),
            [
                "peer0.acme.example 10.1.0.12",
                "peer0.acme.example fd00::11",
                "peer1.acme.example 10.1.0.11",
            ]
        );
    }

    #[test]
    fn a_name_without_a_living_address_keeps_all() {
        let all = left(&[]);
        assert_eq!(all.len(), 4);
        assert_eq!(
            left(&[
                ("peer0", "10.1.0.11"),
                ("peer0", "10.1.0.12"),
                ("peer0", "fd00::11"),
            ]),
            all
        );
        assert_eq!(left(&[("peer1", "10.1.0.11")]), all);
    }

    #[test]
    fn a_family_may_be_left_out_whole() {
        assert_eq!(
            left(&[("peer0", "10.1.0.11"), ("peer0", "10.1.0.12")]),
            [
                "peer0.acme.example fd00::11",
                "peer1.acme.example 10.1.0.11"
            ]
        );
    }

    #[test]
    fn records_of_other_types_and_the_serial_stay() {
        let zone = zone("acme.example", HOSTS).with_serial(7);
        let failed = [(
            Name::from_text("peer0.acme.example").unwrap(),
            "10.1.0.11".parse().unwrap(),
        )];
        let left = zone.without_addresses(&HashSet::from(failed)).unwrap();
        assert_eq!(left.records(), zone.records() - 1);
        assert_eq!(left.serial(), 7);
    }
}
