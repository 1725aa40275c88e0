//! Serials of zones: how two compare (RFC 1982), and how the serial that this gateway gives to a
//! zone grows with every change, across restarts and clock steps.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ringway_config::disk::{self, Access};
use ringway_config::{Digest, reading};

/// True if serial `a` is newer than `b`. False for two serials 2^31 apart, whose order RFC 1982,
/// section 3.2, leaves undefined.
pub(crate) fn is_newer(a: u32, b: u32) -> bool {
    matches!(a.wrapping_sub(b), 1..0x8000_0000)
}

/// The last serial of one zone, kept in a file of one line: the serial and the digest of the
/// content that it was given to.
#[derive(Debug)]
pub struct SerialStore {
    path: PathBuf,
    last: Option<(u32, Digest)>,
    /// `last` is on disk.
    is_stored: bool,
}

impl SerialStore {
    /// Reads `path`. Without the file, the next serial is the clock's; so it is with a damaged
    /// file, after a warning.
    pub fn open(path: &Path) -> io::Result<SerialStore> {
        let last = match reading::open(path).and_then(io::read_to_string) {
            Ok(text) => parse(&text).or_else(|| {
                let path = path.display();
                tracing::warn!(%path, "Serial file is damaged; serials start from the clock");
                None
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };

        Ok(SerialStore {
            path: path.into(),
            last,
            is_stored: true,
        })
    }

    /// Knows no serial: the next one is the clock's. For a `path` that cannot be read.
    pub fn unread(path: &Path) -> SerialStore {
        SerialStore {
            path: path.into(),
            last: None,
            is_stored: true,
        }
    }

    /// The serial for `content`: the last one if the content has not changed, else the newer of the
    /// clock's seconds and the last serial plus one. It is on disk before it is returned.
    pub fn serial_for(&mut self, content: Digest, now: SystemTime) -> io::Result<u32> {
        let serial = self.next_for(content, now);
        // On disk first: after a crash, a published serial must not be given to other content.
        if self.last != Some((serial, content)) || !self.is_stored {
            let line = format!("{serial} {content}\n");
            disk::replace(&self.path, line.as_bytes(), Access::Owner)?;
            self.last = Some((serial, content));
            self.is_stored = true;
        }

        Ok(serial)
    }

    /// The serial for `content`, kept in memory alone since it cannot be stored. After a crash, the
    /// clock's seconds are newer, unless the clock was set back.
    pub fn unstored_serial_for(&mut self, content: Digest, now: SystemTime) -> u32 {
        let serial = self.next_for(content, now);

        self.last = Some((serial, content));
        self.is_stored = false;
        serial
    }

    /// The serial that [`SerialStore::serial_for`] would return, without writing it.
    pub fn next_for(&self, content: Digest, now: SystemTime) -> u32 {
        // The low 32 bits of the clock are enough for serial number arithmetic.
        let clock = now
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since_epoch| since_epoch.as_secs() as u32);

        match self.last {
            Some((serial, digest)) if digest == content => serial,
            // After a clock that went back, or two changes within a second.
            Some((serial, _)) if !is_newer(clock, serial) => serial.wrapping_add(1),
            _ => clock,
        }
    }
}

/// `None` if the line is not what [`SerialStore::serial_for`] writes.
fn parse(text: &str) -> Option<(u32, Digest)> {
    let (serial, digest) = text.trim_end().split_once(' ')?;
    Some((serial.parse().ok()?, digest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::scratch::Scratch;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn newer_follows_rfc_1982_across_the_wrap() {
        assert!(is_newer(1, 0) && is_newer(0, u32::MAX) && is_newer(0x7fff_ffff, 0));
        assert!(!is_newer(0, 0) && !is_newer(0, 1));
        assert!(!is_newer(0x8000_0000, 0) && !is_newer(0, 0x8000_0000));
    }

    #[test]
    fn the_serial_grows_with_every_change_across_clock_steps_and_restarts() {
        let scratch = Scratch::new();
        let path = scratch.path().join("serial");
        let a = Digest::of(b"a");
        let b = Digest::of(b"b");

        let mut store = SerialStore::open(&path).unwrap();
        assert_eq!(store.serial_for(a, at(1000)).unwrap(), 1000);
        assert_eq!(store.serial_for(a, at(2000)).unwrap(), 1000, "no change");
        assert_eq!(store.serial_for(b, at(1000)).unwrap(), 1001, "same second");

        let mut store = SerialStore::open(&path).unwrap();
        assert_eq!(store.serial_for(b, at(10)).unwrap(), 1001, "no change");
        assert_eq!(
            store.serial_for(a, at(10)).unwrap(),
            1002,
            "clock went back"
        );
        assert_eq!(store.serial_for(b, at(5000)).unwrap(), 5000);
    }

    #[test]
    fn a_serial_that_could_not_be_stored_still_grows_and_is_stored_later() {
        let scratch = Scratch::new();
        let path = scratch.path().join("missing").join("serial");
        let [a, b] = [b"a", b"b"].map(|content| Digest::of(content));
        let mut store = SerialStore::open(&path).unwrap();

        assert!(store.serial_for(a, at(1000)).is_err());
        assert_eq!(store.unstored_serial_for(a, at(1000)), 1000);
        assert_eq!(store.unstored_serial_for(b, at(1000)), 1001);

        fs::create_dir(path.parent().unwrap()).unwrap();
        assert_eq!(store.serial_for(b, at(2000)).unwrap(), 1001);
        let mut again = SerialStore::open(&path).unwrap();
        assert_eq!(
            again.serial_for(b, at(3000)).unwrap(),
            1001,
            "it is on disk"
        );
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
