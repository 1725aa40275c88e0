//! [`Edits`]: texts that a command is about to write. They are read in the place of the files, and
//! nothing is written if they have faults: a fault in a line that is in no file quotes the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Cells of the table with which the lines of two texts are compared.
const MOST_CELLS: usize = 4_000_000;

/// Texts that are to replace files, by the files' paths as the loader names them.
#[derive(Debug, Clone, Default)]
pub struct Edits(BTreeMap<PathBuf, Edit>);

#[derive(Debug, Clone)]
struct Edit {
    text: String,
    /// What the file says now; empty if there is none.
    before: String,
}

impl Edits {
    /// `path`, which says `before`, is to say `text`.
    pub fn replace(&mut self, path: &Path, before: &str, text: &str) {
        let edit = Edit {
            text: text.to_owned(),
            before: before.to_owned(),
        };
        self.0.insert(path.to_owned(), edit);
    }

    /// A file that is not there yet.
    pub fn create(&mut self, path: &Path, text: &str) {
        self.replace(path, "", text);
    }

    /// The files and their texts.
    pub fn texts(&self) -> impl Iterator<Item = (&PathBuf, &String)> {
        self.0.iter().map(|(path, edit)| (path, &edit.text))
    }

    /// The text of the file `path`, if it is to be written.
    pub(crate) fn text(&self, path: &Path) -> Option<&String> {
        self.0.get(path).map(|edit| &edit.text)
    }

    /// For each line of the new text of `path`, the line of the file that it is, from 1.
    pub(crate) fn lines(&self, path: &Path) -> Option<Vec<Option<u32>>> {
        let edit = self.0.get(path)?;
        let before: Vec<&str> = edit.before.split('\n').collect();
        let after: Vec<&str> = edit.text.split('\n').collect();

        Some(kept(&before, &after))
    }
}

/// For each line of `after`, the line of `before` that it is, from 1.
fn kept(before: &[&str], after: &[&str]) -> Vec<Option<u32>> {
    let start = equal(before.iter(), after.iter());
    let old = &before[start..];
    let new = &after[start..];
    let end = equal(old.iter().rev(), new.iter().rev());
    let middle = common(&old[..old.len() - end], &new[..new.len() - end]);

    let mut places: Vec<Option<usize>> = (0..start).map(Some).collect();
    places.extend(middle.iter().map(|place| place.map(|place| start + place)));
    places.extend((before.len() - end..before.len()).map(Some));
    // A file has at most `limits::FILE_BYTES`, far less than u32::MAX.
    let lines = places.into_iter();
    lines
        .map(|place| place.map(|place| place as u32 + 1))
        .collect()
}

/// How many lines both begin with.
fn equal<'a>(
    one: impl Iterator<Item = &'a &'a str>,
    other: impl Iterator<Item = &'a &'a str>,
) -> usize {
    one.zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

/// For each line of `new`, the place in `old` of the line that it is in a longest common
/// subsequence. Texts that have little in common have no such lines.
fn common(old: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    let mut found = vec![None; new.len()];
    let width = new.len() + 1;
    if width.saturating_mul(old.len() + 1) > MOST_CELLS {
        return found;
    }

    // The length of the longest one of the rests that begin here.
    let mut longest = vec![0u32; width * (old.len() + 1)];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }

    let mut i = 0;
    let mut j = 0;
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            found[j] = Some(i);
            i += 1;
            j += 1;
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_stay_keep_the_numbers_of_the_file() {
        let lines = |before: &str, after: &str| {
            let mut edits = Edits::default();
            edits.replace(Path::new("a"), before, after);
            edits.lines(Path::new("a")).unwrap()
        };
        assert_eq!(
            lines("a\nb\nc\nd", "a\nx\nb\nc\ny\nd"),
            [Some(1), None, Some(2), Some(3), None, Some(4)]
        );
        assert_eq!(lines("a\nb\nc", "a\nc"), [Some(1), Some(3)]);
        assert_eq!(lines("a\na", "a\na\na").iter().flatten().count(), 2);
        assert_eq!(lines("", "a\n"), [None, Some(1)]);
    }
}
