//! Keeps comments in place when a table is removed or added. Comments above the first table of a
//! kind apply to all of them, and a blank line separates a comment from the table below: these
//! stay, above whatever follows. A new table comes after the comments that follow the previous
//! table, except those directly above the next one.

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
        Some(next) => at(document.as_table_mut(), next, &mut |table| {
            put_above(table, &kept);
        }),
        None => {
            let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
            document.set_trailing(kept + &trailing);
        }
    }
}

/// Gives a new table its position in the file.
pub(super) fn place_new_table(document: &mut DocumentMut) {
    let mut last = None;
    let Some(position) = place(document.as_table_mut(), &mut last) else {
        return;
    };

    let above = match next(document.as_table(), position) {
        Some(next) => take_loose(document.as_table_mut(), next),
        None => {
            let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
            if trailing.contains('#') {
                document.set_trailing("");
            }
            trailing
        }
    };
    if above.contains('#') {
        let newline = if above.ends_with('\n') { "" } else { "\n" };
        prepend_last(
            document.as_table_mut(),
            position,
            &format!("{above}{newline}"),
        );
    }
}

/// Gives the table without a position the one of the previous table, in the order of the file.
/// Returns the position.
fn place(table: &mut Table, last: &mut Option<isize>) -> Option<isize> {
    for (_, item) in table.iter_mut() {
        for table in tables_mut(item) {
            match table.position() {
                Some(position) => *last = Some(position),
                None if table.is_implicit() || table.is_dotted() => {}
                None => {
                    // The first table of a file without tables.
                    let position = last.unwrap_or_default();
                    table.set_position(Some(position));
                    return Some(position);
                }
            }
            if let Some(position) = place(table, last) {
                return Some(position);
            }
        }
    }
    None
}

/// Takes the comments above the table at `position` that a blank line separates from it.
fn take_loose(table: &mut Table, position: isize) -> String {
    let mut loose = String::new();
    at(table, position, &mut |table| {
        let above = table.decor().prefix().and_then(|prefix| prefix.as_str());
        let above = above.unwrap_or_default().to_owned();
        if let Some(end) = above.rfind("\n\n")
            && above[..end].contains('#')
            && loose.is_empty()
        {
            loose = above[..=end].to_owned();
            table.decor_mut().set_prefix(&above[end + 1..]);
        }
    });
    loose
}

/// Puts `text` above the last of the tables at `position`.
fn prepend_last(table: &mut Table, position: isize, text: &str) {
    let mut count = 0;
    at(table, position, &mut |_| count += 1);
    at(table, position, &mut |table| {
        count -= 1;
        if count == 0 {
            put_above(table, text);
        }
    });
}

/// Calls `change` for each table at `position` that has a header.
fn at(table: &mut Table, position: isize, change: &mut dyn FnMut(&mut Table)) {
    for (_, item) in table.iter_mut() {
        for table in tables_mut(item) {
            if table.position() == Some(position) && !table.is_implicit() {
                change(table);
            }
            at(table, position, change);
        }
    }
}

fn put_above(table: &mut Table, text: &str) {
    let above = table.decor().prefix().and_then(|prefix| prefix.as_str());
    let above = above.unwrap_or_default();

    // One blank line between the two, not one from each.
    let mut text = text;
    while above.starts_with('\n') && text.ends_with("\n\n") {
        text = &text[..text.len() - 1];
    }
    let above = format!("{text}{above}");
    table.decor_mut().set_prefix(above);
}

/// The part of the text above a table that stays.
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

fn tables_mut(item: &mut Item) -> Vec<&mut Table> {
    match item {
        Item::Table(table) => vec![table],
        Item::ArrayOfTables(blocks) => blocks.iter_mut().collect(),
        _ => Vec::new(),
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

    fn with(text: &str, path: &[&str]) -> String {
        let mut document = parse(text).unwrap();
        let entries = vec![("name", "new".into())];
        Blocks::at(&mut document, path).push(entries).unwrap();
        document.to_string()
    }

    #[test]
    fn a_new_table_comes_behind_the_comments_of_the_one_before_it() {
        let text = "[dns]\nttl = 5\n# zones = []\n\n# One block a host:\n# [[dns.host]]\n\n\
                    # What others may do.\n[policy]\nx = 1\n# y = 2\n";
        let host = "[dns]\nttl = 5\n# zones = []\n\n# One block a host:\n# [[dns.host]]\n\n\
                    [[dns.host]]\nname = \"new\"\n\n# What others may do.\n[policy]\nx = 1\n\
                    # y = 2\n";
        assert_eq!(with(text, &["dns", "host"]), host);
        let rule = format!("{text}\n[[policy.allow]]\nname = \"new\"\n");
        assert_eq!(with(text, &["policy", "allow"]), rule);

        // A second one comes after the first.
        let second = host.replace("\"new\"\n", "\"new\"\n\n[[dns.host]]\nname = \"new\"\n");
        assert_eq!(with(host, &["dns", "host"]), second);
    }

    #[test]
    fn a_comment_of_the_last_table_stays_with_it() {
        let text = "[[a]]\nname = \"1\"\n# check = 1\n\n[b]\nx = 1\n";
        assert_eq!(
            with(text, &["a"]),
            "[[a]]\nname = \"1\"\n# check = 1\n\n[[a]]\nname = \"new\"\n\n[b]\nx = 1\n"
        );
        let text = "[b]\nx = 1\n[[a]]\nname = \"1\"\n# check = 1";
        assert_eq!(
            with(text, &["a"]),
            "[b]\nx = 1\n[[a]]\nname = \"1\"\n# check = 1\n\n[[a]]\nname = \"new\"\n"
        );
    }

    #[test]
    fn tables_out_of_order_keep_their_comments() {
        let text = "[a]\nw = 1\n\n[b]\ny = 1\n\n# Of a.x\n[a.x]\nz = 1\n";
        assert_eq!(
            with(text, &["b", "host"]),
            "[a]\nw = 1\n\n[b]\ny = 1\n\n[[b.host]]\nname = \"new\"\n\n# Of a.x\n[a.x]\n\
             z = 1\n"
        );
    }
}
