//! [`Fresh`]: files that do not exist yet. Either all of them are written, or none stays.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ringway_config::{Fault, Faults, Place};

use crate::cli::Failure;

/// What is to be made, in order.
#[derive(Debug)]
pub(super) struct Fresh {
    dir: PathBuf,
    entries: Vec<(PathBuf, Entry)>,
}

#[derive(Debug)]
enum Entry {
    /// May be there already.
    Directory,
    File {
        text: String,
        mode: u32,
    },
}

/// What has been made. Dropped, it is taken away again.
#[derive(Debug)]
pub(super) struct Made(Vec<PathBuf>);

impl Fresh {
    /// Nothing yet, to be made in `dir`, which is made if it is not there.
    pub(super) fn in_directory(dir: &Path) -> Fresh {
        Fresh {
            dir: dir.to_owned(),
            entries: Vec::new(),
        }
    }

    /// Where the file or directory `name` is going to be.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        if self.dir == Path::new(".") {
            name.into()
        } else {
            self.dir.join(name)
        }
    }

    pub(super) fn directory(&mut self, name: &str) -> &mut Fresh {
        self.entry(name, Entry::Directory)
    }

    pub(super) fn file(&mut self, name: &str, text: &str) -> &mut Fresh {
        self.entry(
            name,
            Entry::File {
                text: text.to_owned(),
                mode: 0o644,
            },
        )
    }

    /// A file that only its owner may read.
    pub(super) fn secret(&mut self, name: &str, text: &str) -> &mut Fresh {
        self.entry(
            name,
            Entry::File {
                text: text.to_owned(),
                mode: 0o600,
            },
        )
    }

    fn entry(&mut self, name: &str, entry: Entry) -> &mut Fresh {
        self.entries.push((self.path(name), entry));
        self
    }

    /// Writes everything, unless one of the files is there already.
    pub(super) fn write(self) -> Result<Made, Failure> {
        let existing = self
            .entries
            .iter()
            .filter(|(path, entry)| entry.is_file() && path.symlink_metadata().is_ok());
        let faults: Vec<_> = existing.map(|(path, _)| exists(path)).collect();
        if !faults.is_empty() {
            return Err(Faults::from(faults).into());
        }
        let mut made = Made(Vec::new());
        make_directories(&self.dir, &mut made)?;
        for (path, entry) in &self.entries {
            entry
                .make(path, &mut made)
                .with_context(|| format!("cannot make {}", path.display()))?;
        }
        Ok(made)
    }
}

impl Entry {
    fn is_file(&self) -> bool {
        matches!(self, Entry::File { .. })
    }

    fn make(&self, path: &Path, made: &mut Made) -> io::Result<()> {
        let Entry::File { text, mode } = self else {
            return make_directory(path, made);
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(*mode)
            .open(path)?;
        made.0.push(path.to_owned());
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

impl Made {
    /// Leaves everything where it is.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }

    /// Takes everything away again.
    pub(super) fn remove(self) {}
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A directory that somebody else has put something into stays.
            _ = if path.is_dir() {
                fs::remove_dir(path)
            } else {
                fs::remove_file(path)
            };
        }
    }
}

/// Makes `path` and the directories above it, as far as they are not there.
fn make_directories(path: &Path, made: &mut Made) -> anyhow::Result<()> {
    let missing = path
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    for path in missing.collect::<Vec<_>>().into_iter().rev() {
        make_directory(path, made).with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(())
}

fn make_directory(path: &Path, made: &mut Made) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => made.0.push(path.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn exists(path: &Path) -> Fault {
    let message = "is there already; nothing is overwritten, choose another --dir".into();
    Fault {
        place: Place::whole(path),
        message,
    }
}
