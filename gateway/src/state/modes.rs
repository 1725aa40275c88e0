//! Modes of the files in the state directory: only their owner may access them. The daemon stores
//! files with the right mode; this module corrects files of an earlier version or a backup that are
//! not stored again, such as copies of names that do not change.
//!
//! Only files with names of ours are changed, and only if they belong to the user of this process
//! or of the directory. No symbolic link is followed, except in the directory's own path, which the
//! operator configures.
//!
//! The keys of the QUIC endpoint are skipped: others may have copied them, so they are replaced
//! ([`EndpointKeys`](crate::quic::endpoint::EndpointKeys)). A corrected mode would hide that.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use ringway_config::disk::open_to_others;
use ringway_config::{Fault, Ledger as _, Newest, Place, ZoneName};
use ringway_dns::FragmentStore;
use ringway_host::traces;

use super::{FailedAddresses, NewestLists, ServiceNames};

/// Files of the state directory, except the ledgers.
const FILES: [&str; 6] = [
    "accepted",
    "heard",
    "kernel-settings.json",
    "policy.json",
    "serial",
    traces::FILE,
];

/// The ledgers.
const LEDGERS: [&str; 4] = [
    Newest::FILE,
    NewestLists::FILE,
    FailedAddresses::FILE,
    ServiceNames::FILE,
];

/// The directory with copies of the members' names.
const ZONES: &str = "zones";

/// The suffix of a replacement that a crash has interrupted.
const UNFINISHED: &str = ".new";

/// Corrects the modes in `state_dir`. Continues after an error, and returns the first.
pub fn tighten(state_dir: &Path) -> io::Result<()> {
    let mut result = Ok(());

    let looked = each_open(state_dir, &mut |path, open, _| {
        let tightened = open
            .file
            .set_permissions(Permissions::from_mode(open.right));
        let tightened = tightened.map_err(|error| at(path, error));
        if result.is_ok() {
            result = tightened;
        }
    });
    result.and(looked)
}

/// The fault, for `check`, if other users can access files in `state_dir`.
pub fn exposed(state_dir: &Path) -> Option<Fault> {
    let mut first = None;
    let mut count = 0;
    // A file that cannot be opened cannot be judged.
    _ = each_open(state_dir, &mut |path, _, mode| {
        count += 1;
        first.get_or_insert((path.to_owned(), mode));
    });

    let (path, mode) = first?;
    let more = match count {
        1 => String::new(),
        _ => format!(", and {} more", count - 1),
    };
    Some(Fault {
        message: format!(
            "others may use this (mode {mode:04o}){more}; a start of the gateway changes that"
        ),
        place: Place::whole(&path),
    })
}

/// A file that other users can access.
struct Open {
    file: File,
    /// The mode that it should have.
    right: u32,
}

/// Calls `act` with the path, the file and its mode for every file of ours in `state_dir` that
/// other users can access. Does nothing if the directory is missing.
fn each_open(state_dir: &Path, act: &mut dyn FnMut(&Path, &Open, u32)) -> io::Result<()> {
    // Its own path may contain links: the operator has configured it.
    let dir = match File::open(state_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| at(state_dir, error))?,
    };
    let path = state_dir.join(ZONES);
    let zones = open_at(&dir, ZONES).map_err(|error| at(&path, error))?;
    if let Some(zones) = zones
        && zones.metadata()?.is_dir()
    {
        look_into(&path, zones, is_ours_among_zones, act)?;
    }
    look_into(state_dir, dir, is_ours, act)
}

/// Handles the directory `dir`, which is open as `file`, and its files for which `is_ours` is true.
fn look_into(
    dir: &Path,
    file: File,
    is_ours: fn(&str) -> bool,
    act: &mut dyn FnMut(&Path, &Open, u32),
) -> io::Result<()> {
    // Files written by root's commands belong to the owner of the directory.
    let owner = file.metadata()?.uid();

    for entry in fs::read_dir(dir).map_err(|error| at(dir, error))? {
        let name = entry?.file_name();
        // All names of ours are UTF-8.
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
            continue;
        };
        let path = dir.join(name);
        let Some(file) = open_at(&file, name).map_err(|error| at(&path, error))? else {
            continue;
        };
        if file.metadata()?.is_file() {
            judge(&path, Open { file, right: 0o600 }, owner, act)?;
        }
    }
    judge(dir, Open { file, right: 0o700 }, owner, act)
}

fn judge(
    path: &Path,
    open: Open,
    owner: u32,
    act: &mut dyn FnMut(&Path, &Open, u32),
) -> io::Result<()> {
    let metadata = open.file.metadata()?;
    let belongs = [owner, geteuid().as_raw()].contains(&metadata.uid());

    if let Some(mode) = open_to_others(&metadata).filter(|_| belongs) {
        act(path, &open, mode);
    }
    Ok(())
}

/// Opens `name` in the directory `dir`; `None` if it is gone, a symbolic link, or not accessible to
/// this user.
fn open_at(dir: impl AsFd, name: &str) -> io::Result<Option<File>> {
    // Non-blocking, because opening a named pipe would wait for its other end.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;

    match openat(dir, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        // ENXIO: a socket, which is never ours. EACCES: another user's file.
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO | Errno::EACCES) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);

    FILES.contains(&name) || LEDGERS.contains(&name)
}

fn is_ours_among_zones(name: &str) -> bool {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    let apex = name.strip_suffix(".serial");

    FragmentStore::is_copy(name) || apex.is_some_and(|apex| apex.parse::<ZoneName>().is_ok())
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A state directory, removed at its end.
    struct StateDir(PathBuf);

    impl StateDir {
        /// Makes these files readable by everyone.
        fn with(files: &[&str]) -> StateDir {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ringway-modes-{}-{count}", std::process::id());
            let dir = StateDir(std::env::temp_dir().join(name));

            fs::create_dir_all(dir.0.join(ZONES)).unwrap();
            for file in files {
                fs::write(dir.0.join(file), "").unwrap();
                dir.set_mode(file, 0o644);
            }
            for directory in ["", ZONES] {
                dir.set_mode(directory, 0o755);
            }
            dir
        }

        fn set_mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.0.join(name), Permissions::from_mode(mode)).unwrap();
        }

        fn mode(&self, name: &str) -> u32 {
            let metadata = self.0.join(name).metadata().unwrap();
            metadata.permissions().mode() & 0o777
        }
    }

    impl Drop for StateDir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn every_file_of_ours_becomes_its_owners_alone() {
        let ours = [
            "accepted",
            "heard",
            "kernel-settings.json",
            "policy.json",
            "policy.json.new",
            "serial",
            "traces.json",
            "records",
            "revocation-lists",
            "failed-addresses",
            "service-names",
            "zones/gw.beta.fragment",
            "zones/gw.beta.fragment.new",
            "zones/beta.zone",
            "zones/beta.consortium.example.serial",
        ];
        let dir = StateDir::with(&ours);
        let fault = exposed(&dir.0).unwrap();
        assert!(
            fault
                .message
                .contains(&format!(", and {} more;", ours.len() + 1)),
            "{fault}"
        );

        tighten(&dir.0).unwrap();
        for name in ours {
            assert_eq!(dir.mode(name), 0o600, "{name}");
        }
        assert_eq!((dir.mode(""), dir.mode(ZONES)), (0o700, 0o700));
        assert_eq!(exposed(&dir.0), None);
    }

    #[test]
    fn a_mode_that_is_narrow_enough_stays() {
        let dir = StateDir::with(&["accepted"]);
        dir.set_mode("accepted", 0o400);
        tighten(&dir.0).unwrap();
        assert_eq!(dir.mode("accepted"), 0o400);
    }

    #[test]
    fn nothing_else_is_touched() {
        let others = ["notes.txt", "endpoint-keys", "zones/notes", "zones/.serial"];
        let dir = StateDir::with(&others);
        for directory in ["policy.json", "backup"] {
            fs::create_dir(dir.0.join(directory)).unwrap();
            dir.set_mode(directory, 0o755);
        }

        tighten(&dir.0).unwrap();
        for name in others {
            assert_eq!(dir.mode(name), 0o644, "{name}");
        }
        assert_eq!(dir.mode("backup"), 0o755);
        assert_eq!(
            dir.mode("policy.json"),
            0o755,
            "a directory is none of ours"
        );
    }

    /// Only root can test this.
    #[test]
    fn what_belongs_to_another_user_than_the_directory_is_not_touched() {
        let dir = StateDir::with(&["accepted", "serial"]);
        let is_root = geteuid().is_root();
        if is_root {
            let nobody = Some(nix::unistd::Uid::from_raw(65_534));
            nix::unistd::chown(&dir.0.join("serial"), nobody, None).unwrap();
        }

        tighten(&dir.0).unwrap();
        assert_eq!(dir.mode("accepted"), 0o600);
        assert_eq!(dir.mode("serial"), if is_root { 0o644 } else { 0o600 });
    }

    #[test]
    fn no_symbolic_link_is_followed_and_nothing_blocks() {
        let outside = StateDir::with(&["file", "zones/gw.beta.fragment"]);
        let dir = StateDir::with(&[]);
        symlink(outside.0.join("file"), dir.0.join("accepted")).unwrap();
        symlink(outside.0.join("nowhere"), dir.0.join("heard")).unwrap();
        fs::remove_dir(dir.0.join(ZONES)).unwrap();
        symlink(outside.0.join(ZONES), dir.0.join(ZONES)).unwrap();
        let pipe = dir.0.join("serial");
        nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o644)).unwrap();

        tighten(&dir.0).unwrap();
        assert_eq!(outside.mode("file"), 0o644);
        assert_eq!(outside.mode(ZONES), 0o755);
        assert_eq!(outside.mode("zones/gw.beta.fragment"), 0o644);
        fs::remove_file(dir.0.join(ZONES)).unwrap();
    }

    #[test]
    fn without_a_directory_there_is_nothing_to_do() {
        let nowhere = Path::new("/nonexistent/state");
        tighten(nowhere).unwrap();
        assert_eq!(exposed(nowhere), None);
    }
}
