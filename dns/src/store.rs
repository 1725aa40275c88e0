//! [`ReplicaStore`]: the last good copy of every replica on disk, so that names resolve at boot without
//! waiting for their owners.
//!
//! One file per zone, `<apex>.zone`: SHA-256 of the rest, when the copy was received (seconds since
//! 1970, u64), the encoded zone ([`crate::replica`]). Files are replaced whole. Loading trusts no more
//! than a transfer does: a file that fails its checksum or its checks is reported and not served.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_config::{Digest, ZoneName};

use crate::disk;
use crate::replica::{MAX_SIZE, ReplicaError};
use crate::zone::Zone;

const HEADER: usize = 32 + 8;
const SUFFIX: &str = ".zone";

/// Copies of the other organizations' zones.
#[derive(Debug, Clone)]
pub struct ReplicaStore {
    dir: PathBuf,
}

/// A copy as it was found.
#[derive(Debug)]
pub struct Stored {
    /// The zone.
    pub zone: Zone,
    /// When its owner sent it.
    pub received: SystemTime,
}

/// Why a copy cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the stored copy {} cannot be used", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: StoreFault,
}

/// See [`StoreError`].
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Too short, or not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// Intact, but no zone that we take.
    #[error(transparent)]
    Zone(#[from] ReplicaError),
}

impl ReplicaStore {
    /// Copies in `dir`, which is made if it is missing.
    pub fn open(dir: &Path) -> io::Result<ReplicaStore> {
        fs::create_dir_all(dir)?;
        Ok(ReplicaStore { dir: dir.into() })
    }

    /// Copies in `dir`, to be read; a directory that is missing has none.
    pub fn existing(dir: &Path) -> ReplicaStore {
        ReplicaStore { dir: dir.into() }
    }

    /// Keeps this copy in place of an older one.
    pub fn save(&self, apex: &ZoneName, zone: &Zone, received: SystemTime) -> io::Result<()> {
        let seconds = received
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let rest = [&seconds.to_be_bytes()[..], &zone.encode()].concat();
        disk::replace(
            &self.path(apex),
            &[&Digest::of(&rest).0[..], &rest].concat(),
        )
    }

    /// The copy of `apex`, if there is one.
    pub fn load(&self, apex: &ZoneName) -> Result<Option<Stored>, StoreError> {
        let path = self.path(apex);
        match read(&path, apex) {
            Ok(stored) => Ok(Some(stored)),
            Err(StoreFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(StoreError { path, reason }),
        }
    }

    /// Forgets the copy of `apex`: its organization is no member any more.
    pub fn remove(&self, apex: &ZoneName) -> io::Result<()> {
        disk::remove(&self.path(apex))
    }

    /// Forgets every copy of a zone that is not in `kept`.
    pub fn retain(&self, kept: &[ZoneName]) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let file = entry?.file_name();
            let apex = file
                .to_str()
                .and_then(|file| file.strip_suffix(SUFFIX)?.parse::<ZoneName>().ok());
            if let Some(apex) = apex.filter(|apex| !kept.contains(apex)) {
                self.remove(&apex)?;
            }
        }
        Ok(())
    }

    /// A zone's name has only letters, digits, hyphens and dots: it is a file name as it stands.
    fn path(&self, apex: &ZoneName) -> PathBuf {
        self.dir.join(format!("{apex}{SUFFIX}"))
    }
}

fn read(path: &Path, apex: &ZoneName) -> Result<Stored, StoreFault> {
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
    use crate::disk::tests::Scratch;
    use crate::zone::tests::zone;

    const SOA: &str = "@ SOA ns.org1.example. h.org1.example. 3 1 1 1 5\n";

    fn apex() -> ZoneName {
        "org1.example".parse().unwrap()
    }

    #[test]
    fn a_copy_comes_back_as_it_was_saved() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(&scratch.path().join("replicas")).unwrap();
        let received = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let zone = zone("org1.example", SOA);
        assert!(store.load(&apex()).unwrap().is_none());
        store.save(&apex(), &zone, received).unwrap();
        let stored = store.load(&apex()).unwrap().unwrap();
        assert_eq!(
            (stored.zone.encode(), stored.received),
            (zone.encode(), received)
        );
        store.remove(&apex()).unwrap();
        assert!(store.load(&apex()).unwrap().is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(scratch.path()).unwrap();
        store
            .save(&apex(), &zone("org1.example", SOA), UNIX_EPOCH)
            .unwrap();
        let path = store.path(&apex());
        let good = fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1 << (i % 8);
            fs::write(&path, &bad).unwrap();
            assert!(matches!(
                store.load(&apex()),
                Err(StoreError {
                    reason: StoreFault::Checksum,
                    ..
                })
            ));
            fs::write(&path, &good[..i]).unwrap();
            assert!(matches!(
                store.load(&apex()),
                Err(StoreError {
                    reason: StoreFault::Checksum,
                    ..
                })
            ));
        }
    }

    #[test]
    fn an_intact_file_of_another_zone_is_not_served() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(scratch.path()).unwrap();
        store
            .save(&apex(), &zone("org1.example", SOA), UNIX_EPOCH)
            .unwrap();
        let other: ZoneName = "org2.example".parse().unwrap();
        fs::rename(store.path(&apex()), store.path(&other)).unwrap();
        assert!(matches!(
            store.load(&other),
            Err(StoreError {
                reason: StoreFault::Zone(_),
                ..
            })
        ));
    }

    #[test]
    fn copies_of_organizations_that_left_are_forgotten() {
        let scratch = Scratch::new();
        let store = ReplicaStore::open(scratch.path()).unwrap();
        let other: ZoneName = "org2.example".parse().unwrap();
        store
            .save(&apex(), &zone("org1.example", SOA), UNIX_EPOCH)
            .unwrap();
        store
            .save(&other, &zone("org2.example", SOA), UNIX_EPOCH)
            .unwrap();
        store.retain(std::slice::from_ref(&other)).unwrap();
        assert!(store.load(&apex()).unwrap().is_none() && store.load(&other).unwrap().is_some());
    }
}
