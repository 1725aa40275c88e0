//! [`Table`]: a typed view of a TOML table that reports every value of a wrong type and continues.
//!
//! serde would stop at the first fault; an operator wants them all. So each kind of table has a
//! [`Schema`], which lists what the file may say, and its reader asks for one key after the other.

use toml::de::DeTable;

use super::item::Item;
use super::nearest::did_you_mean;
use super::remedy;
use super::source::Source;
use crate::Place;
use crate::keys::{Key, Schema};

/// The versions of a file format and what each may say, the one to write first.
pub(crate) type Versions = [(u32, &'static Schema)];

/// A table whose keys were compared with its schema.
#[derive(Debug, Clone)]
pub(crate) struct Table<'a> {
    source: &'a Source<'a>,
    schema: &'static Schema,
    entries: &'a DeTable<'a>,
    place: Place,
}

impl<'a> Table<'a> {
    /// A table that begins at `place`. Reports the keys that the schema does not have.
    pub(super) fn new(
        source: &'a Source<'a>,
        schema: &'static Schema,
        entries: &'a DeTable<'a>,
        place: Place,
    ) -> Table<'a> {
        let table = Table {
            source,
            schema,
            entries,
            place,
        };
        table.report_unknown_keys();

        table
    }

    /// The document itself, and its version, if that is one of `versions`. Of any other version
    /// nothing is read: its keys may mean something else.
    pub(crate) fn document(
        source: &'a Source<'a>,
        entries: &'a DeTable<'a>,
        versions: &Versions,
        version: &Key,
    ) -> Option<(Table<'a>, u32)> {
        let (newest, schema) = versions[0];
        let table = Table {
            source,
            schema,
            entries,
            place: source.whole(),
        };

        // Before the other keys: another version of the format may have different ones.
        let item = table.required(version)?;
        let found = item.integer(0..=u32::MAX)?;
        let Some((_, schema)) = versions.iter().find(|(known, _)| *known == found) else {
            return item.refuse(format!(
                "version {found} is not known to this ringway; write version = {newest}"
            ));
        };

        let table = Table { schema, ..table };
        table.report_unknown_keys();
        Some((table, found))
    }

    fn report_unknown_keys(&self) {
        for (key, _) in self.entries.iter() {
            if !self.schema.has(key.get_ref()) {
                let place = self.source.place(key.span().start);
                self.fault_at(&place, self.schema.unknown(key.get_ref()));
            }
        }
    }

    /// Where the table begins.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The header of the table as it stands in the file: `[[policy.allow]]`.
    pub(crate) fn header(&self) -> &'static str {
        self.schema.header
    }

    /// Reports a fault in the table as a whole.
    pub(crate) fn fault(&self, message: impl Into<String>) {
        self.fault_at(&self.place, message);
    }

    /// Like [`Table::fault`], at a place inside the table.
    pub(crate) fn fault_at(&self, place: &Place, message: impl Into<String>) {
        self.source.report.fault(place, message);
    }

    /// The value of `key`, if it is there.
    pub(crate) fn optional(&self, key: &Key) -> Option<Item<'a>> {
        // Otherwise the key would be refused as unknown in every file that has it.
        debug_assert!(self.schema.has(key.name), "{key} is not in the schema");
        let (_, value) = self
            .entries
            .iter()
            .find(|(name, _)| *name.get_ref() == key.name)?;

        Some(Item::new(self.source, value, key.form))
    }

    /// The value of `key`; its absence is a fault.
    pub(crate) fn required(&self, key: &Key) -> Option<Item<'a>> {
        let item = self.optional(key);
        if item.is_none() {
            let within = self.schema.within();
            let remedy = remedy::of_form(key.form);
            self.fault(format!("missing {}{within}; {remedy}", key.name));
        }

        item
    }

    /// The elements of the array at `key`; none if it is absent.
    pub(crate) fn list(&self, key: &Key, most: usize) -> Vec<Item<'a>> {
        self.optional(key)
            .map(|item| item.list(most))
            .unwrap_or_default()
    }

    /// The tables of the array of tables at `key`; none if it is absent.
    pub(crate) fn tables(&self, key: &Key, most: usize, schema: &'static Schema) -> Vec<Table<'a>> {
        self.list(key, most)
            .into_iter()
            .filter_map(|item| item.table(schema))
            .collect()
    }

    /// The table at `key`, if it is there.
    pub(crate) fn table(&self, key: &Key, schema: &'static Schema) -> Option<Table<'a>> {
        self.optional(key)?.table(schema)
    }
}

impl Schema {
    fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// ` in [tun]`; empty for the document itself.
    fn within(&self) -> String {
        if self.header.is_empty() {
            String::new()
        } else {
            format!(" in {}", self.header)
        }
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        let remedy = did_you_mean(name, names.iter().copied(), || {
            if names.is_empty() {
                "remove it".to_owned()
            } else {
                format!("known keys: {}", names.join(", "))
            }
        });

        format!("unknown key {name:?}{}; {remedy}", self.within())
    }
}
