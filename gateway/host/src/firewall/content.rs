//! [`Content`]: compares the content of our table with what it was when it was put in force.

use std::io;

use crate::watch::table::TableDigest;

/// The expected content of a table.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Opened at the first use, so that a filter can be described without a kernel.
    digest: Option<TableDigest>,
    expected: Option<Expected>,
}

/// A table with its expected content.
#[derive(Debug, Clone, Copy)]
struct Expected {
    content: u64,
    /// The ruleset's generation at the last comparison.
    generation: u32,
}

/// Result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    Changed,
    Gone,
}

impl Content {
    /// The generation of the ruleset; `None` if it cannot be read.
    pub(super) fn generation(&mut self) -> Option<u32> {
        self.digest().ok()?.generation().ok()
    }

    /// Takes the current content of `table` as the expected one. False if there was more than one
    /// transaction since the generation `before`: then it may be another program's content.
    pub(super) fn expect(&mut self, table: &str, before: Option<u32>) -> bool {
        let read = self.digest().and_then(|digest| {
            let generation = digest.generation()?;
            let content = digest.read(table)?;
            Ok((generation, content, digest.generation()?))
        });
        let Ok((generation, Some(content), after)) = read else {
            // With nothing expected, the next comparison writes the table again.
            self.expected = None;
            return false;
        };

        self.expected = Some(Expected {
            content,
            generation,
        });
        // Exactly one transaction since `before`, which is ours, and none while the table was read.
        before.is_some_and(|before| before.wrapping_add(1) == generation) && after == generation
    }

    /// Forgets the expected content, so that the next comparison fails.
    pub(super) fn forget(&mut self) {
        self.expected = None;
    }

    /// Compares `table` with the expected content. While the ruleset is unchanged, this costs one
    /// request to the kernel.
    pub(super) fn compare(&mut self, table: &str) -> io::Result<Compared> {
        let expected = self.expected;
        let digest = self.digest()?;
        let generation = digest.generation()?;
        if expected.is_some_and(|expected| expected.generation == generation) {
            return Ok(Compared::Same);
        }

        let content = match digest.read(table) {
            // The ruleset is changing expected now: the next comparison comes soon.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(Compared::Same),
            other => other?,
        };
        match (content, expected) {
            (None, _) => Ok(Compared::Gone),
            (Some(content), Some(expected)) if expected.content == content => {
                self.expected = Some(Expected {
                    content,
                    generation,
                });
                Ok(Compared::Same)
            }
            (Some(_), _) => Ok(Compared::Changed),
        }
    }

    fn digest(&mut self) -> io::Result<&mut TableDigest> {
        let digest = match self.digest.take() {
            Some(digest) => digest,
            None => TableDigest::open()?,
        };

        Ok(self.digest.insert(digest))
    }
}
