//! Files that survive a crash whole: written beside, synced, renamed, and the directory synced.
//!
//! Everything that the daemon remembers and the command line writes goes through here. Each path
//! has one writer at a time: two would share the file beside it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody on this host, as far as the umask allows: mode 644.
    Everybody,
    /// The owner alone: mode 600. The owner is that of the directory, since commands of root must
    /// leave files that the daemon's user can read.
    Owner,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Access::Everybody => 0o644,
            Access::Owner => 0o600,
        }
    }
}

/// Replaces the file `path` by `bytes`, or creates it. After a crash it is the old or the new one,
/// and once this has returned it is the new one.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let beside = beside(path);
    // A crash may have left one, perhaps with another mode.
    remove(&beside)?;

    // rename(2) is atomic: the path names the old file or the whole new one, never a part.
    write_new(&beside, bytes, access)?;
    if let Err(error) = fs::rename(&beside, path) {
        _ = fs::remove_file(&beside);
        return Err(error);
    }
    sync_directory_of(path)
}

/// Creates the file `path`; an error if anything of that name exists. After a crash it may be a
/// part.
pub fn create(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    write_new(path, bytes, access)?;
    sync_directory_of(path)
}

/// Creates the directory `path`. Nobody but its owner may see what is in it, also if an earlier
/// version has created it. A new one belongs to the owner of the directory that it is in.
pub fn create_private(path: &Path) -> io::Result<()> {
    let is_new = !path.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if is_new {
        give_to_owner_of(directory_of(path), &File::open(path)?)?;
    }

    // Only if it is needed: a command of another user than the owner's would fail here.
    if fs::metadata(path)?.permissions().mode() & 0o777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// The mode of a file that others than its owner may use; `None` if nobody else may.
pub fn open_to_others(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.permissions().mode() & 0o777;

    (mode & 0o077 != 0).then_some(mode)
}

/// The same for a file that the members of `group` may read: as where an orchestrator mounts keys,
/// which belong to root and to the group of the process.
pub fn open_to_others_than(group: u32, metadata: &Metadata) -> Option<u32> {
    let mode = open_to_others(metadata)?;
    let is_for_group = mode & 0o037 == 0 && metadata.gid() == group;

    (!is_for_group).then_some(mode)
}

/// Removes the file `path`, if there is one, for good.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory_of(path),
    }
}

/// The file that becomes `path`. No loader takes its name for a record or a zone's copy.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

fn write_new(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    // O_EXCL of open(2): a symbolic link that was planted at this path is not followed.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(access.mode())
        .open(path)?;

    let given = match access {
        Access::Owner => give_to_owner_of(directory_of(path), &file),
        Access::Everybody => Ok(()),
    };
    // Synced before the rename: a crash must not leave the final name with an empty file.
    let written = given
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // A full disk: a part of the file is worth nothing.
        _ = fs::remove_file(path);
    }
    written
}

/// Only root can, and only root needs to: another user writes in its own directories.
fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    let wanted = fs::metadata(directory)?;
    let actual = file.metadata()?;
    let is_root = actual.uid() == 0;

    if is_root && wanted.uid() != actual.uid() {
        fchown(file, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    Ok(())
}

/// Creations, renames and removals last only once their directory is synced: fsync(2).
fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// The directory that holds the file `path`.
fn directory_of(path: &Path) -> &Path {
    // The parent of a bare file name is the empty path, which cannot be opened.
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A directory for one test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("ringway-disk-{}-{count}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn names(&self) -> Vec<OsString> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn replacing_leaves_the_new_file_and_nothing_beside_it() {
        let scratch = Scratch::new();
        let path = scratch.0.join("file");
        replace(&path, b"old", Access::Everybody).unwrap();
        replace(&path, b"new", Access::Everybody).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(scratch.names(), ["file"]);
    }

    #[test]
    fn a_key_is_readable_by_its_owner_only_even_after_a_crash_left_a_readable_file() {
        let scratch = Scratch::new();
        let path = scratch.0.join("key");
        fs::write(beside(&path), "left by a crash").unwrap();
        fs::write(&path, "old").unwrap();
        replace(&path, b"secret", Access::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn only_reading_and_only_its_own_group_is_no_other() {
        let scratch = Scratch::new();
        let path = scratch.0.join("key");
        create(&path, b"secret", Access::Owner).unwrap();
        let group = path.metadata().unwrap().gid();
        for (mode, for_us, for_others) in [
            (0o400, None, None),
            (0o440, None, Some(0o440)),
            (0o640, None, Some(0o640)),
            (0o660, Some(0o660), Some(0o660)),
            (0o444, Some(0o444), Some(0o444)),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let metadata = path.metadata().unwrap();
            assert_eq!(open_to_others_than(group, &metadata), for_us, "{mode:o}");
            let other = open_to_others_than(group + 1, &metadata);
            assert_eq!(other, for_others, "{mode:o}");
        }
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_directory() {
        let scratch = Scratch::new();
        // Any other user cannot give anything away, and need not.
        if scratch.0.metadata().unwrap().uid() != 0 {
            return;
        }
        let state = scratch.0.join("state");
        std::os::unix::fs::chown(&scratch.0, Some(4600), Some(4600)).unwrap();
        create_private(&state).unwrap();
        let key = state.join("key");
        create(&key, b"secret", Access::Owner).unwrap();
        for path in [&state, &key] {
            let metadata = path.metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (4600, 4600));
        }
        assert_eq!(mode(&key), 0o600);
    }

    #[test]
    fn a_failed_replacement_changes_nothing() {
        let scratch = Scratch::new();
        let path = scratch.0.join("directory");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new", Access::Everybody).is_err());
        assert_eq!(scratch.names(), ["directory"]);
    }

    #[test]
    fn creating_overwrites_nothing() {
        let scratch = Scratch::new();
        let path = scratch.0.join("file");
        create(&path, b"first", Access::Owner).unwrap();
        let error = create(&path, b"second", Access::Owner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let scratch = Scratch::new();
        let path = scratch.0.join("file");
        create(&path, b"", Access::Everybody).unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(scratch.names().is_empty());
    }
}
