//! [`Table`]: which resolvers are configured for which suffix. The longest matching suffix wins.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;

use ringway_config::{DnsName, Forward, ZoneName};

use super::resolvers::Resolvers;
use crate::name::Name;

#[derive(Debug, Default)]
pub(super) struct Table {
    /// The consortium's domain, whose names are never forwarded.
    domain: Option<Name>,
    /// Longest suffix first.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    suffix: Name,
    resolvers: Arc<Resolvers>,
}

/// RFC 9462, section 6.4: forwarders must not pass on queries for it. The response would direct the
/// client to the resolvers behind us.
const RESOLVER_ARPA: &str = "resolver.arpa";

impl Table {
    /// Builds the table that `forwards` describes. An entry that `old` has too keeps its
    /// [`Resolvers`], and so what they learned about which server fails.
    pub(super) fn new(domain: &ZoneName, forwards: &[Forward], old: &Table) -> Table {
        let domain = Name::from(domain);
        let mut entries = Vec::new();
        for forward in forwards {
            // The configuration accepts only suffixes that are names.
            let Ok(suffix) = Name::from_text(suffix(forward)) else {
                continue;
            };

            entries.push(Entry {
                suffix,
                resolvers: old.reuse_or_create(domain, &suffix, &forward.servers),
            });
        }
        entries.sort_by_key(|entry| Reverse(entry.suffix.labels().count()));

        Table {
            domain: Some(domain),
            entries,
        }
    }

    fn reuse_or_create(
        &self,
        domain: Name,
        suffix: &Name,
        servers: &[SocketAddr],
    ) -> Arc<Resolvers> {
        let existing = self
            .entries
            .iter()
            .find(|entry| entry.suffix == *suffix && entry.resolvers.matches(&domain, servers));

        match existing {
            Some(entry) => entry.resolvers.clone(),
            None => Arc::new(Resolvers::new(domain, servers)),
        }
    }

    /// The resolvers for `name`; `None` if it is not forwarded.
    pub(super) fn resolvers(&self, name: &Name) -> Option<Arc<Resolvers>> {
        // `None` before the first configuration, when nothing may be forwarded.
        let is_ours = self.domain.is_none_or(|domain| name.is_within(&domain));
        let is_local = Name::from_text(RESOLVER_ARPA).is_ok_and(|local| name.is_within(&local));
        if is_ours || is_local {
            return None;
        }

        let entry = self
            .entries
            .iter()
            .find(|entry| name.is_within(&entry.suffix))?;
        Some(entry.resolvers.clone())
    }
}

/// The suffix as text; `None` in the configuration stands for the root.
fn suffix(forward: &Forward) -> &str {
    forward.suffix.as_ref().map_or(".", DnsName::as_str)
}

impl PartialEq for Table {
    /// True if every name has the same [`Resolvers`] in both.
    fn eq(&self, other: &Table) -> bool {
        self.domain == other.domain && self.entries == other.entries
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.suffix == other.suffix && Arc::ptr_eq(&self.resolvers, &other.resolvers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of suffixes and the server of each.
    fn table(forwards: &[(&str, &str)], old: &Table) -> Table {
        let forwards: Vec<Forward> = forwards
            .iter()
            .map(|(suffix, server)| Forward {
                suffix: (!suffix.is_empty()).then(|| suffix.parse().unwrap()),
                servers: vec![server.parse().unwrap()],
            })
            .collect();
        Table::new(&"consortium.example".parse().unwrap(), &forwards, old)
    }

    fn resolvers(table: &Table, name: &str) -> Option<Arc<Resolvers>> {
        table.resolvers(&Name::from_text(name).unwrap())
    }

    /// The last octet of the address of the server for `name`.
    fn server(table: &Table, name: &str) -> Option<u8> {
        let resolvers = resolvers(table, name)?;
        let domain = Name::from_text("consortium.example").unwrap();
        (1..9).find(|last| resolvers.matches(&domain, &[SocketAddr::from(([10, 0, 0, *last], 53))]))
    }

    #[test]
    fn the_longest_suffix_wins_and_matches_whole_labels() {
        let forwards = [
            ("", "10.0.0.1:53"),
            ("a.corp.example", "10.0.0.3:53"),
            ("corp.example", "10.0.0.2:53"),
        ];
        let table = table(&forwards, &Table::default());

        assert_eq!(server(&table, "www.a.corp.example"), Some(3));
        assert_eq!(server(&table, "a.corp.example"), Some(3));
        assert_eq!(server(&table, "xa.corp.example"), Some(2));
        assert_eq!(server(&table, "xcorp.example"), Some(1));
        assert_eq!(server(&table, "."), Some(1));
    }

    #[test]
    fn names_of_the_consortium_and_of_resolver_arpa_are_never_forwarded() {
        let forwards = [("", "10.0.0.1:53"), ("example", "10.0.0.2:53")];
        let table = table(&forwards, &Table::default());

        for name in [
            "consortium.example",
            "peer0.gone.consortium.example",
            "_dns.resolver.arpa",
        ] {
            assert_eq!(server(&table, name), None, "{name}");
        }
        assert_eq!(server(&table, "xconsortium.example"), Some(2));
    }

    #[test]
    fn a_name_without_a_matching_suffix_is_not_forwarded() {
        let table = table(&[("corp.example", "10.0.0.1:53")], &Table::default());
        assert_eq!(server(&table, "www.example"), None);
        assert_eq!(server(&Table::default(), "www.corp.example"), None);
    }

    #[test]
    fn unchanged_entries_keep_their_resolvers() {
        let first = [("a.example", "10.0.0.1:53"), ("b.example", "10.0.0.2:53")];
        let second = [("b.example", "10.0.0.2:53"), ("a.example", "10.0.0.3:53")];
        let old = table(&first, &Table::default());
        let new = table(&second, &old);

        let is_kept = |name| {
            let before = resolvers(&old, name).unwrap();
            let after = resolvers(&new, name).unwrap();
            Arc::ptr_eq(&before, &after)
        };
        assert!(is_kept("b.example"));
        assert!(!is_kept("a.example"));

        assert!(old != new);
        assert!(new == table(&second, &new));
    }
}
