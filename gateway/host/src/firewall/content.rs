//! [`Content`]: what our table held when it was put in force, and whether it still does.

use std::io;

use crate::watch::table::TableDigest;

/// Remembers the content of a table.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Opened at the first use, so that a filter can be described without a kernel.
    digest: Option<TableDigest>,
    right: Option<Right>,
}

/// A table as it must be.
#[derive(Debug, Clone, Copy)]
struct Right {
    content: u64,
    /// The generation of the ruleset at which it was seen so.
    generation: u32,
}

/// What a comparison found.
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

    /// Takes the content of `table` as the right one. False if more than one transaction was
    /// carried out since the generation `before`: it may be another program's content then.
    pub(super) fn adopt(&mut self, table: &str, before: Option<u32>) -> bool {
        let read = self.digest().and_then(|digest| {
            let generation = digest.generation()?;
            let content = digest.read(table)?;
            Ok((generation, content, digest.generation()?))
        });
        let Ok((generation, Some(content), after)) = read else {
            // With nothing to compare with, the next look writes the table again.
            self.right = None;
            return false;
        };

        self.right = Some(Right {
            content,
            generation,
        });
        // One transaction since `before`, which is ours, and none while the table was read.
        before.is_some_and(|before| before.wrapping_add(1) == generation) && after == generation
    }

    /// Whatever is there now is not the right content.
    pub(super) fn forget(&mut self) {
        self.right = None;
    }

    /// Compares `table` with what was adopted. While nobody changes the ruleset, this costs one
    /// question to the kernel.
    pub(super) fn compare(&mut self, table: &str) -> io::Result<Compared> {
        let right = self.right;
        let digest = self.digest()?;
        let generation = digest.generation()?;
        if right.is_some_and(|right| right.generation == generation) {
            return Ok(Compared::Same);
        }

        let content = match digest.read(table) {
            // It changes at this moment: the next look is soon.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(Compared::Same),
            other => other?,
        };
        match (content, right) {
            (None, _) => Ok(Compared::Gone),
            (Some(content), Some(right)) if right.content == content => {
                self.right = Some(Right {
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
