//! Edits TOML files and leaves everything else unchanged: comments, order and notation. A list of
//! tables may be written as blocks (`[[gateway]]`) or inline (`gateway = [{…}]`).

mod blocks;
mod comments;
mod line_ends;

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use ringway_config::Escaped;
use ringway_config::disk::{self, Access};
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::Failure;

pub(super) use blocks::Blocks;
pub(super) use line_ends::LineEnds;

/// Parses `text`, which was already checked.
pub(super) fn parse(text: &str) -> Result<DocumentMut, Failure> {
    text.parse()
        .map_err(|error| Failure::Usage(format!("{}", Escaped(&format!("{error}")))))
}

/// Sets `key` to `value`. A comment after the former value stays.
pub(super) fn set(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value = value.into();
    if let Some(before) = table.get(key).and_then(Item::as_value) {
        *value.decor_mut() = before.decor().clone();
    }

    // Replaced in place: inserting would move the key to the end.
    match table.get_mut(key) {
        Some(item) => *item = Item::Value(value),
        None => _ = table.insert(key, Item::Value(value)),
    }
}

/// Makes the list at `key` equal to `wanted`. Elements that stay keep their place.
pub(super) fn set_list<T>(table: &mut dyn TableLike, key: &str, wanted: &[T])
where
    T: FromStr + Display + PartialEq,
{
    let Some(array) = array_at(table, key) else {
        let list: Array = wanted.iter().map(ToString::to_string).collect();
        return set(table, key, list);
    };

    for place in (0..array.len()).rev() {
        let known = array.get(place).and_then(read::<T>);
        if known.is_none_or(|known| !wanted.contains(&known)) {
            remove(array, place);
        }
    }
    let known: Vec<T> = array.iter().filter_map(read).collect();
    for item in wanted.iter().filter(|item| !known.contains(item)) {
        push(array, &item.to_string());
    }
    // A new first element gets the spacing of a later one.
    if let Some(first) = array.get_mut(0)
        && first.decor().prefix().and_then(|prefix| prefix.as_str()) == Some(" ")
    {
        first.decor_mut().set_prefix("");
    }
}

/// Removes an element and the comment after it. The syntax tree attaches a comment to the next
/// element, although it belongs to the one before.
fn remove(array: &mut Array, place: usize) {
    let before = array.get(place).and_then(prefix).unwrap_or_default();
    array.remove(place);
    let Some((comment, _)) = before.split_once('\n') else {
        return;
    };

    match array.get_mut(place) {
        Some(next) => {
            let after = prefix(next).unwrap_or_default();
            let rest = after.split_once('\n').map_or("", |(_, rest)| rest);
            next.decor_mut().set_prefix(format!("{comment}\n{rest}"));
        }
        None => {
            let after = array.trailing().as_str().unwrap_or_default();
            let rest = after
                .split_once('\n')
                .map_or("", |(_, rest)| rest)
                .to_owned();
            array.set_trailing(format!("{comment}\n{rest}"));
        }
    }
}

/// Appends an element, after the comment of the former last one.
fn push(array: &mut Array, text: &str) {
    let after = array.trailing().as_str().unwrap_or_default().to_owned();
    let first = array.get(0).and_then(prefix).unwrap_or_default();
    array.push(text);

    let Some((comment, rest)) = after
        .split_once('\n')
        .filter(|(line, _)| line.contains('#'))
    else {
        return;
    };
    let indent = first.rsplit('\n').next().unwrap_or_default();
    if let Some(last) = array.iter_mut().last() {
        last.decor_mut().set_prefix(format!("{comment}\n{indent}"));
    }
    array.set_trailing(format!("\n{rest}"));
}

fn prefix(value: &Value) -> Option<String> {
    Some(value.decor().prefix()?.as_str()?.to_owned())
}

/// The list at `key`; a single text becomes a list of one. `None` if there is none.
fn array_at<'a>(table: &'a mut dyn TableLike, key: &str) -> Option<&'a mut Array> {
    let item = table.get_mut(key)?;
    if let Some(text) = item.as_str().map(str::to_owned) {
        let decor = item.as_value()?.decor().clone();
        let mut list: Value = Array::from_iter([text]).into();
        *list.decor_mut() = decor;
        *item = Item::Value(list);
    }
    item.as_array_mut()
}

fn read<T: FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

/// Replaces the file at `path`, which may be a link, and keeps its mode.
pub(super) fn replace_file(path: &Path, text: &str) -> Result<(), Failure> {
    let file = fs::canonicalize(path).with_context(|| cannot("find", path))?;
    let mode = fs::metadata(&file)
        .with_context(|| cannot("read", path))?
        .permissions()
        .mode();
    let access = if mode & 0o077 == 0 {
        Access::Owner
    } else {
        Access::Everybody
    };

    disk::replace(&file, text.as_bytes(), access).with_context(|| cannot("write", path))?;
    Ok(())
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_comments_and_order() {
        let mut document =
            parse("a = [ # first\n  \"1\", # one\n  \"2\",\n] # end\nb = 1\n").unwrap();
        set_list(document.as_table_mut(), "a", &[3, 1]);
        assert_eq!(
            document.to_string(),
            "a = [ # first\n  \"1\", # one\n  \"3\",\n] # end\nb = 1\n"
        );
    }

    #[test]
    fn an_element_goes_with_its_own_comment() {
        let text = "a = [\n  \"1\", # one\n  \"2\", # two\n  \"3\", # three\n]\n";
        let left = |wanted: &[u8]| {
            let mut document = parse(text).unwrap();
            set_list(document.as_table_mut(), "a", wanted);
            document.to_string()
        };
        assert_eq!(
            left(&[1, 3]),
            "a = [\n  \"1\", # one\n  \"3\", # three\n]\n"
        );
        assert_eq!(left(&[1]), "a = [\n  \"1\", # one\n]\n");
    }

    #[test]
    fn a_value_keeps_its_place_and_its_comment() {
        let mut document = parse("a = 1   # why\nb = 2\n").unwrap();
        set(document.as_table_mut(), "a", 7);
        assert_eq!(document.to_string(), "a = 7   # why\nb = 2\n");
    }

    #[test]
    fn a_text_becomes_a_list() {
        let mut document = parse("a = \"1\" # why\n").unwrap();
        set_list(document.as_table_mut(), "a", &[1, 2]);
        assert_eq!(document.to_string(), "a = [\"1\", \"2\"] # why\n");
        set_list(document.as_table_mut(), "b", &[5]);
        assert!(document.to_string().ends_with("b = [\"5\"]\n"));
    }
}
