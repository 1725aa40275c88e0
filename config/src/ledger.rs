//! [`Ledger`]: what the state directory keeps of what this gateway has accepted, so that nothing
//! older is accepted later.
//!
//! A file of lines. The last one is `end` and the digest of the lines before: a file that was cut
//! off or changed is damaged, not shorter. The daemon and the command line both write it: each
//! change is made under a lock of the directory, and the file is replaced atomically.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::disk::{self, Access};
use crate::{Digest, reading};

/// Bytes of a file that are read: some 10,000 lines.
const MOST_BYTES: u64 = 1 << 20;

/// Why it is not known what was accepted, or why that could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file or its directory cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not as it was written.
    #[error("{path} is damaged, so that {loss}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What that means, and how to go on.
        loss: &'static str,
    },
    /// The file cannot be replaced.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What is kept in one file of the state directory.
pub trait Ledger: Clone + Default + PartialEq {
    /// The file's name.
    const FILE: &'static str;
    /// What a damaged file means, and how to go on; follows "so that".
    const LOSS: &'static str;

    /// The lines of the file but the last.
    fn lines(&self) -> String;

    /// What [`Ledger::lines`] has written; `None` for anything else.
    fn parse(lines: &str) -> Option<Self>;

    /// What is kept in `state_dir`; nothing if the file does not exist yet.
    fn load(state_dir: &Path) -> Result<Self, LedgerError> {
        let path = state_dir.join(Self::FILE);
        let loss = Self::LOSS;
        let text = match read(&path) {
            // The first start of this gateway: nothing has been accepted yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(LedgerError::Broken { path, loss });
            }
            Err(source) => return Err(LedgerError::Read { path, source }),
            Ok(text) => text,
        };

        unsealed(&text)
            .and_then(Self::parse)
            .ok_or(LedgerError::Broken { path, loss })
    }

    /// Changes what is kept in `state_dir`, which is created if it does not exist. Returns what is
    /// kept then.
    fn update(state_dir: &Path, change: impl FnOnce(&mut Self)) -> Result<Self, LedgerError> {
        let _lock = lock(state_dir)?;
        let before = Self::load(state_dir)?;
        let mut after = before.clone();
        change(&mut after);

        // A full disk is no matter if nothing changes.
        if after != before {
            save(&after, state_dir)?;
        }
        Ok(after)
    }

    /// Replaces what is kept in `state_dir`, even if it is damaged.
    fn replace(&self, state_dir: &Path) -> Result<(), LedgerError> {
        let _lock = lock(state_dir)?;
        save(self, state_dir)
    }
}

fn save<T: Ledger>(ledger: &T, state_dir: &Path) -> Result<(), LedgerError> {
    let path = state_dir.join(T::FILE);
    let text = sealed(ledger.lines());

    disk::replace(&path, text.as_bytes(), Access::Owner)
        .map_err(|source| LedgerError::Write { path, source })
}

/// Until the file is dropped, nobody else changes a ledger in `state_dir`.
fn lock(state_dir: &Path) -> Result<Flock<File>, LedgerError> {
    let locked = disk::create_private(state_dir)
        .and_then(|()| File::open(state_dir))
        .and_then(|dir| {
            Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
        });

    locked.map_err(|source| LedgerError::Read {
        path: state_dir.to_owned(),
        source,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    reading::open(path)?
        .take(MOST_BYTES)
        .read_to_string(&mut text)?;

    Ok(text)
}

/// `lines` and their end.
fn sealed(lines: String) -> String {
    let digest = Digest::of(lines.as_bytes());
    format!("{lines}end {digest}\n")
}

/// The lines before the end; `None` if anything was changed. Without its end, an entry could be
/// missing, and what is older than it would be accepted.
fn unsealed(text: &str) -> Option<&str> {
    let whole = text.strip_suffix('\n')?;
    let end = whole.rfind('\n').map_or(0, |at| at + 1);
    let (lines, last) = whole.split_at(end);

    let is_whole = last.strip_prefix("end ")? == Digest::of(lines.as_bytes()).to_string();
    is_whole.then_some(lines)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    /// Words, one a line.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Words(Vec<String>);

    impl Ledger for Words {
        const FILE: &'static str = "words";
        const LOSS: &'static str = "nothing is known";

        fn lines(&self) -> String {
            self.0.iter().map(|word| format!("{word}\n")).collect()
        }

        fn parse(lines: &str) -> Option<Words> {
            Some(Words(lines.lines().map(str::to_owned).collect()))
        }
    }

    fn add(dir: &Path, word: &str) -> Result<Words, LedgerError> {
        Words::update(dir, |words| words.0.push(word.to_owned()))
    }

    /// A directory for one test, which does not exist yet.
    fn scratch(test: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ringway-ledger-{test}-{}", std::process::id()));
        _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_file_with_any_byte_cut_off_or_changed_is_damaged() {
        let dir = scratch("damaged");
        let kept = add(&dir, "one").unwrap();
        assert_eq!(Words::load(&dir).unwrap(), kept);
        let good = fs::read(dir.join("words")).unwrap();

        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            for bad in [&good[..at], &changed[..]] {
                fs::write(dir.join("words"), bad).unwrap();
                let error = Words::load(&dir).unwrap_err();
                assert!(matches!(error, LedgerError::Broken { .. }), "{at}: {error}");
            }
        }

        // A change does not replace it: what it said would be lost.
        assert!(add(&dir, "two").is_err());
        kept.replace(&dir).unwrap();
        assert_eq!(Words::load(&dir).unwrap(), kept);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn changes_at_once_are_all_kept() {
        let dir = scratch("at-once");
        thread::scope(|scope| {
            for writer in 0..8 {
                let dir = &dir;
                scope.spawn(move || {
                    for word in 0..8 {
                        add(dir, &format!("{writer}-{word}")).unwrap();
                    }
                });
            }
        });

        assert_eq!(Words::load(&dir).unwrap().0.len(), 64);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_owner_alone_may_read_it_even_if_others_could() {
        let dir = scratch("private");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let file = dir.join("words");
        add(&dir, "one").unwrap();
        assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));

        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        add(&dir, "two").unwrap();
        assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
        fs::remove_dir_all(dir).unwrap();
    }
}
