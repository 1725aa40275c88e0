//! [`Table`]: who is asked for which names. The longest suffix wins.

use std::net::SocketAddr;
use std::sync::Arc;

use ringway_config::{DnsName, Forward, ZoneName};

use super::resolvers::Resolvers;
use crate::name::Name;

/// Everybody who can be asked.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The consortium's domain: nobody else is asked about its names.
    domain: Option<Name>,
    /// Longest suffix first.
    entries: Vec<(Name, Arc<Resolvers>)>,
}

/// RFC 9462, section 6.4: it would tell the asker of the resolvers behind us.
const RESOLVER_ARPA: &str = "resolver.arpa";

impl Table {
    /// What `forwards` says. Resolvers that `old` has too go on with what they know of each other.
    pub(super) fn new(domain: &ZoneName, forwards: &[Forward], old: &Table) -> Table {
        let domain = Name::from(domain);
        let mut entries: Vec<_> = forwards
            .iter()
            // The configuration has checked the suffix: it is a name.
            .filter_map(|forward| Some((Name::from_text(suffix(forward)).ok()?, forward)))
            .map(|(suffix, forward)| (suffix, old.known(domain, &suffix, &forward.servers)))
            .collect();
        entries.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.labels().count()));
        Table {
            domain: Some(domain),
            entries,
        }
    }

    fn known(&self, domain: Name, suffix: &Name, servers: &[SocketAddr]) -> Arc<Resolvers> {
        let same = |(its, resolvers): &&(Name, Arc<Resolvers>)| {
            its == suffix && resolvers.are(&domain, servers)
        };
        let known = self
            .entries
            .iter()
            .find(same)
            .map(|(_, resolvers)| resolvers.clone());
        known.unwrap_or_else(|| Arc::new(Resolvers::new(domain, servers)))
    }

    /// Who is asked for `name`; `None`: nobody.
    pub(super) fn resolvers(&self, name: &Name) -> Option<Arc<Resolvers>> {
        let is_ours = self.domain.is_none_or(|domain| name.is_within(&domain));
        let is_local = Name::from_text(RESOLVER_ARPA).is_ok_and(|local| name.is_within(&local));
        if is_ours || is_local {
            return None;
        }
        let (_, resolvers) = self
            .entries
            .iter()
            .find(|(suffix, _)| name.is_within(suffix))?;
        Some(resolvers.clone())
    }
}

fn suffix(forward: &Forward) -> &str {
    forward.suffix.as_ref().map_or(".", DnsName::as_str)
}

impl PartialEq for Table {
    /// Whether every name is asked of the same resolvers.
    fn eq(&self, other: &Table) -> bool {
        let key = |(suffix, resolvers): &(Name, Arc<Resolvers>)| (*suffix, Arc::as_ptr(resolvers));
        self.domain == other.domain
            && self
                .entries
                .iter()
                .map(key)
                .eq(other.entries.iter().map(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(forwards: &[(&str, &str)], old: &Table) -> Table {
        let forward = |(suffix, server): &(&str, &str)| Forward {
            suffix: (!suffix.is_empty()).then(|| suffix.parse().unwrap()),
            servers: vec![server.parse().unwrap()],
        };
        let forwards: Vec<_> = forwards.iter().map(forward).collect();
        Table::new(&"consortium.example".parse().unwrap(), &forwards, old)
    }

    fn asked(table: &Table, name: &str) -> Option<u8> {
        let resolvers = table.resolvers(&Name::from_text(name).unwrap())?;
        Some((1..9).find(|n| resolvers.are_at(*n)).unwrap())
    }

    impl Resolvers {
        fn are_at(&self, last: u8) -> bool {
            let domain = Name::from_text("consortium.example").unwrap();
            self.are(&domain, &[SocketAddr::from(([10, 0, 0, last], 53))])
        }
    }

    #[test]
    fn the_longest_suffix_wins_and_whole_labels_count() {
        let forwards = [
            ("", "10.0.0.1:53"),
            ("a.corp.example", "10.0.0.3:53"),
            ("corp.example", "10.0.0.2:53"),
        ];
        let table = table(&forwards, &Table::default());
        assert_eq!(asked(&table, "www.a.corp.example"), Some(3));
        assert_eq!(asked(&table, "a.corp.example"), Some(3));
        assert_eq!(asked(&table, "xa.corp.example"), Some(2));
        assert_eq!(asked(&table, "xcorp.example"), Some(1));
        assert_eq!(asked(&table, "."), Some(1));
    }

    #[test]
    fn no_name_of_the_consortium_is_anybodys_to_ask() {
        let table = table(
            &[("", "10.0.0.1:53"), ("example", "10.0.0.2:53")],
            &Table::default(),
        );
        for name in [
            "consortium.example",
            "peer0.gone.consortium.example",
            "_dns.resolver.arpa",
        ] {
            assert_eq!(asked(&table, name), None, "{name}");
        }
        assert_eq!(asked(&table, "xconsortium.example"), Some(2));
    }

    #[test]
    fn without_a_suffix_for_it_a_name_is_nobodys() {
        let table = table(&[("corp.example", "10.0.0.1:53")], &Table::default());
        assert_eq!(asked(&table, "www.example"), None);
        assert_eq!(asked(&Table::default(), "www.corp.example"), None);
    }

    #[test]
    fn a_new_table_keeps_the_resolvers_that_stay() {
        let old = table(
            &[("a.example", "10.0.0.1:53"), ("b.example", "10.0.0.2:53")],
            &Table::default(),
        );
        let new = table(
            &[("b.example", "10.0.0.2:53"), ("a.example", "10.0.0.3:53")],
            &old,
        );
        let of =
            |table: &Table, name: &str| table.resolvers(&Name::from_text(name).unwrap()).unwrap();
        assert!(Arc::ptr_eq(&of(&old, "b.example"), &of(&new, "b.example")));
        assert!(!Arc::ptr_eq(&of(&old, "a.example"), &of(&new, "a.example")));
        assert!(
            old != new
                && new
                    == table(
                        &[("b.example", "10.0.0.2:53"), ("a.example", "10.0.0.3:53")],
                        &new
                    )
        );
    }
}
