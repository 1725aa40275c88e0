//! [`Item`]: a typed view of one TOML value that reports what does not fit.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use super::nearest::did_you_mean;
use super::remedy;
use super::source::Source;
use super::table::Table;
use crate::Place;
use crate::keys::Schema;

/// A value, its place, and its correct form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    source: &'a Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
    form: &'static str,
}

/// A checked value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'a> Item<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        value: &'a Spanned<DeValue<'a>>,
        form: &'static str,
    ) -> Item<'a> {
        Item {
            source,
            value,
            form,
        }
    }

    /// Where the value begins.
    pub(crate) fn place(&self) -> Place {
        self.source.place(self.value.span().start)
    }

    /// The place `offset` bytes into the value as it stands in the file.
    pub(crate) fn place_within(&self, offset: usize) -> Place {
        self.source.place(self.value.span().start + offset)
    }

    /// The value as it stands in the file, quotes and escapes included.
    pub(crate) fn raw(&self) -> &'a str {
        self.source.raw(self.value.span())
    }

    /// Reports what is wrong with the value. Adds the correct form, unless the message has one
    /// after a semicolon.
    pub(crate) fn fault(&self, wrong: impl Display) {
        self.fault_at(&self.place(), wrong);
    }

    /// Like [`Item::fault`], at a place inside the value.
    pub(crate) fn fault_at(&self, place: &Place, wrong: impl Display) {
        let wrong = wrong.to_string();
        // A message with a semicolon has its remedy already.
        let message = if wrong.contains("; ") {
            wrong
        } else {
            format!("{wrong}; {}", remedy::of_form(self.form))
        };

        self.source.report.fault(place, message);
    }

    /// Like [`Item::fault`], and gives the `None` that stands for the refused value.
    pub(crate) fn refuse<T>(&self, wrong: impl Display) -> Option<T> {
        self.fault(wrong);
        None
    }

    /// Like [`Item::fault`], for what does not keep the file from being used.
    pub(crate) fn note(&self, what: impl Display) {
        self.source.report.note(&self.place(), what.to_string());
    }

    /// Reports a value of another type. `meant` says what to write if that can be seen in it.
    fn unexpected<T>(&self, expected: &str, meant: Option<String>) -> Option<T> {
        let value = self.value.get_ref();
        let article = match value {
            DeValue::Integer(_) | DeValue::Array(_) => "an",
            _ => "a",
        };

        let found = value.type_str();
        let wrong = format!("expected {expected}, found {article} {found}");
        match meant {
            Some(meant) => self.refuse(format!("{wrong}; {meant}")),
            None => self.refuse(wrong),
        }
    }

    /// A string.
    pub(crate) fn text(&self) -> Option<&'a str> {
        self.value
            .get_ref()
            .as_str()
            .or_else(|| self.unexpected("a string", self.only_text()))
    }

    /// What to write if the value is an array of a single string.
    fn only_text(&self) -> Option<String> {
        let elements = self.value.get_ref().as_array()?;
        let only = elements.iter().next().filter(|_| elements.len() == 1)?;
        only.get_ref().as_str()?;

        remedy::alone(self.form, self.source.raw(only.span()))
    }

    /// A string, as `T` reads it.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        match self.text()?.parse() {
            Ok(value) => Some(value),
            Err(error) => self.refuse(error),
        }
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
        let number = self.number(u64::from(*range.start())..=u64::from(*range.end()))?;

        u32::try_from(number).ok()
    }

    /// Like [`Item::integer`], for larger ones. TOML has none above [`i64::MAX`].
    pub(crate) fn number(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(digits) = self.value.get_ref() else {
            let text = self.value.get_ref().as_str();
            let number = text.and_then(|text| text.parse().ok());
            let meant = number.filter(|number| range.contains(number));
            return self.unexpected(
                "an integer",
                meant.and_then(|number| remedy::alone(self.form, &number.to_string())),
            );
        };

        // TOML's integers are 64 bits wide, in any radix and with underscores removed.
        let number = i64::from_str_radix(digits.as_str(), digits.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(format!(
                "{digits} is not from {} to {}",
                range.start(),
                range.end()
            ));
        }

        number
    }

    /// True or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        self.value.get_ref().as_bool().or_else(|| {
            let text = self.value.get_ref().as_str();
            let meant = text.filter(|text| ["true", "false"].contains(text));
            let remedy = meant.and_then(|meant| remedy::alone(self.form, meant));
            self.unexpected("true or false", remedy)
        })
    }

    /// One of a few words, as the value that stands beside it.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }

        let known = words.iter().map(|(word, _)| *word);
        let remedy = did_you_mean(text, known, || format!("write {}", self.form));
        self.refuse(format!("{text:?} is not known here; {remedy}"))
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
        let Some(elements) = self.value.get_ref().as_array() else {
            let meant = if self.is_text() {
                remedy::in_an_array(self.form, self.raw())
            } else {
                None
            };
            self.unexpected::<()>("an array", meant);
            return Vec::new();
        };

        // A longer array is refused unread: a fault for each element would say no more.
        let count = elements.len();
        if count > most {
            self.fault(format!("{count} elements; at most {most} are allowed here"));
            return Vec::new();
        }

        elements
            .into_iter()
            .map(|value| Item { value, ..*self })
            .collect()
    }

    /// The elements of an array, or the value itself if it is not an array.
    pub(crate) fn one_or_more(&self, most: usize) -> Vec<Item<'a>> {
        if self.value.get_ref().is_array() {
            self.list(most)
        } else {
            vec![*self]
        }
    }

    /// A table of the kind `schema`.
    pub(crate) fn table(&self, schema: &'static Schema) -> Option<Table<'a>> {
        let Some(entries) = self.value.get_ref().as_table() else {
            return self.unexpected("a table", None);
        };

        Some(Table::new(self.source, schema, entries, self.place()))
    }
}
