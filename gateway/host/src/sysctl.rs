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

/// A setting as the daemon needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// With slashes.
    pub key: String,
    /// The value.
    pub value: String,
    /// Forwarding that this daemon alone has switched on: off while the packet filter is missing.
    pub is_closable: bool,
}

impl Setting {
    /// As sysctl(8) writes it: `net.ipv4.ip_forward`.
    pub fn name(&self) -> String {
        dotted(&self.key)
    }
}

/// What [`write()`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Changed,
    /// The setting had the value already.
    Unchanged,
}

/// The value of `key`, without the final newline.
pub(super) fn read(key: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path(key))?.trim().to_owned())
}

/// Sets `key` to `value`.
pub(super) fn write(key: &str, value: &str) -> Result<Written, SysctlError> {
    // `/proc/sys` is read-only in many containers: a value that is right already must not be
    // written.
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

/// `key` as sysctl(8) writes it: `net.ipv4.conf.eth0/100.forwarding`.
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
