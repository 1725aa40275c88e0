//! [`Table`] and [`Item`]: typed views of a parsed TOML document that report what does not fit and go on.
//!
//! serde would stop at the first fault; an operator wants them all. So each kind of table has a
//! [`Schema`], the mirror of what the file may say, and its reader asks for one key after the other.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::did_you_mean;
use super::source::Source;
use crate::Place;

/// One kind of table: its name and its keys. Any other key is refused.
#[derive(Debug)]
pub(crate) struct Schema {
    /// As it stands in the file; empty for the document itself.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key and an example of its correct form, which ends every fault in its value.
#[derive(Debug)]
pub(crate) struct Key(pub(crate) &'static str, pub(crate) &'static str);

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A table whose keys are all known.
#[derive(Debug, Clone)]
pub(crate) struct Table<'a> {
    source: &'a Source<'a>,
    schema: &'static Schema,
    entries: &'a DeTable<'a>,
    place: Place,
}

impl<'a> Table<'a> {
    /// The document itself, if it is of version 1: nothing can be said of another.
    pub(crate) fn document(
        source: &'a Source<'a>,
        entries: &'a DeTable<'a>,
        schema: &'static Schema,
    ) -> Option<Table<'a>> {
        let table = Table {
            source,
            schema,
            entries,
            place: source.whole(),
        };
        let version = table.required("version")?;
        match version.integer(0..=u32::MAX)? {
            1 => Some(table.with_known_keys()),
            other => version.refuse(format!(
                "version {other} is not known to this ringway; write version = 1"
            )),
        }
    }

    /// Reports the keys that the schema does not have.
    fn with_known_keys(self) -> Table<'a> {
        for (key, _) in self.entries.iter() {
            if !self
                .schema
                .keys
                .iter()
                .any(|known| known.0 == key.get_ref())
            {
                self.fault_at(
                    &self.source.place(key.span().start),
                    self.schema.unknown(key.get_ref()),
                );
            }
        }
        self
    }

    /// Where the table begins.
    pub(crate) fn place(&self) -> &Place {
        &self.place
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
    pub(crate) fn optional(&self, key: &str) -> Option<Item<'a>> {
        let (_, value) = self
            .entries
            .iter()
            .find(|(name, _)| *name.get_ref() == key)?;
        Some(Item {
            source: self.source,
            value,
            form: self.schema.form(key),
        })
    }

    /// The value of `key`; its absence is a fault.
    pub(crate) fn required(&self, key: &str) -> Option<Item<'a>> {
        self.optional(key).or_else(|| {
            let within = if self.schema.name.is_empty() {
                ""
            } else {
                " in "
            };
            let Schema { name, .. } = self.schema;
            self.fault(format!(
                "missing {key}{within}{name}; write {}",
                self.schema.form(key)
            ));
            None
        })
    }

    /// The elements of the array at `key`; none if it is absent.
    pub(crate) fn list(&self, key: &str, most: usize) -> Vec<Item<'a>> {
        self.optional(key)
            .map(|item| item.list(most))
            .unwrap_or_default()
    }

    /// The tables of the array of tables at `key`; none if it is absent.
    pub(crate) fn tables(&self, key: &str, most: usize, schema: &'static Schema) -> Vec<Table<'a>> {
        self.list(key, most)
            .into_iter()
            .filter_map(|item| item.table(schema))
            .collect()
    }

    /// The table at `key`, if it is there.
    pub(crate) fn table(&self, key: &str, schema: &'static Schema) -> Option<Table<'a>> {
        self.optional(key)?.table(schema)
    }
}

impl Schema {
    fn form(&self, key: &str) -> &'static str {
        self.keys
            .iter()
            .find(|known| known.0 == key)
            .map_or("", |known| known.1)
    }

    fn unknown(&self, key: &str) -> String {
        let known = || self.keys.iter().map(|key| key.0);
        let within = if self.name.is_empty() { "" } else { " in " };
        let all = || format!("known keys: {}", known().collect::<Vec<_>>().join(", "));
        let remedy = did_you_mean(key, known(), all);
        format!("unknown key {key:?}{within}{}; {remedy}", self.name)
    }
}

/// A value, its place, and its correct form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    source: &'a Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
    form: &'static str,
}

impl<'a> Item<'a> {
    /// Where the value begins.
    pub(crate) fn place(&self) -> Place {
        self.source.place(self.value.span().start)
    }

    /// The place `offset` bytes into the value as it stands in the file.
    pub(crate) fn place_within(&self, offset: usize) -> Place {
        self.source.place(self.value.span().start + offset)
    }

    /// The value as it stands in the file.
    pub(crate) fn raw(&self) -> &'a str {
        self.source.raw(self.value.span())
    }

    /// Reports what is wrong with the value; the correct form is added if the message names none.
    pub(crate) fn fault(&self, wrong: impl Display) {
        self.fault_at(&self.place(), wrong);
    }

    /// Like [`Item::fault`], at a place inside the value.
    pub(crate) fn fault_at(&self, place: &Place, wrong: impl Display) {
        let wrong = wrong.to_string();
        let message = if wrong.contains("; ") {
            wrong
        } else {
            format!("{wrong}; write {}", self.form)
        };
        self.source.report.fault(place, message);
    }

    /// Like [`Item::fault`], for where a value is wanted: there is none.
    pub(crate) fn refuse<T>(&self, wrong: impl Display) -> Option<T> {
        self.fault(wrong);
        None
    }

    fn unexpected<T>(&self, expected: &str) -> Option<T> {
        let article = if matches!(
            self.value.get_ref(),
            DeValue::Integer(_) | DeValue::Array(_)
        ) {
            "an"
        } else {
            "a"
        };
        self.refuse(format!(
            "expected {expected}, found {article} {}",
            self.value.get_ref().type_str()
        ))
    }

    /// A string.
    pub(crate) fn text(&self) -> Option<&'a str> {
        self.value
            .get_ref()
            .as_str()
            .or_else(|| self.unexpected("a string"))
    }

    /// A string, as `T` reads it.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.text()?
            .parse()
            .map_or_else(|error: T::Err| self.refuse(error), Some)
    }

    /// Like [`Item::parse`], with the place.
    pub(crate) fn placed<T: FromStr<Err: Display>>(&self) -> Option<Placed<T>> {
        Some(Placed {
            value: self.parse()?,
            place: self.place(),
        })
    }

    /// An integer within `range`.
    pub(crate) fn integer(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(digits) = self.value.get_ref() else {
            return self.unexpected("an integer");
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number));
        number.or_else(|| {
            let (first, last) = (range.start(), range.end());
            self.refuse(format!("{digits} is not from {first} to {last}"))
        })
    }

    /// True or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        self.value
            .get_ref()
            .as_bool()
            .or_else(|| self.unexpected("true or false"))
    }

    /// True for a string.
    pub(crate) fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// True for an array without elements.
    pub(crate) fn is_empty(&self) -> bool {
        self.value
            .get_ref()
            .as_array()
            .is_some_and(|elements| elements.is_empty())
    }

    /// The elements of an array of at most `most`.
    pub(crate) fn list(&self, most: usize) -> Vec<Item<'a>> {
        let elements = self
            .value
            .get_ref()
            .as_array()
            .or_else(|| self.unexpected("an array"));
        match elements {
            Some(elements) if elements.len() > most => {
                self.fault(format!(
                    "{} elements; at most {most} are allowed here",
                    elements.len()
                ));
                Vec::new()
            }
            elements => elements
                .into_iter()
                .flatten()
                .map(|value| Item { value, ..*self })
                .collect(),
        }
    }

    /// The elements of an array, or the value itself if it is none.
    pub(crate) fn one_or_more(&self, most: usize) -> Vec<Item<'a>> {
        if self.value.get_ref().is_array() {
            self.list(most)
        } else {
            vec![*self]
        }
    }

    /// A table of the kind `schema`.
    pub(crate) fn table(&self, schema: &'static Schema) -> Option<Table<'a>> {
        let entries = self.value.get_ref().as_table();
        let entries = entries.or_else(|| self.unexpected("a table"))?;
        let table = Table {
            source: self.source,
            schema,
            entries,
            place: self.place(),
        };
        Some(table.with_known_keys())
    }
}
