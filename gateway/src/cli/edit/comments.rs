//! Comments above a table that is removed. Those above the first of its kind speak of all of them,
//! and so do those that a blank line parts from the table: they stay, above what follows.

use toml_edit::{DocumentMut, Item, Table};

/// Keeps the comments of `removed`, which was taken out of `document`.
pub(super) fn remove_table(document: &mut DocumentMut, removed: &Table, is_first: bool) {
    let above = removed.decor().prefix().and_then(|prefix| prefix.as_str());
    let kept = kept(above.unwrap_or_default(), is_first);
    if !kept.contains('#') {
        return;
    }

    let position = removed.position().unwrap_or_default();
    match next(document.as_table(), position) {
        Some(next) => prepend(document.as_table_mut(), next, &kept),
        None => {
            let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
            document.set_trailing(kept + &trailing);
        }
    }
}

/// What stays of the text above a table.
fn kept(above: &str, is_first: bool) -> String {
    if is_first {
        return above.to_owned();
    }
    match above.rfind("\n\n") {
        Some(end) => above[..end + 1].to_owned(),
        None => String::new(),
    }
}

/// The position of the first table after `position`.
fn next(table: &Table, position: isize) -> Option<isize> {
    let mut found: Option<isize> = None;
    for (_, item) in table.iter() {
        for table in tables(item) {
            let own = table.position().filter(|own| *own > position);
            let least = own.into_iter().chain(next(table, position)).min();
            found = found.into_iter().chain(least).min();
        }
    }
    found
}

fn tables(item: &Item) -> Vec<&Table> {
    match item {
        Item::Table(table) => vec![table],
        Item::ArrayOfTables(blocks) => blocks.iter().collect(),
        _ => Vec::new(),
    }
}

/// Puts `text` above the table at `position`.
fn prepend(table: &mut Table, position: isize, text: &str) {
    for (_, item) in table.iter_mut() {
        let tables: Vec<&mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(blocks) => blocks.iter_mut().collect(),
            _ => Vec::new(),
        };
        for table in tables {
            // An implicit table has no header above which a comment could stand.
            if table.position() == Some(position) && !table.is_implicit() {
                let above = table.decor().prefix().and_then(|prefix| prefix.as_str());
                let above = format!("{text}{}", above.unwrap_or_default());
                return table.decor_mut().set_prefix(above);
            }
            prepend(table, position, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Blocks, parse};

    fn without(text: &str, name: &str) -> String {
        let mut document = parse(text).unwrap();
        assert_eq!(Blocks::at(&mut document, &["a"]).remove("name", name), 1);
        document.to_string()
    }

    #[test]
    fn comments_about_the_kind_stay_and_those_about_one_go() {
        let text = "# All of them\n[[a]]\nname = \"1\"\n\n# More\n\n# The second\n[[a]]\n\
                    name = \"2\"\n\n# End\n[end]\n";
        assert_eq!(
            without(text, "1"),
            "# All of them\n\n# More\n\n# The second\n[[a]]\nname = \"2\"\n\n# End\n[end]\n"
        );
        assert_eq!(
            without(text, "2"),
            "# All of them\n[[a]]\nname = \"1\"\n\n# More\n\n# End\n[end]\n"
        );
    }

    #[test]
    fn the_last_table_leaves_its_comment_at_the_end() {
        let text = "b = 1\n\n# All of them\n[[a]]\nname = \"1\"\n";
        assert_eq!(without(text, "1"), "b = 1\n\n# All of them\n");
    }

    #[test]
    fn tables_in_one_line_are_found_too() {
        let text = "a = [{ name = \"1\" }, { name = \"2\" }] # why\n";
        assert_eq!(without(text, "2"), "a = [{ name = \"1\" }] # why\n");
    }
}
