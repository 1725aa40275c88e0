//! [`ServiceNames`]: the names of Kubernetes Services as they were last, kept in
//! `<state-dir>/service-names`. A gateway that has just started answers them until its API server
//! has said what there is now: without it, a restart while the API server is away would take every
//! such name from all members.
//!
//! In the form of a [`Ledger`]. A line for each name, `<name> <address> …`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use ringway_config::{DnsName, Ledger, LedgerError, limits};

/// The addresses of each name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceNames(pub BTreeMap<DnsName, BTreeSet<IpAddr>>);

impl Ledger for ServiceNames {
    const FILE: &'static str = "service-names";
    const LOSS: &'static str = "the names of Kubernetes Services are missing until the API server \
                                has answered";

    fn lines(&self) -> String {
        let mut text = String::new();
        for (name, addresses) in &self.0 {
            text.push_str(name.as_str());
            for address in addresses {
                text.push_str(&format!(" {address}"));
            }
            text.push('\n');
        }
        text
    }

    fn parse(lines: &str) -> Option<ServiceNames> {
        let mut names = BTreeMap::new();
        for line in lines.lines() {
            let mut words = line.split(' ');
            let name: DnsName = words.next()?.parse().ok()?;
            let addresses: Result<BTreeSet<IpAddr>, _> = words.map(str::parse).collect();
            let addresses = addresses.ok().filter(|addresses| !addresses.is_empty())?;
            names.insert(name, addresses);
        }

        (names.len() <= limits::KUBERNETES_NAMES).then_some(ServiceNames(names))
    }
}

impl ServiceNames {
    /// What is kept in `state_dir`; none if that cannot be read. Blocks.
    pub fn read(state_dir: &Path) -> ServiceNames {
        ServiceNames::load(state_dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "Names of Kubernetes Services are not known");
            ServiceNames::default()
        })
    }

    /// Replaces what is kept in `state_dir`. Blocks.
    pub fn store(&self, state_dir: &Path) -> Result<(), LedgerError> {
        // A full disk is no matter if nothing changes.
        if ServiceNames::load(state_dir).is_ok_and(|stored| stored == *self) {
            return Ok(());
        }

        self.replace(state_dir)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(count: usize) -> ServiceNames {
        let names = (0..count).map(|number| {
            let name = format!("peer{number}.acme.example").parse().unwrap();
            let addresses = ["10.1.0.11", "fd00::11"];
            let addresses = addresses.map(|address| address.parse().unwrap());
            (name, addresses.into())
        });
        ServiceNames(names.collect())
    }

    #[test]
    fn what_was_stored_is_read_and_a_damaged_file_names_nothing() {
        let name = format!("ringway-service-names-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        assert_eq!(ServiceNames::read(&dir), ServiceNames::default());

        let most = names(limits::KUBERNETES_NAMES);
        most.store(&dir).unwrap();
        assert_eq!(ServiceNames::read(&dir), most);
        names(limits::KUBERNETES_NAMES + 1).replace(&dir).unwrap();
        assert_eq!(ServiceNames::read(&dir), ServiceNames::default());

        fs::write(
            dir.join(ServiceNames::FILE),
            "peer0.acme.example 10.1.0.11\n",
        )
        .unwrap();
        assert_eq!(ServiceNames::read(&dir), ServiceNames::default());
        for lines in ["peer0.acme.example\n", "a b\n", "\n", "-x 10.1.0.1\n"] {
            assert_eq!(ServiceNames::parse(lines), None, "{lines:?}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    /// A file of more would not be read to its end.
    #[test]
    fn the_most_and_longest_names_fit_into_a_ledger() {
        let label = "x".repeat(60);
        let names = (0..limits::KUBERNETES_NAMES).map(|number| {
            let name = format!("{number}.{label}.{label}.{label}.{label}");
            let addresses = (0..4).map(|last| IpAddr::from([0xfd00, 1, 2, 3, 4, 5, 6, last]));
            (name.parse().unwrap(), addresses.collect())
        });
        let lines = ServiceNames(names.collect()).lines();
        assert!(lines.len() < 1 << 20, "{}", lines.len());
    }
}
