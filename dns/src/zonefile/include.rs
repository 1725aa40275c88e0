//! [`Files`]: opens zone files and the files that they include (`$INCLUDE`, RFC 1035, section 5.1),
//! within limits.
//!
//! An included file must be in the directory of the including file or below; `..`, absolute paths
//! and symbolic links cannot lead out of it. So a zone file from elsewhere cannot publish a file of
//! this host.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use ringway_config::reading;

use super::Place;
use crate::replica::MAX_SIZE;

/// Depth of inclusion at most; this also ends a file that includes itself.
const MAX_DEPTH: usize = 8;
/// Files of one zone at most.
const MAX_FILES: usize = 256;

/// The files of one zone that were read so far.
#[derive(Debug, Default)]
pub(crate) struct Files {
    count: usize,
    octets: u64,
    /// Nested inclusions at the moment.
    depth: usize,
}

/// What is wrong with a file and what to do, and where: nowhere, if it cannot even be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) at: Option<Place>,
    pub(super) message: String,
}

impl From<String> for Unread {
    fn from(message: String) -> Unread {
        Unread { at: None, message }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(Place { line, column }) => write!(f, "{line}:{column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Files {
    /// Reads a regular file, within the limits on files and octets of one zone.
    pub(super) fn read(&mut self, path: &Path) -> Result<String, Unread> {
        self.count += 1;
        if self.count > MAX_FILES {
            return Err(format!("a zone may have at most {MAX_FILES} files").into());
        }

        // A pipe or a device could be read for ever.
        let is_file = fs::metadata(path)
            .map_err(|error| unreadable(&error))?
            .is_file();
        if !is_file {
            return Err("this is not a regular file; name one that is"
                .to_owned()
                .into());
        }

        // One octet more than is allowed shows that a file is too large, without reading all of it.
        let left = MAX_SIZE as u64 - self.octets;
        let mut bytes = Vec::new();
        let file = reading::open(path).map_err(|error| unreadable(&error))?;
        file.take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > left {
            return Err(
                format!("the files of a zone may have at most {MAX_SIZE} octets together").into(),
            );
        }

        self.octets += bytes.len() as u64;
        String::from_utf8(bytes).map_err(|error| {
            let message = "this is no UTF-8 text; save the file as such".into();
            Unread {
                at: Some(end_of(
                    &error.as_bytes()[..error.utf8_error().valid_up_to()],
                )),
                message,
            }
        })
    }

    /// Opens the file that `from` includes as `name`: its path, and its text. [`Files::close`]
    /// follows.
    pub(super) fn include(&mut self, from: &Path, name: &str) -> Result<(PathBuf, String), String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!(
                "files may include each other {MAX_DEPTH} deep; does one include itself?"
            ));
        }

        // Neither absolute nor with `..`, which could name any file of this host.
        let inward = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inward {
            return Err(outside(name));
        }

        let directory = from.parent().unwrap_or(Path::new(""));
        let path = directory.join(name);
        // The parent of a bare file name is the empty path, which does not exist.
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        // Without symbolic links: one of them could lead out of the directory.
        let target = real_path(&path, name)?;
        if !target.starts_with(real_path(directory, name)?) {
            return Err(outside(name));
        }

        let text = self
            .read(&target)
            .map_err(|error| format!("{name}: {error}"))?;
        self.depth += 1;
        Ok((path, text))
    }

    /// The file opened last has ended.
    pub(super) fn close(&mut self) {
        self.depth -= 1;
    }
}

/// Behind the last character of `text`, which is UTF-8.
fn end_of(text: &[u8]) -> Place {
    let last = text.rsplit(|octet| *octet == b'\n').next().unwrap_or(text);
    // RFC 3629, section 3: the octets of a character after its first are 10xxxxxx.
    let characters = last.iter().filter(|octet| **octet & 0xc0 != 0x80).count();

    let lines = text.iter().filter(|octet| **octet == b'\n').count();
    Place {
        line: lines as u32 + 1,
        column: characters as u32 + 1,
    }
}

fn outside(name: &str) -> String {
    format!("{name} is not in the directory of this file; move it there")
}

/// `path` without symbolic links; `name` is how the including file names it.
fn real_path(path: &Path, name: &str) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| format!("{name}: {}", unreadable(&error)))
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot read the file: {error}")
}
