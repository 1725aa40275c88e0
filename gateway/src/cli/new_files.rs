//! [`NewFiles`]: files that must not exist yet. Creates all of them or none.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{Edits, Fault, Faults, Place};

use crate::cli::Failure;

/// The files to create, in order.
#[derive(Debug)]
pub(super) struct NewFiles {
    dir: PathBuf,
    entries: Vec<(PathBuf, Entry)>,
}

#[derive(Debug)]
enum Entry {
    /// A directory, which may exist.
    Directory,
    File {
        text: String,
        access: Access,
    },
}

/// The created files. Dropping it removes them, unless they are kept.
#[derive(Debug)]
pub(super) struct Created(Vec<PathBuf>);

impl NewFiles {
    /// An empty list for the directory `dir`, which is created if necessary.
    pub(super) fn in_directory(dir: &Path) -> NewFiles {
        NewFiles {
            dir: dir.to_owned(),
            entries: Vec::new(),
        }
    }

    /// The path of `name` in the directory, whether it is in the list or not.
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

    /// Adds a file that everyone may read.
    pub(super) fn file(&mut self, name: &str, text: &str) -> &mut NewFiles {
        let text = text.to_owned();
        let access = Access::Everybody;
        self.entry(name, Entry::File { text, access })
    }

    /// Adds a file that only its owner may read.
    pub(super) fn secret(&mut self, name: &str, text: &str) -> &mut NewFiles {
        let text = text.to_owned();
        let access = Access::Owner;
        self.entry(name, Entry::File { text, access })
    }

    fn entry(&mut self, name: &str, entry: Entry) -> &mut NewFiles {
        self.entries.push((self.path(name), entry));
        self
    }

    /// The texts, for the loader to read in place of files.
    pub(super) fn edits(&self) -> Edits {
        let mut edits = Edits::default();
        for (path, entry) in &self.entries {
            if let Entry::File { text, .. } = entry {
                edits.create(path, text);
            }
        }
        edits
    }

    /// Creates everything, unless one of the files exists.
    pub(super) fn create(self) -> Result<Created, Failure> {
        // A dangling symbolic link counts as existing: nothing must be created where it points.
        let existing = self
            .entries
            .iter()
            .filter(|(path, entry)| entry.is_file() && path.symlink_metadata().is_ok());
        let faults: Vec<_> = existing.map(|(path, _)| exists(path)).collect();
        if !faults.is_empty() {
            return Err(Faults::from(faults).into());
        }

        // After an error, dropping it removes what was created so far.
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
    /// Keeps everything.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }

    /// Removes everything.
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
            // A directory with other contents stays.
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
