//! [`Blocks`]: a list of tables, in either notation.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::cli::Failure;

use super::comments::{place_new_table, remove_table};

/// The tables at a key of the document, or of a table in it, such as `dns` and `host`.
pub(in crate::cli) struct Blocks<'a> {
    document: &'a mut DocumentMut,
    path: &'a [&'a str],
}

impl<'a> Blocks<'a> {
    /// The tables at `path`: the key, preceded by the table that contains it.
    pub(in crate::cli) fn at(document: &'a mut DocumentMut, path: &'a [&'a str]) -> Blocks<'a> {
        Blocks { document, path }
    }

    /// The first table whose `key` is `value`.
    pub(in crate::cli) fn find(self, key: &str, value: &str) -> Option<&'a mut dyn TableLike> {
        match item_at(self.document.as_table_mut(), self.path)? {
            Item::ArrayOfTables(blocks) => blocks
                .iter_mut()
                .find(|block| has(*block, key, value))
                .map(|block| block as &mut dyn TableLike),
            Item::Value(Value::Array(list)) => list
                .iter_mut()
                .filter_map(Value::as_inline_table_mut)
                .find(|block| has(*block, key, value))
                .map(|block| block as &mut dyn TableLike),
            _ => None,
        }
    }

    /// Adds a table after the last one, and after the comments that follow that one.
    pub(in crate::cli) fn push(self, entries: Vec<(&str, Value)>) -> Result<(), Failure> {
        let Some((key, outer)) = self.path.split_last() else {
            return Ok(());
        };
        let mut table = self.document.as_table_mut();
        for name in outer {
            table = table
                .entry(name)
                .or_insert_with(implicit)
                .as_table_mut()
                .ok_or_else(|| in_one_line(name))?;
        }

        // Blocks cannot extend an empty inline list.
        if let Some(Item::Value(Value::Array(list))) = table.get(key)
            && list.is_empty()
        {
            table.remove(key);
        }
        let blocks = Item::ArrayOfTables(ArrayOfTables::new());
        match table.entry(key).or_insert(blocks) {
            Item::ArrayOfTables(blocks) => blocks.push(block(entries)),
            Item::Value(Value::Array(list)) => push_inline(list, entries),
            _ => return Err(Failure::Usage(format!("{key} is no list of tables"))),
        }
        place_new_table(self.document);
        Ok(())
    }

    /// Removes every table whose `key` is `value`. Returns their number.
    pub(in crate::cli) fn remove(mut self, key: &str, value: &str) -> usize {
        let mut removed = 0;
        if let Some(Item::Value(Value::Array(list))) =
            item_at(self.document.as_table_mut(), self.path)
        {
            let before = list.len();
            list.retain(|one| {
                !one.as_inline_table()
                    .is_some_and(|one| has(one, key, value))
            });
            return before - list.len();
        }

        while let Some((index, table)) = self.take(key, value) {
            remove_table(self.document, &table, index == 0);
            removed += 1;
        }
        removed
    }

    fn take(&mut self, key: &str, value: &str) -> Option<(usize, Table)> {
        let item = item_at(self.document.as_table_mut(), self.path)?;
        let blocks = item.as_array_of_tables_mut()?;
        let index = blocks.iter().position(|block| has(block, key, value))?;
        let table = blocks.get(index)?.clone();

        blocks.remove(index);
        Some((index, table))
    }
}

fn item_at<'a>(table: &'a mut Table, path: &[&str]) -> Option<&'a mut Item> {
    let (key, outer) = path.split_last()?;
    let mut table = table as &mut dyn TableLike;
    for name in outer {
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    table.get_mut(key)
}

fn has(table: &dyn TableLike, key: &str, value: &str) -> bool {
    table.get(key).and_then(Item::as_str) == Some(value)
}

fn block(entries: Vec<(&str, Value)>) -> Table {
    let mut block = Table::new();
    block.decor_mut().set_prefix("\n");
    for (key, value) in entries {
        block.insert(key, Item::Value(value));
    }
    block
}

fn push_inline(list: &mut Array, entries: Vec<(&str, Value)>) {
    let mut block = InlineTable::new();
    for (key, value) in entries {
        block.insert(key, value);
    }
    list.push(block);
}

/// A table without a header of its own: that of its first block implies it.
fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

fn in_one_line(name: &str) -> Failure {
    Failure::Usage(format!(
        "{name} is written in one line; write it as [{name}], so that a block can be added"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::edit::parse;

    #[test]
    fn an_empty_list_becomes_blocks_and_one_in_a_line_stays_there() {
        for (before, after) in [
            ("host = []\n", "\n[[host]]\nname = \"b\"\n"),
            (
                "host = [{ name = \"a\" }]\n",
                "host = [{ name = \"a\" }, { name = \"b\" }]\n",
            ),
        ] {
            let mut document = parse(before).unwrap();
            let blocks = Blocks::at(&mut document, &["host"]);
            blocks.push(vec![("name", "b".into())]).unwrap();
            assert_eq!(document.to_string(), after);
        }
    }
}
