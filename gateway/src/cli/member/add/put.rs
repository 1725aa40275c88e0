//! Writes all of the records, or none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{Config, Ledger as _, Member, Newest};

use super::candidate::Candidate;

/// A replaced file, with its former content.
struct Written {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

/// Writes each record's file, and creates the directory if necessary. Records them as the newest.
pub(super) fn all(new: &[Candidate], replaced: &[Member], config: &Config) -> anyhow::Result<()> {
    let mut written = Vec::new();
    let done = write(new, replaced, config, &mut written).and_then(|()| {
        let remembered = Newest::update(&config.state_dir, |newest| {
            for candidate in new {
                newest.accept(&candidate.record);
            }
        });
        Ok(remembered.map(drop)?)
    });

    if done.is_err() {
        for written in written.iter().rev() {
            written.undo();
        }
    }
    done
}

fn write(
    new: &[Candidate],
    replaced: &[Member],
    config: &Config,
    written: &mut Vec<Written>,
) -> anyhow::Result<()> {
    for candidate in new {
        let path = candidate.target(replaced, config);
        let before = fs::read(&path).ok();
        // The file's bytes, not the parsed record: the fingerprint is that of the file.
        put(&path, &candidate.bytes)
            .with_context(|| format!("nothing was added: cannot write {}", path.display()))?;
        written.push(Written { path, before });
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    disk::replace(path, bytes, Access::Everybody)
}

impl Written {
    fn undo(&self) {
        // If this fails, the state is as after a crash: whole files, but not of all records.
        _ = match &self.before {
            Some(bytes) => disk::replace(&self.path, bytes, Access::Everybody),
            None => disk::remove(&self.path),
        };
    }
}
