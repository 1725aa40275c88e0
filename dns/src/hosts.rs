//! Adds hosts that are not written in a file to a zone.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::own::address_data;
use crate::replica::{self, ReplicaError};
use crate::rrset::RRset;
use crate::zone::Zone;

/// Why hosts cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// The zone would break a rule.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The zone would be too large.
    #[error(transparent)]
    Size(#[from] ReplicaError),
}

impl Zone {
    /// This zone with these names and their addresses. A name that has records already keeps those
    /// alone: the files win. Such names are returned.
    ///
    /// Builds the zone again: a large one takes some 100 ms.
    pub fn with_hosts(
        &self,
        hosts: &[(Name, BTreeSet<IpAddr>)],
        ttl: u32,
    ) -> Result<(Zone, Vec<Name>), HostsError> {
        let mut draft = Draft::new(*self.apex());
        let mut owners = HashSet::new();
        let mut result = Ok(());
        self.rrsets(|owner, set| {
            owners.insert(*owner);
            // The visit cannot stop early: after a fault, the rest is passed over.
            if result.is_ok() {
                result = copy(&mut draft, owner, set);
            }
        });
        result?;

        let mut kept = Vec::new();
        for (name, addresses) in hosts {
            if owners.contains(name) {
                kept.push(*name);
                continue;
            }
            for address in addresses {
                let (kind, data) = address_data(*address);
                draft.add(name, kind, ttl, &data)?;
            }
        }
        replica::check_counts(draft.records(), draft.names())?;
        Ok((draft.finish()?, kept))
    }
}

fn copy(draft: &mut Draft, owner: &Name, set: &RRset) -> Result<(), ZoneError> {
    let data: Vec<&[u8]> = set.data().collect();

    draft.add_set(owner, (set.kind(), set.ttl()), &data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::address;
    use crate::zone::tests::zone;

    fn name(text: &str) -> Name {
        Name::from_text(&format!("{text}.acme.example")).unwrap()
    }

    fn hosts(hosts: &[(&str, &[&str])]) -> Vec<(Name, BTreeSet<IpAddr>)> {
        let hosts = hosts.iter().map(|(host, addresses)| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            (name(host), addresses.collect())
        });
        hosts.collect()
    }

    fn zone_of_files() -> Zone {
        zone(
            "acme.example",
            "@ SOA ns h 1 2 3 4 5\npeer0 A 10.1.0.11\nca CNAME peer0\na.b A 10.1.0.12\n",
        )
    }

    #[test]
    fn names_are_added_and_those_of_the_files_stay_as_they_are() {
        let hosts = hosts(&[
            ("peer0", &["10.1.0.99"]),
            ("ca", &["10.1.0.98"]),
            ("b", &["10.1.0.97"]),
            ("peer1", &["10.1.0.21", "fd00::21"]),
        ]);
        let (zone, kept) = zone_of_files().with_hosts(&hosts, 5).unwrap();

        assert_eq!(kept, [name("peer0"), name("ca")]);
        let mut found = Vec::new();
        zone.rrsets(|owner, set| {
            let addresses = set.data().filter_map(address);
            found.extend(addresses.map(|address| format!("{owner} {} {address}", set.ttl())));
        });
        found.retain(|line| !line.contains("10.1.0.1"));
        found.sort();
        assert_eq!(
            found,
            [
                "b.acme.example 5 10.1.0.97",
                "peer1.acme.example 5 10.1.0.21",
                "peer1.acme.example 5 fd00::21",
            ]
        );
        assert_eq!(zone.records(), zone_of_files().records() + 3);
    }

    #[test]
    fn a_zone_does_not_become_too_large_for_the_members() {
        let addresses: BTreeSet<IpAddr> = (0..=replica::MAX_RECORDS as u32)
            .map(|number| IpAddr::from((0x0a01_0000 + number).to_be_bytes()))
            .collect();
        let many: Vec<(Name, BTreeSet<IpAddr>)> = addresses
            .iter()
            .enumerate()
            .map(|(number, address)| (name(&format!("p{number}")), [*address].into()))
            .collect();

        let error = zone_of_files().with_hosts(&many, 5).unwrap_err();
        assert!(matches!(error, HostsError::Size(_)), "{error}");
    }

    #[test]
    fn a_name_outside_the_zone_is_refused() {
        let foreign = (
            Name::from_text("peer0.beta.example").unwrap(),
            BTreeSet::from(["10.1.0.1".parse().unwrap()]),
        );
        assert!(zone_of_files().with_hosts(&[foreign], 5).is_err());
    }
}
