//! [`FragmentStore`]: the latest copy of every other gateway's fragment on disk, so that after a
//! restart names resolve before their owners are connected.
//!
//! One file for each gateway, `<gateway>.<org>.fragment`, replaced atomically:
//!
//! ```text
//!   SHA-256 of the rest: 32 octets │ received, seconds since 1970: u64, big-endian
//!   │ keys: u8 │ SHA-256 of a key of the owner's certificate chain: 32 octets... │ encoded zone
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
use ringway_config::{Digest, GatewayId, ZoneName, reading};

use crate::replica::{MAX_SIZE, ReplicaError};
use crate::zone::Zone;

/// Keys of a chain at most.
const MAX_KEYS: usize = 16;
/// Octets before the encoded zone at most: checksum, time and keys.
const MAX_HEADER: usize = 32 + 8 + 1 + 32 * MAX_KEYS;
const SUFFIX: &str = ".fragment";
/// The suffix of versions that kept one copy for each organization.
const FORMER_SUFFIX: &str = ".zone";

/// The directory with the copies of other gateways' fragments.
#[derive(Debug, Clone)]
pub struct FragmentStore {
    dir: PathBuf,
}

/// A copy on disk.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The fragment, which has passed the checks of a transferred zone.
    pub zone: Zone,
    /// When it arrived from its owner.
    pub received: SystemTime,
    /// The keys of the certificate chain that vouched for it: once one of them is revoked, the copy
    /// counts for nothing.
    pub keys: Vec<Digest>,
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

impl FragmentStore {
    /// The copies in `dir`, which is created if it does not exist. Only its owner may read it.
    pub fn open(dir: &Path) -> io::Result<FragmentStore> {
        disk::create_private(dir)?;
        Ok(FragmentStore { dir: dir.into() })
    }

    /// The copies in `dir`, for reading only. If `dir` does not exist, there are none.
    pub fn existing(dir: &Path) -> FragmentStore {
        FragmentStore { dir: dir.into() }
    }

    /// True for the name of a file with a copy, also of a version that kept one for each zone.
    pub fn is_copy(file: &str) -> bool {
        file.ends_with(FORMER_SUFFIX) || gateway_of_file(file).is_some()
    }

    /// Replaces the copy of `gateway`'s fragment.
    pub fn save(&self, gateway: &GatewayId, stored: &Stored) -> io::Result<()> {
        let since = stored.received.duration_since(UNIX_EPOCH);
        let keys = &stored.keys[..stored.keys.len().min(MAX_KEYS)];

        let mut rest = since.unwrap_or_default().as_secs().to_be_bytes().to_vec();
        rest.push(keys.len() as u8);
        for key in keys {
            rest.extend_from_slice(&key.0);
        }
        rest.extend_from_slice(&stored.zone.encode());

        let checksum = Digest::of(&rest);
        let bytes = [&checksum.0[..], &rest].concat();
        let path = self.path(gateway);
        match disk::replace(&path, &bytes, Access::Owner) {
            // The disk was full when the directory was to be created.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                FragmentStore::open(&self.dir)?;
                disk::replace(&path, &bytes, Access::Owner)
            }
            other => other,
        }
    }

    /// Reads the copy of `gateway`'s fragment of the zone `apex`; `None` if there is none.
    pub fn load(&self, gateway: &GatewayId, apex: &ZoneName) -> Result<Option<Stored>, StoreError> {
        let path = self.path(gateway);
        match read(&path, apex) {
            Ok(stored) => Ok(Some(stored)),
            Err(StoreFault::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(StoreError { path, reason }),
        }
    }

    /// Deletes the copy of `gateway`'s fragment, if there is one.
    pub fn remove(&self, gateway: &GatewayId) -> io::Result<()> {
        disk::remove(&self.path(gateway))
    }

    /// Deletes the copies of all gateways that are not in `kept`, and those of former versions.
    /// Other files stay.
    pub fn retain(&self, kept: &[GatewayId]) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let file = entry.file_name();
            // Among the others are files that a replacement left behind when the host crashed.
            let Some(file) = file.to_str() else { continue };

            if file.ends_with(FORMER_SUFFIX) {
                disk::remove(&entry.path())?;
            } else if let Some(gateway) = gateway_of_file(file)
                && !kept.contains(&gateway)
            {
                self.remove(&gateway)?;
            }
        }
        Ok(())
    }

    /// A [`GatewayId`] has only letters, digits, hyphens and a dot, so it is a safe file name.
    fn path(&self, gateway: &GatewayId) -> PathBuf {
        self.dir.join(format!("{gateway}{SUFFIX}"))
    }
}

fn gateway_of_file(file: &str) -> Option<GatewayId> {
    file.strip_suffix(SUFFIX)?.parse().ok()
}

fn read(path: &Path, apex: &ZoneName) -> Result<Stored, StoreFault> {
    // Checked first, so that a huge file does not fill the memory.
    if fs::metadata(path)?.len() > (MAX_HEADER + MAX_SIZE) as u64 {
        return Err(StoreFault::Checksum);
    }

    let bytes = reading::read_own(path)?;
    let (checksum, rest) = bytes.split_first_chunk().ok_or(StoreFault::Checksum)?;
    if Digest::of(rest) != Digest(*checksum) {
        return Err(StoreFault::Checksum);
    }

    let (seconds, rest) = rest.split_first_chunk().ok_or(StoreFault::Checksum)?;
    let since = Duration::from_secs(u64::from_be_bytes(*seconds));
    let received = UNIX_EPOCH.checked_add(since).ok_or(StoreFault::Checksum)?;
    let (keys, zone) = read_keys(rest).ok_or(StoreFault::Checksum)?;
    Ok(Stored {
        zone: Zone::decode(zone, apex)?,
        received,
        keys,
    })
}

fn read_keys(bytes: &[u8]) -> Option<(Vec<Digest>, &[u8])> {
    let (count, rest) = bytes.split_first()?;
    let (keys, zone) = rest.split_at_checked(32 * usize::from(*count))?;
    let keys = keys
        .chunks_exact(32)
        .filter_map(|key| key.try_into().ok())
        .map(Digest)
        .collect();
    Some((keys, zone))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;
    use crate::zone::tests::zone;

    fn gateway(text: &str) -> GatewayId {
        text.parse().unwrap()
    }

    fn apex(text: &str) -> ZoneName {
        text.parse().unwrap()
    }

    fn sample() -> Stored {
        Stored {
            zone: zone(
                "org1.example",
                "@ SOA ns.org1.example. h.org1.example. 0 1 1 1 5\n",
            ),
            received: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            keys: vec![Digest::of(b"leaf"), Digest::of(b"intermediate")],
        }
    }

    #[test]
    fn a_saved_copy_is_loaded_unchanged_until_it_is_removed() {
        let scratch = Scratch::new();
        let store = FragmentStore::open(&scratch.path().join("zones")).unwrap();
        let (gw, org1) = (gateway("gw.org1"), apex("org1.example"));
        assert!(store.load(&gw, &org1).unwrap().is_none());

        store.save(&gw, &sample()).unwrap();
        let stored = store.load(&gw, &org1).unwrap().unwrap();
        assert_eq!(stored.zone.encode(), sample().zone.encode());
        assert_eq!(stored.received, sample().received);
        assert_eq!(stored.keys, sample().keys);
        assert!(store.load(&gateway("gw2.org1"), &org1).unwrap().is_none());

        store.remove(&gw).unwrap();
        assert!(store.load(&gw, &org1).unwrap().is_none());
    }

    #[test]
    fn only_the_owner_can_read_the_copies() {
        let scratch = Scratch::new();
        let dir = scratch.path().join("zones");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let store = FragmentStore::open(&dir).unwrap();
        store.save(&gateway("gw.org1"), &sample()).unwrap();

        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&store.path(&gateway("gw.org1"))), 0o600);
    }

    #[test]
    fn any_flipped_bit_and_any_truncation_fails_the_checksum() {
        let scratch = Scratch::new();
        let store = FragmentStore::open(scratch.path()).unwrap();
        let gw = gateway("gw.org1");
        store.save(&gw, &sample()).unwrap();
        let path = store.path(&gw);
        let good = fs::read(&path).unwrap();
        let is_refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let error = store.load(&gw, &apex("org1.example")).unwrap_err();
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
    fn an_intact_file_of_another_zone_is_refused() {
        let scratch = Scratch::new();
        let store = FragmentStore::open(scratch.path()).unwrap();
        store.save(&gateway("gw.org2"), &sample()).unwrap();

        let error = store.load(&gateway("gw.org2"), &apex("org2.example"));
        assert!(matches!(error.unwrap_err().reason, StoreFault::Zone(_)));
    }

    #[test]
    fn retain_deletes_the_copies_of_all_other_gateways_and_of_former_versions() {
        let scratch = Scratch::new();
        let store = FragmentStore::open(scratch.path()).unwrap();
        let (gone, kept) = (gateway("gw.org1"), gateway("gw2.org1"));
        for gateway in [&gone, &kept] {
            store.save(gateway, &sample()).unwrap();
        }
        let former = scratch.path().join("org1.example.zone");
        let other = scratch.path().join("org1.example.serial");
        fs::write(&former, "").unwrap();
        fs::write(&other, "").unwrap();

        store.retain(std::slice::from_ref(&kept)).unwrap();
        let org1 = apex("org1.example");
        assert!(store.load(&gone, &org1).unwrap().is_none());
        assert!(store.load(&kept, &org1).unwrap().is_some());
        assert!(!former.exists() && other.exists());
    }
}
