//! [`NewFiles`]: files that must not exist yet. Either all of them are created, or none is left
//! behind.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{Edits, Fault, Faults, Place};

use crate::cli::Failure;

/// What to create, in order.
#[derive(Debug)]
pub(super) struct NewFiles {
    dir: PathBuf,
    entries: Vec<(PathBuf, Entry)>,
}

#[derive(Debug)]
enum Entry {
    /// May exist already.
    Directory,
    File {
        text: String,
        access: Access,
    },
}

/// What has been created. Removed again when this is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Created(Vec<PathBuf>);

impl NewFiles {
    /// Nothing yet, in `dir`, which is created if it does not exist.
    pub(super) fn in_directory(dir: &Path) -> NewFiles {
        NewFiles {
            dir: dir.to_owned(),
            entries: Vec::new(),
        }
    }

    /// The path of the file or directory `name`, whether it is among the new ones or not.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        if self.dir == Path::new(".") {
            name.into()
        } else {
            self.dir.join(name)
        }
    }

    pub(super) fn directory(&mut self, name: &str) -> &mut NewFiles {
        self.entry(name, Entry::Directory)
    }

    /// A file that everybody may read.
    pub(super) fn file(&mut self, name: &str, text: &str) -> &mut NewFiles {
        let text = text.to_owned();
        let access = Access::Everybody;
        self.entry(name, Entry::File { text, access })
    }

    /// A file that only its owner may read.
    pub(super) fn secret(&mut self, name: &str, text: &str) -> &mut NewFiles {
        let text = text.to_owned();
        let access = Access::Owner;
        self.entry(name, Entry::File { text, access })
    }

    fn entry(&mut self, name: &str, entry: Entry) -> &mut NewFiles {
        self.entries.push((self.path(name), entry));
        self
    }

    /// The texts, as the loader may read them before or while they are there.
    pub(super) fn edits(&self) -> Edits {
        let mut edits = Edits::default();
        for (path, entry) in &self.entries {
            if let Entry::File { text, .. } = entry {
                edits.create(path, text);
            }
        }
        edits
    }

    /// Creates everything, unless one of the files exists already.
    pub(super) fn create(self) -> Result<Created, Failure> {
        // A dangling symbolic link exists too: what is created must not end up where it points.
        let existing = self
            .entries
            .iter()
            .filter(|(path, entry)| entry.is_file() && path.symlink_metadata().is_ok());
        let faults: Vec<_> = existing.map(|(path, _)| exists(path)).collect();
        if !faults.is_empty() {
            return Err(Faults::from(faults).into());
        }

        // Dropped after an error, which removes what was created until then.
        let mut created = Created(Vec::new());
        created.directories(&self.dir)?;
        for (path, entry) in &self.entries {
            created
                .entry(path, entry)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        Ok(created)
    }
}

impl Entry {
    fn is_file(&self) -> bool {
        matches!(self, Entry::File { .. })
    }
}

impl Created {
    /// Leaves everything in place.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }

    /// Removes everything again.
    pub(super) fn remove(self) {}

    fn entry(&mut self, path: &Path, entry: &Entry) -> io::Result<()> {
        let Entry::File { text, access } = entry else {
            return self.directory(path);
        };

        disk::create(path, text.as_bytes(), *access)?;
        self.0.push(path.to_owned());
        Ok(())
    }

    /// Creates `path` and those directories above it that do not exist.
    fn directories(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .collect();
        missing.reverse();

        for path in missing {
            self.directory(path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Ok(()) => self.0.push(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A directory stays if something else is in it by now.
            _ = if path.is_dir() {
                fs::remove_dir(path)
            } else {
                fs::remove_file(path)
            };
        }
    }
}

fn exists(path: &Path) -> Fault {
    Fault {
        place: Place::whole(path),
        message: "is there already; nothing is overwritten, choose another --dir".into(),
    }
}
