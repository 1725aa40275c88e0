//! The members directory: which of its files are member records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::{Place, limits};

/// How a member record's file name ends.
pub(crate) const SUFFIX: &str = ".member.toml";

/// The files of a members directory, each list by name.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Those that are called as a record is.
    pub(crate) records: Vec<PathBuf>,
    /// Other TOML files.
    pub(crate) strays: Vec<PathBuf>,
}

/// The organization that a member record's file is called after.
pub(crate) fn stem(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(SUFFIX)
}

/// The member records in `dir`, by name.
///
/// Any other `.toml` file that is not hidden is a fault: it was probably meant to be a record, and
/// the member would be missing. Files of other kinds are ignored. `None`, and a fault, if the
/// directory cannot be read.
pub(crate) fn list(dir: &Path, report: &Report) -> Option<Listing> {
    let mut paths = match paths_in(dir) {
        Ok(paths) => paths,
        Err(error) => {
            let message = format!(
                "cannot read the members directory: {error}; create it, or correct members"
            );
            report.fault(&Place::whole(dir), message);
            return None;
        }
    };
    // Editors keep hidden copies beside a file. Sorted, since the order of entries in a
    // directory is not stable.
    paths.retain(|path| is_toml(path) && !is_hidden(path));
    paths.sort();

    let (records, strays): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| stem(path).is_some());
    for stray in &strays {
        let message = format!(
            "the file is not called <org>{SUFFIX} and would be missed; rename or remove it"
        );
        report.fault(&Place::whole(stray), message);
    }

    let count = records.len();
    let most = limits::MEMBERS;
    // None is read: it is probably another directory than the one that was meant.
    if count > most {
        let message = format!("{count} member records; at most {most} are allowed");
        report.fault(&Place::whole(dir), message);
        return None;
    }

    Some(Listing { records, strays })
}

fn paths_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        paths.push(entry?.path());
    }

    Ok(paths)
}

fn is_toml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
