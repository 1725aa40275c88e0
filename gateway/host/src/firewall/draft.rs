//! [`Draft`]: a transaction of table, sets, chains and rules as libnftables-json(5) commands.
//!
//! It knows the syntax of nftables, and no policy.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use nftables::batch::Batch;
use nftables::schema::{
    Chain, Counter, NfListObject, Nftables, Rule, Set, SetFlag, SetType, SetTypeValue, Table,
};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};
use ringway_config::Prefix;

use super::terms::{self, Family, Step};

/// Maximum length of a rule's comment in the kernel.
const COMMENT: usize = 127;

/// Commands for a table, or for the tables of one name in two families. They are carried out
/// together or not at all.
pub(super) struct Draft {
    family: NfFamily,
    table: Cow<'static, str>,
    batch: Batch<'static>,
}

impl Draft {
    /// Starts with commands that delete the table. It is added first, because deleting a missing
    /// table fails.
    pub(super) fn over(table: &str) -> Draft {
        let mut draft = Draft {
            family: NfFamily::INet,
            table: Cow::Owned(table.to_owned()),
            batch: Batch::new(),
        };

        draft.begin();
        draft.delete();
        draft
    }

    /// The following commands are for the table of the same name in `family`.
    pub(super) fn turn_to(&mut self, family: NfFamily) {
        self.family = family;
    }

    /// Deletes the table, which must exist.
    pub(super) fn delete(&mut self) {
        self.batch.delete(self.table());
    }

    /// Adds an empty table.
    pub(super) fn begin(&mut self) {
        self.batch.add(self.table());
    }

    pub(super) fn finish(self) -> Nftables<'static> {
        self.batch.to_nftables()
    }

    /// Adds a counter; rules refer to it by name.
    pub(super) fn counter(&mut self, name: &'static str) {
        self.batch.add(NfListObject::Counter(Counter {
            family: self.family,
            table: self.table.clone(),
            name: name.into(),
            handle: None,
            packets: Some(0),
            bytes: Some(0),
        }));
    }

    /// Adds two sets of addresses, one per family: see [`set_name`].
    pub(super) fn sets<'a>(&mut self, name: &str, prefixes: impl IntoIterator<Item = &'a Prefix>) {
        let outermost = outermost(prefixes);

        for (family, kind) in [
            (Family::V4, SetType::Ipv4Addr),
            (Family::V6, SetType::Ipv6Addr),
        ] {
            let inside = outermost
                .iter()
                .filter(|prefix| Family::of(prefix) == family);
            let elements: Vec<_> = inside.map(terms::prefix).collect();

            self.batch.add(NfListObject::Set(Box::new(Set {
                family: self.family,
                table: self.table.clone(),
                name: set_name(name, family).into(),
                set_type: SetTypeValue::Single(kind),
                // Without this flag, a set holds single addresses instead of prefixes.
                flags: Some(HashSet::from([SetFlag::Interval])),
                elem: (!elements.is_empty()).then_some(elements.into()),
                ..Set::default()
            })));
        }
    }

    /// Adds a set of interface names.
    pub(super) fn interfaces(&mut self, name: &'static str, interfaces: &BTreeSet<String>) {
        let elements: Vec<_> = interfaces.iter().cloned().map(terms::word).collect();

        self.batch.add(NfListObject::Set(Box::new(Set {
            family: self.family,
            table: self.table.clone(),
            name: name.into(),
            set_type: SetTypeValue::Single(SetType::Ifname),
            elem: (!elements.is_empty()).then_some(elements.into()),
            ..Set::default()
        })));
    }

    /// Adds a chain that rules go to.
    pub(super) fn chain(&mut self, name: &'static str) {
        self.batch.add(NfListObject::Chain(self.plain_chain(name)));
    }

    /// Adds a chain at a hook of the kernel. Its policy is accept.
    pub(super) fn base_chain(&mut self, name: &'static str, hook: NfHook, priority: i32) {
        self.batch.add(NfListObject::Chain(Chain {
            _type: Some(NfChainType::Filter),
            hook: Some(hook),
            prio: Some(priority),
            policy: Some(NfChainPolicy::Accept),
            ..self.plain_chain(name)
        }));
    }

    /// Adds a rule at the end of `chain`.
    pub(super) fn rule(&mut self, chain: &'static str, steps: impl IntoIterator<Item = Step>) {
        self.commented_rule(chain, steps, "");
    }

    /// Adds a rule with a comment: the place of its origin in the configuration.
    pub(super) fn commented_rule(
        &mut self,
        chain: &'static str,
        steps: impl IntoIterator<Item = Step>,
        comment: &str,
    ) {
        let steps: Vec<_> = steps.into_iter().collect();

        // ASCII only, so that the limit in bytes never cuts a character.
        let comment: String = comment
            .chars()
            .filter(|c| c.is_ascii_graphic())
            .take(COMMENT)
            .collect();

        self.batch.add(NfListObject::Rule(Rule {
            family: self.family,
            table: self.table.clone(),
            chain: chain.into(),
            expr: steps.into(),
            comment: (!comment.is_empty()).then(|| comment.into()),
            ..Rule::default()
        }));
    }

    fn plain_chain(&self, name: &'static str) -> Chain<'static> {
        Chain {
            family: self.family,
            table: self.table.clone(),
            name: name.into(),
            ..Chain::default()
        }
    }

    fn table(&self) -> NfListObject<'static> {
        NfListObject::Table(Table {
            family: self.family,
            name: self.table.clone(),
            handle: None,
        })
    }
}

/// The commands as JSON for `nft`.
pub(super) fn write(commands: &Nftables<'_>) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_string(commands)?;

    // The library writes this statement as a word where nft reads an object; it is the last one of
    // its rule. And it uses another name than nft for the interface of a frame's bridge.
    Ok(text
        .replace(r#","notrack"]"#, r#",{"notrack":null}]"#)
        .replace(r#"{"key":"ibridgename"}"#, r#"{"key":"ibrname"}"#)
        .into_bytes())
}

/// The name of the set that [`Draft::sets`] makes for `family`.
pub(super) fn set_name(name: &str, family: Family) -> String {
    format!("{name}-{}", family.suffix())
}

/// The prefixes without those that lie inside others: nftables refuses overlapping intervals.
pub(super) fn outermost<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>) -> Vec<Prefix> {
    let mut sorted: Vec<_> = prefixes.into_iter().copied().collect();

    // A prefix sorts directly before those inside it.
    sorted.sort();
    sorted.dedup_by(|inner, outer| outer.covers(inner));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_prefixes_are_merged_into_the_outermost() {
        let prefixes: Vec<Prefix> = ["10.1.2.0/24", "10.1.0.0/16", "10.1.0.0/24", "10.2.0.0/16"]
            .map(|text| text.parse().unwrap())
            .into();
        let kept: Vec<_> = outermost(&prefixes).iter().map(Prefix::to_string).collect();
        assert_eq!(kept, ["10.1.0.0/16", "10.2.0.0/16"]);
    }
}
