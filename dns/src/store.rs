//! [`ReplicaStore`]: the latest copy of every member's zone on disk, so that after a restart names
//! resolve before their owners are connected.
//!
//! One file per zone, `<apex>.zone`, replaced atomically:
//!
//! ```text
//!   SHA-256 of the rest: 32 octets │ received, seconds since 1970: u64, big-endian │ encoded zone
//! ```
//! The encoding is [`crate::replica`]'s. Loading makes the same checks as a transfer: a file that
//! fails its checksum or one of them is reported and not served.
//!
//! Every method but `existing` blocks on the disk.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_config::disk::{self, Access};
use ringway_config::{Digest, ZoneName};

use crate::replica::{MAX_SIZE, ReplicaError};
use crate::zone::Zone;

/// Octets before the encoded zone: checksum and time.
const HEADER: usize = 32 + 8;
const SUFFIX: &str = ".zone";

/// The directory with the copies of the members' zones.
#[derive(Debug, Clone)]
pub struct ReplicaStore {
    dir: PathBuf,
}

/// A copy read from disk.
#[derive(Debug)]
pub struct Stored {
    /// The copy, which has passed the checks of a transferred zone.
    pub zone: Zone,
    /// When it arrived from its owner.
    pub received: SystemTime,
}

/// Why a copy cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the stored copy {} cannot be used", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// The error of the file system, the file or the zone in it.
    #[source]
    pub reason: StoreFault,
}

/// The reason of a [`StoreError`].
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is cut off, too large or damaged.
    #[error("its checksum is wrong")]
    Checksum,
    /// The file is intact but fails the checks of a transferred zone.
    #[error(transparent)]
    Zone(#[from] ReplicaError),
}

impl ReplicaStore {
    /// The copies in `dir`, which is created if it does not exist.
    pub fn open(dir: &Path) -> io::Result<ReplicaStore> {
        fs::create_dir_all(dir)?;
        Ok(ReplicaStore { dir: dir.into() })
    }

    /// The copies in `dir`, for reading only. If `dir` does not exist, there are none.
    pub fn existing(dir: &Path) -> ReplicaStore {
        ReplicaStore { dir: dir.into() }
    }

    /// Replaces the copy of `apex`.
    pub fn save(&self, apex: &ZoneName, zone: &Zone, received: SystemTime) -> io::Result<()> {
        let since = received.duration_since(UNIX_EPOCH).unwrap_or_default();
        let rest = [&since.as_secs().to_be_bytes()[..], &zone.encode()].concat();
        let checksum = Digest::of(&rest);

        disk::replace(
            &self.path(apex),
            &[&checksum.0[..], &rest].concat(),
            Access::Everybody,
        )
    }

    /// Reads the copy of `apex`; `None` if there is none.
    pub fn load(&self, apex: &ZoneName) -> Result<Option<Stored>, StoreError> {
        let path = self.path(apex);
        match read(&path, apex) {
            Ok(stored) => Ok(Some(stored)),
            Err(StoreFault::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(StoreError { path, reason }),
        }
    }

    /// Deletes the copy of `apex`, if there is one.
    pub fn remove(&self, apex: &ZoneName) -> io::Result<()> {
        disk::remove(&self.path(apex))
    }

    /// Deletes the copies of all zones that are not in `kept`. Other files stay.
    pub fn retain(&self, kept: &[ZoneName]) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let file = entry?.file_name();
            // Among the others are files that a replacement left behind when the host crashed.
            if let Some(apex) = file.to_str().and_then(apex_of_file)
                && !kept.contains(&apex)
            {
                self.remove(&apex)?;
            }
        }
        Ok(())
    }

    /// A [`ZoneName`] has only letters, digits, hyphens and dots, so it is a safe file name.
    fn path(&self, apex: &ZoneName) -> PathBuf {
        self.dir.join(format!("{apex}{SUFFIX}"))
    }
}

fn apex_of_file(file: &str) -> Option<ZoneName> {
    file.strip_suffix(SUFFIX)?.parse().ok()
}

fn read(path: &Path, apex: &ZoneName) -> Result<Stored, StoreFault> {
    // Checked first, so that a huge file does not fill the memory.
    if fs::metadata(path)?.len() > (HEADER + MAX_SIZE) as u64 {
        return Err(StoreFault::Checksum);
    }

    let bytes = fs::read(path)?;
    let (checksum, rest) = bytes.split_first_chunk().ok_or(StoreFault::Checksum)?;
    let (seconds, zone) = rest.split_first_chunk().ok_or(StoreFault::Checksum)?;
    if Digest::of(rest) != Digest(*checksum) {
        return Err(StoreFault::Checksum);
    }

    let since = Duration::from_secs(u64::from_be_bytes(*seconds));
    let received = UNIX_EPOCH.checked_add(since).ok_or(StoreFault::Checksum)?;
    Ok(Stored {
        zone: Zone::decode(zone, apex)?,
        received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::zone::tests::zone;

    fn org1() -> ZoneName {
        "org1.example".parse().unwrap()
    }

    fn org2() -> ZoneName {
        "org2.example".parse().unwrap()
    }

    fn small_zone(apex: &ZoneName) -> Zone {
        let soa = "@ SOA ns.org1.example. h.org1.example. 3 1 1 1 5\n";
        zone(apex.as_str(), soa)
    }

    #[test]
    fn a_saved_copy_is_loaded_unchanged_until_it_is_removed() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(&scratch.path().join("replicas")).unwrap();
        let received = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let zone = small_zone(&org1());
        assert!(store.load(&org1()).unwrap().is_none());

        store.save(&org1(), &zone, received).unwrap();
        let stored = store.load(&org1()).unwrap().unwrap();
        assert_eq!(stored.zone.encode(), zone.encode());
        assert_eq!(stored.received, received);

        store.remove(&org1()).unwrap();
        assert!(store.load(&org1()).unwrap().is_none());
    }

    #[test]
    fn any_flipped_bit_and_any_truncation_fails_the_checksum() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(scratch.path()).unwrap();
        let zone = small_zone(&org1());
        store.save(&org1(), &zone, UNIX_EPOCH).unwrap();
        let path = store.path(&org1());
        let good = fs::read(&path).unwrap();
        let is_refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let error = store.load(&org1()).unwrap_err();
            matches!(error.reason, StoreFault::Checksum)
        };

        for i in 0..good.len() {
            let mut flipped = good.clone();
            flipped[i] ^= 1 << (i % 8);
            assert!(is_refused(&flipped), "a bit of octet {i} is flipped");
            assert!(is_refused(&good[..i]), "{i} octets are left");
        }
    }

    #[test]
    fn an_intact_file_under_another_zones_name_is_refused() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(scratch.path()).unwrap();
        let zone = small_zone(&org1());
        store.save(&org1(), &zone, UNIX_EPOCH).unwrap();
        fs::rename(store.path(&org1()), store.path(&org2())).unwrap();

        let error = store.load(&org2()).unwrap_err();
        assert!(matches!(error.reason, StoreFault::Zone(_)));
    }

    #[test]
    fn retain_deletes_the_copies_of_all_other_zones() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(scratch.path()).unwrap();
        for apex in [org1(), org2()] {
            let zone = small_zone(&apex);
            store.save(&apex, &zone, UNIX_EPOCH).unwrap();
        }

        store.retain(&[org2()]).unwrap();
        assert!(store.load(&org1()).unwrap().is_none());
        assert!(store.load(&org2()).unwrap().is_some());
    }
}
