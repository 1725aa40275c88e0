//! [`read`]: reads the filtering tables of iptables-legacy, which nftables does not list, and
//! converts them to nftables rules.
//!
//! The kernel returns a table as one block of entries (linux/netfilter_ipv4/ip_tables.h). A base
//! chain begins at its hook's offset and ends with its policy. A user's chain begins after an entry
//! whose target is `ERROR` with the chain's name. Jumps are offsets.

mod entry;
mod socket;

use std::collections::BTreeMap;
use std::{fs, io};

use self::entry::{Entry, Layout};
use super::chain::{BaseChain, Family, Hook};
use super::evaluate::Ruleset;
use super::expression::{Expression, Verdict};

/// The tables whose rules may drop. The table `nat` only translates addresses.
const TABLES: [&str; 4] = ["filter", RAW, "mangle", "security"];

/// Its chains are called before connection tracking.
const RAW: &str = "raw";

/// In the order of linux/netfilter.h, `enum nf_inet_hooks`. A table has some of them.
const HOOKS: [(Hook, &str); 5] = [
    (Hook::Prerouting, "PREROUTING"),
    (Hook::Input, "INPUT"),
    (Hook::Forward, "FORWARD"),
    (Hook::Output, "OUTPUT"),
    (Hook::Postrouting, "POSTROUTING"),
];

/// A table in the kernel's format.
struct Table {
    name: &'static str,
    layout: Layout,
    /// Offsets of each hook's first rule and of its policy. For a hook that the table does not
    /// have, they are behind the end of the table.
    begins: [u32; 5],
    policies: [u32; 5],
    entries: Vec<u8>,
}

/// The tables of both families, each with its chains. Skips a table that no program has used yet:
/// reading it would create it.
pub(super) fn read() -> io::Result<Vec<(Vec<BaseChain>, Ruleset)>> {
    let mut tables = Vec::new();

    for (family, names) in [
        (Family::V4, "ip_tables_names"),
        (Family::V6, "ip6_tables_names"),
    ] {
        for name in used(names) {
            let table = socket::fetch(family, name)?;
            tables.push((table.base_chains(family), table.ruleset()));
        }
    }
    Ok(tables)
}

fn used(names: &str) -> Vec<&'static str> {
    // The network namespace of this thread; /proc/self would be that of the process's first thread.
    let names = fs::read_to_string(format!("/proc/thread-self/net/{names}")).unwrap_or_default();
    let is_used = |table: &&str| names.lines().any(|name| name == *table);

    TABLES.into_iter().filter(is_used).collect()
}

impl Table {
    fn base_chains(&self, family: Family) -> Vec<BaseChain> {
        let chains = self.policies.iter().zip(HOOKS);

        chains
            .filter_map(|(policy, (hook, name))| {
                Some(BaseChain {
                    family,
                    table: self.name.to_owned(),
                    name: name.to_owned(),
                    hook,
                    devices: Vec::new(),
                    drops_by_default: self.policy(*policy)? == Verdict::Drop,
                    is_early: self.name == RAW,
                    is_legacy: true,
                    translates: false,
                })
            })
            .collect()
    }

    fn policy(&self, offset: u32) -> Option<Verdict> {
        let entry = Entry::at(&self.entries, offset as usize, self.layout)?;

        entry.standard_verdict()
    }

    /// All chains. An entry that cannot be parsed ends the table.
    fn ruleset(&self) -> Ruleset {
        let names = self.names();
        let mut ruleset = Ruleset::default();
        let mut chain = None;
        let mut offset = 0;

        while let Some(entry) = Entry::at(&self.entries, offset, self.layout) {
            if let Some(name) = names.get(&(offset as u32)) {
                chain = Some(name.clone());
                ruleset.chains.entry(name.clone()).or_default();
            }
            // linux/netfilter_ipv4/ip_tables.h: `underflow` is the offset of a hook's policy.
            let is_policy = self.policies.contains(&(offset as u32));
            let next = offset + entry.length();

            if let Some(chain) = &chain
                && !is_policy
                && !entry.is_head()
            {
                let rules = ruleset.chains.entry(chain.clone()).or_default();
                rules.push(rule(&entry, next, &names));
            }
            // The head of the next chain follows a chain's policy.
            if is_policy {
                chain = None;
            }
            offset = next;
        }
        ruleset
    }

    /// The names of the chains, by the offset of their first rule.
    fn names(&self) -> BTreeMap<u32, String> {
        let begins = self.begins.iter().zip(HOOKS);
        let mut names: BTreeMap<u32, String> = begins
            .map(|(offset, (_, name))| (*offset, name.to_owned()))
            .collect();
        let mut offset = 0;

        while let Some(entry) = Entry::at(&self.entries, offset, self.layout) {
            offset += entry.length();
            if let Some(name) = entry.head() {
                names.insert(offset as u32, name);
            }
        }
        names
    }
}

fn rule(entry: &Entry<'_>, next: usize, names: &BTreeMap<u32, String>) -> Vec<Expression> {
    let mut steps = entry.conditions();

    steps.push(match entry.jump() {
        // A rule without a target continues with the next one.
        Some(to) if to as usize == next => Expression::Nothing,
        Some(to) => match names.get(&to) {
            Some(name) if entry.is_goto() => Expression::Verdict(Verdict::Goto(name.clone())),
            Some(name) => Expression::Verdict(Verdict::Jump(name.clone())),
            None => Expression::UnknownTarget,
        },
        None => entry.decision(),
    });
    steps
}

#[cfg(test)]
mod tests;
