//! [`Table`]: which resolvers are configured for which suffix. The longest matching suffix wins.

use std::cmp::Reverse;
use std::sync::Arc;

use ringway_config::{DnsName, Forward};

use super::own_names::OwnNames;
use super::resolvers::Resolvers;
use crate::name::Name;

#[derive(Debug, Default)]
pub(super) struct Table {
    /// Names that are never forwarded; `None` before the first configuration, when nothing is.
    own: Option<OwnNames>,
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
    pub(super) fn new(own: OwnNames, forwards: &[Forward], old: &Table) -> Table {
        let mut entries = Vec::new();
        for forward in forwards {
            // The configuration accepts only suffixes that are names.
            let Ok(suffix) = Name::from_text(suffix(forward)) else {
                continue;
            };

            entries.push(Entry {
                suffix,
                resolvers: old.reuse_or_create(&own, &suffix, forward),
            });
        }
        entries.sort_by_key(|entry| Reverse(entry.suffix.labels().count()));

        Table {
            own: Some(own),
            entries,
        }
    }

    fn reuse_or_create(&self, own: &OwnNames, suffix: &Name, forward: &Forward) -> Arc<Resolvers> {
        let existing = self
            .entries
            .iter()
            .find(|entry| entry.suffix == *suffix && entry.resolvers.matches(own, forward));

        // Kept, with what is known of their servers and with open connections.
        match existing {
            Some(entry) => entry.resolvers.clone(),
            None => Arc::new(Resolvers::new(own.clone(), forward)),
        }
    }

    /// The resolvers for `name`; `None` if it is not forwarded.
    pub(super) fn resolvers(&self, name: &Name) -> Option<Arc<Resolvers>> {
        let is_ours = self.own.as_ref().is_none_or(|own| own.has(name));
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
        self.own == other.own && self.entries == other.entries
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

    fn forward(suffix: &str, server: &str) -> Forward {
        Forward {
            suffix: (!suffix.is_empty()).then(|| suffix.parse().unwrap()),
            servers: vec![server.parse().unwrap()],
            private_answers: false,
        }
    }

    /// A table of suffixes and the server of each.
    fn table(forwards: &[(&str, &str)], old: &Table) -> Table {
        let forwards: Vec<Forward> = forwards
            .iter()
            .map(|(suffix, server)| forward(suffix, server))
            .collect();
        Table::new(own(), &forwards, old)
    }

    fn own() -> OwnNames {
        OwnNames::new(&["consortium.example".parse().unwrap()])
    }

    fn resolvers(table: &Table, name: &str) -> Option<Arc<Resolvers>> {
        table.resolvers(&Name::from_text(name).unwrap())
    }

    /// The last octet of the address of the server for `name`.
    fn server(table: &Table, name: &str) -> Option<u8> {
        let resolvers = resolvers(table, name)?;
        (1..9).find(|last| resolvers.matches(&own(), &forward("", &format!("10.0.0.{last}:53"))))
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
