//! The members directory: which of its files are member records.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::{Place, limits};

/// How a member record's file name ends.
pub(crate) const SUFFIX: &str = ".member.toml";

/// The organization that a member record's file is called after.
pub(crate) fn stem(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(SUFFIX)
}

/// The member records in `dir`, by name. Other files are left alone, but not those that were meant to be
/// records and would be missed.
pub(crate) fn list(dir: &Path, report: &Report) -> Vec<PathBuf> {
    let listed =
        fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = listed.unwrap_or_else(|error| {
        let message =
            format!("cannot read the members directory: {error}; create it, or correct members");
        report.fault(&Place::whole(dir), message);
        Vec::new()
    });
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
            && !is_hidden(path)
    });
    paths.sort();
    let (records, strays): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| stem(path).is_some());
    for stray in strays {
        let message = format!(
            "the file is not called <org>{SUFFIX} and would be missed; rename or remove it"
        );
        report.fault(&Place::whole(&stray), message);
    }
    if records.len() > limits::MEMBERS {
        let message = format!(
            "{} member records; at most {} are allowed",
            records.len(),
            limits::MEMBERS
        );
        report.fault(&Place::whole(dir), message);
        return Vec::new();
    }
    records
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
