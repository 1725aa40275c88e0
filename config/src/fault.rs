//! [`Fault`]: what is wrong in a file, where, and how to correct it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::escape::Escaped;

/// A place in a file, or the file as a whole. Places in one file come after the whole file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the user named it.
    pub file: Arc<PathBuf>,
    /// Line and column; `None` for the whole file, as when it cannot be read.
    pub position: Option<Position>,
    /// The line, if a command was about to write it: the file has none that could be looked up.
    pub unwritten: Option<Unwritten>,
}

/// A line of a text that was refused before it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unwritten {
    /// Where it would have been, which only orders the faults.
    pub(crate) position: Position,
    /// The line, without the blanks around it.
    pub line: Arc<str>,
}

/// A character in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One thing wrong in a file: `file:line:col: what is wrong; the correct form`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The line and column, or the file as a whole.
    pub place: Place,
    /// What is wrong, and after a semicolon the correct form.
    pub message: String,
}

/// Everything wrong in a set of files, ordered by place and printed one per line.
///
/// A check reports every fault at once, so that an operator need not run it again for each.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// True if nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(mut faults: Vec<Fault>) -> Faults {
        // A value that is read twice reports its fault twice.
        faults.sort();
        faults.dedup();

        Faults(faults)
    }
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: &Path) -> Place {
        Place {
            file: Arc::new(file.to_owned()),
            position: None,
            unwritten: None,
        }
    }

    /// A line and a column of a file, both from 1.
    pub fn at(file: Arc<PathBuf>, line: u32, column: u32) -> Place {
        Place {
            file,
            position: Some(Position { line, column }),
            unwritten: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.to_string_lossy();
        let file = Escaped(&file);
        match (&self.unwritten, self.position) {
            (Some(unwritten), _) => write!(f, "{file} (new line: {})", Escaped(&unwritten.line)),
            (None, Some(position)) => write!(f, "{file}:{position}"),
            (None, None) => write!(f, "{file}"),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, Escaped(&self.message))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stays_on_its_line_and_off_the_terminal() {
        let fault = Fault {
            place: Place::whole(Path::new("beta\n.member.toml")),
            message: "unknown field `\u{1b}[2J\r\u{202e}`".into(),
        };
        assert_eq!(
            Faults(vec![fault]).to_string(),
            r"beta\n.member.toml: unknown field `\u{1b}[2J\r\u{202e}`"
        );
    }
}
