//! The content of a member record as a list of texts, by which an operator can compare two records.

use std::collections::BTreeSet;

use crate::{Member, Root};

/// What changes from one record to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What only the later one says.
    pub added: BTreeSet<String>,
    /// What only the earlier one says.
    pub removed: BTreeSet<String>,
}

impl Changes {
    /// From `before` to `after`. `name` says which certificate a root is.
    pub fn between(before: &Member, after: &Member, name: &dyn Fn(&Root) -> String) -> Changes {
        let [before, after] = [before, after].map(|member| items(member, name));

        Changes {
            added: after.difference(&before).cloned().collect(),
            removed: before.difference(&after).cloned().collect(),
        }
    }

    /// True if both say the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Everything that `member` says, but for its serial.
pub fn items(member: &Member, name: &dyn Fn(&Root) -> String) -> BTreeSet<String> {
    let mut items: BTreeSet<String> = member.roots.iter().map(name).collect();

    for site in &member.sites {
        items.insert(format!("site {}", site.name));
        let via = site.via.iter();
        items.extend(via.map(|via| format!("site {} via {via}", site.name)));
        let prefixes = site.prefixes.iter();
        items.extend(
            prefixes.map(|placed| format!("prefix {} of site {}", placed.prefix, site.name)),
        );
    }
    for gateway in &member.gateways {
        let name = &gateway.name;
        items.insert(format!("gateway {name} at site {}", gateway.site));
        let endpoints = gateway.endpoints.iter();
        items.extend(endpoints.map(|endpoint| format!("endpoint {endpoint} of gateway {name}")));
    }
    let transit = member.transit.iter();
    items.extend(transit.map(|transit| format!("transit for {transit}")));

    let revoked = &member.revoked;
    items.extend(
        revoked
            .gateways
            .iter()
            .map(|name| format!("revoked gateway {name}")),
    );
    items.extend(revoked.keys.iter().map(|key| format!("revoked key {key}")));
    items
}
