//! Adds a `[[policy.allow]]` to the text of a `gateway.toml`. Everything else stays as it is.

use ringway_config::Escaped;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::wanted::Words;
use crate::cli::Failure;

/// A rule to be written.
pub(super) struct NewRule<'a> {
    pub(super) from: &'a [String],
    pub(super) to: &'a [String],
    pub(super) words: Words,
}

/// `text` with the rule behind the last one. `text` is a sound `gateway.toml`.
pub(super) fn add(text: &str, rule: &NewRule<'_>) -> Result<String, Failure> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| Failure::Usage(format!("{}", Escaped(&format!("{error}")))))?;
    let entries = rule.entries();

    let policy = document.entry("policy").or_insert_with(implicit);
    let Some(policy) = policy.as_table_mut() else {
        return Err(Failure::Usage(
            "policy is written in one line; write it as [policy], so that a rule can be added"
                .into(),
        ));
    };

    // An empty list cannot be extended by a block.
    if let Some(Item::Value(Value::Array(list))) = policy.get("allow")
        && list.is_empty()
    {
        policy.remove("allow");
    }
    if is_there(policy.get("allow"), &entries) {
        return Ok(text.to_owned());
    }
    match policy
        .entry("allow")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
    {
        Item::ArrayOfTables(blocks) => {
            let mut block = Table::new();
            block.decor_mut().set_prefix("\n");
            for (key, value) in entries {
                block.insert(key, Item::Value(value));
            }
            blocks.push(block);
        }
        Item::Value(Value::Array(list)) => {
            let mut block = InlineTable::new();
            for (key, value) in entries {
                block.insert(key, value);
            }
            list.push(block);
        }
        _ => {
            return Err(Failure::Usage("policy.allow is no list of rules".into()));
        }
    }

    Ok(document.to_string())
}

/// True if a rule says exactly this.
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

/// Without the comments and blanks around it.
fn plain(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// A table without a header of its own: `[[policy.allow]]` says it.
fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
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

/// One text by itself, several as a list.
fn list(items: &[String]) -> Value {
    match items {
        [item] => item.as_str().into(),
        items => {
            let array: Array = items.iter().map(String::as_str).collect();
            Value::Array(array)
        }
    }
}
