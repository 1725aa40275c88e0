//! Adds a `[[policy.allow]]` to the text of a `gateway.toml`. Everything else is unchanged.

use toml_edit::{Array, Item, TableLike, Value};

use super::wanted::Words;
use crate::cli::Failure;
use crate::cli::edit::{Blocks, LineEnds, parse};

/// A rule to add.
pub(super) struct NewRule<'a> {
    pub(super) from: &'a [String],
    pub(super) to: &'a [String],
    pub(super) words: Words,
}

/// `text`, a valid `gateway.toml`, with the rule added after the last one.
pub(super) fn add(text: &str, rule: &NewRule<'_>) -> Result<String, Failure> {
    let mut document = parse(text)?;
    let entries = rule.entries();

    let rules = document
        .get("policy")
        .and_then(|policy| policy.get("allow"));
    if is_there(rules, &entries) {
        return Ok(text.to_owned());
    }
    Blocks::at(&mut document, &["policy", "allow"]).push(entries)?;
    Ok(LineEnds::of(text).text(&document))
}

/// True if there already is exactly this rule.
fn is_there(rules: Option<&Item>, entries: &[(&str, Value)]) -> bool {
    match rules {
        Some(Item::ArrayOfTables(blocks)) => blocks.iter().any(|rule| says(rule, entries)),
        Some(Item::Value(Value::Array(list))) => list
            .iter()
            .filter_map(Value::as_inline_table)
            .any(|rule| says(rule, entries)),
        _ => false,
    }
}

fn says(rule: &dyn TableLike, entries: &[(&str, Value)]) -> bool {
    rule.len() == entries.len()
        && entries.iter().all(|(key, value)| {
            let written = rule.get(key).and_then(Item::as_value);
            written.is_some_and(|written| plain(written) == plain(value))
        })
}

/// The value without the comments and blanks around it.
fn plain(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

impl NewRule<'_> {
    fn entries(&self) -> Vec<(&'static str, Value)> {
        let mut entries = vec![("from", list(self.from)), ("to", list(self.to))];
        match &self.words {
            Words::Service(name) => entries.push(("service", name.as_str().into())),
            Words::Ports(proto, range) => {
                entries.push(("proto", (*proto).into()));
                entries.push((
                    "ports",
                    if range.first == range.last {
                        i64::from(range.first).into()
                    } else {
                        range.to_string().into()
                    },
                ));
            }
            Words::Proto(proto) => entries.push(("proto", (*proto).into())),
            Words::Number(number) => entries.push(("proto", i64::from(*number).into())),
        }

        entries
    }
}

/// A single text as such, several as a list.
fn list(items: &[String]) -> Value {
    match items {
        [item] => item.as_str().into(),
        items => {
            let array: Array = items.iter().map(String::as_str).collect();
            Value::Array(array)
        }
    }
}
