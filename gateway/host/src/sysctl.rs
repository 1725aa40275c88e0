//! Kernel settings under `/proc/sys`, in the network namespace of the calling thread.
//!
//! Keys are written with slashes (`net/ipv4/ip_forward`): interface names may contain dots.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A setting could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot set {key} to {value}; set it on the host beforehand, \
     or run ringway where /proc/sys is writable"
)]
pub struct SysctlError {
    /// The setting, with slashes.
    pub key: String,
    /// The value that was to be written.
    pub value: String,
    /// The kernel's error.
    #[source]
    pub source: io::Error,
}

/// A setting that the daemon needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// With slashes.
    pub key: String,
    /// The value.
    pub value: String,
    /// True if this daemon alone has switched it on: it is switched off while the guard is missing.
    pub is_closable: bool,
}

impl Setting {
    /// In the notation of sysctl(8): `net.ipv4.ip_forward`.
    pub fn name(&self) -> String {
        dotted(&self.key)
    }
}

/// Result of [`write()`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Changed,
    /// The setting already had the value.
    Unchanged,
}

/// The value of `key`, without the final newline.
pub(super) fn read(key: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path(key))?.trim().to_owned())
}

/// Sets `key` to `value`.
pub(super) fn write(key: &str, value: &str) -> Result<Written, SysctlError> {
    // In many containers `/proc/sys` is read-only: do not write a value that is already right.
    if read(key).is_ok_and(|now| now == value) {
        return Ok(Written::Unchanged);
    }

    match fs::write(path(key), value) {
        Ok(()) => Ok(Written::Changed),
        Err(source) => Err(SysctlError {
            key: key.into(),
            value: value.into(),
            source,
        }),
    }
}

/// `key` in the notation of sysctl(8): `net.ipv4.conf.eth0/100.forwarding`.
pub(crate) fn dotted(key: &str) -> String {
    key.chars()
        .map(|char| match char {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_right_already_is_not_written() {
        // Nobody can write this one.
        assert_eq!(write("kernel/ostype", "Linux").unwrap(), Written::Unchanged);
        let error = write("kernel/ostype", "other").unwrap_err();
        assert!(error.to_string().contains("run ringway where /proc/sys"));
    }
}
