//! Kernel settings under `/proc/sys`, in the network namespace of the calling thread.
//!
//! Keys are written with slashes (`net/ipv4/ip_forward`): interface names may contain dots.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A setting could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot set {key} to {value}; set it on the host beforehand, or run ringway where /proc/sys is writable"
)]
pub struct SysctlError {
    /// The setting, with slashes.
    pub key: String,
    /// The value that was wanted.
    pub value: String,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// The value of `key`, without the final newline.
pub(super) fn read(key: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path(key))?.trim().to_owned())
}

/// Sets `key`, unless it has that value already: `/proc/sys` is read-only in many containers. True if
/// something was changed.
pub(super) fn write(key: &str, value: &str) -> Result<bool, SysctlError> {
    if read(key).is_ok_and(|now| now == value) {
        return Ok(false);
    }
    let error = |source| SysctlError {
        key: key.into(),
        value: value.into(),
        source,
    };
    fs::write(path(key), value).map_err(error)?;
    Ok(true)
}

/// Names of the entries below `key`, sorted; empty if there is no such directory.
pub(super) fn entries(key: &str) -> Vec<String> {
    let Ok(directory) = fs::read_dir(path(key)) else {
        return Vec::new();
    };
    let mut names: Vec<_> = directory
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn path(key: &str) -> PathBuf {
    Path::new("/proc/sys").join(key)
}
