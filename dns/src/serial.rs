//! Serials: how two compare (RFC 1982), and how the own zone's grows with every change, also across
//! restarts and steps of the clock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ringway_config::Digest;

use crate::disk;

/// True if `a` comes after `b` (RFC 1982, section 3.2); false for the undefined pairs, 2^31 apart.
pub(crate) fn is_newer(a: u32, b: u32) -> bool {
    matches!(a.wrapping_sub(b), 1..0x8000_0000)
}

/// The serial last given, remembered in a file of one line: the serial and the content's digest.
#[derive(Debug)]
pub struct SerialStore {
    path: PathBuf,
    last: Option<(u32, Digest)>,
}

impl SerialStore {
    /// Reads `path`; a file that is missing starts anew, one that is damaged too, with a warning.
    pub fn open(path: &Path) -> io::Result<SerialStore> {
        let last = match fs::read_to_string(path) {
            Ok(text) => {
                let last = parse(&text);
                if last.is_none() {
                    tracing::warn!(path = %path.display(), "Serial file is damaged; serials start from the clock");
                }
                last
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(SerialStore {
            path: path.into(),
            last,
        })
    }

    /// The serial for this content: the last one if nothing changed, else the clock's seconds or one
    /// more than the last, whichever is newer. It is on disk before it is returned.
    pub fn serial_for(&mut self, content: Digest, now: SystemTime) -> io::Result<u32> {
        let next = (self.next_for(content, now), content);
        if self.last != Some(next) {
            disk::replace(&self.path, format!("{} {content}\n", next.0).as_bytes())?;
            self.last = Some(next);
        }
        Ok(next.0)
    }

    /// The serial that [`SerialStore::serial_for`] would give; nothing is written.
    pub fn next_for(&self, content: Digest, now: SystemTime) -> u32 {
        // RFC 1982 arithmetic: only the low 32 bits of the clock matter.
        let clock = now
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| since.as_secs() as u32);
        match self.last {
            Some((serial, digest)) if digest == content => serial,
            Some((serial, _)) if !is_newer(clock, serial) => serial.wrapping_add(1),
            _ => clock,
        }
    }
}

fn parse(text: &str) -> Option<(u32, Digest)> {
    let (serial, digest) = text.trim_end().split_once(' ')?;
    Some((serial.parse().ok()?, digest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::disk::tests::Scratch;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn newer_follows_rfc_1982_across_the_wrap() {
        assert!(is_newer(1, 0) && is_newer(0, u32::MAX) && is_newer(0x7fff_ffff, 0));
        assert!(
            !is_newer(0, 0)
                && !is_newer(0, 1)
                && !is_newer(0x8000_0000, 0)
                && !is_newer(0, 0x8000_0000)
        );
    }

    #[test]
    fn the_serial_grows_with_every_change_whatever_the_clock_and_the_process_do() {
        let scratch = Scratch::new();
        let path = scratch.path().join("serial");
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let mut store = SerialStore::open(&path).unwrap();
        assert_eq!(store.serial_for(a, at(1000)).unwrap(), 1000);
        assert_eq!(
            store.serial_for(a, at(2000)).unwrap(),
            1000,
            "nothing changed"
        );
        assert_eq!(
            store.serial_for(b, at(1000)).unwrap(),
            1001,
            "the clock stands"
        );
        let mut store = SerialStore::open(&path).unwrap();
        assert_eq!(
            store.serial_for(b, at(10)).unwrap(),
            1001,
            "a restart changes nothing"
        );
        assert_eq!(
            store.serial_for(a, at(10)).unwrap(),
            1002,
            "the clock went back"
        );
        assert_eq!(store.serial_for(b, at(5000)).unwrap(), 5000);
    }

    #[test]
    fn a_damaged_file_starts_from_the_clock() {
        let scratch = Scratch::new();
        let path = scratch.path().join("serial");
        fs::write(&path, "12 sha256:zz").unwrap();
        let mut store = SerialStore::open(&path).unwrap();
        assert_eq!(store.serial_for(Digest::of(b"a"), at(77)).unwrap(), 77);
    }
}
