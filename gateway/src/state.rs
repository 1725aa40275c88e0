//! What a gateway remembers in its state directory, as far as it can be written. A disk that is
//! full or read-only keeps no gateway down: what could not be stored stays in memory, is listed as
//! something that needs attention, and is tried again.

mod records;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_config::{Accepted, accepted};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::attention::Attention;

pub use records::RecordsFile;

/// How often what could not be stored is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// How an operator gets a state directory that can be written.
pub const REMEDY: &str = "make room in the state directory, or make it writable";

/// The accepted records, as they are to be found by the next start.
#[derive(Debug)]
pub struct AcceptedFile {
    dir: PathBuf,
    attention: Attention,
    /// What is not on disk yet.
    waiting: Mutex<Option<Accepted>>,
}

impl AcceptedFile {
    /// The file in the state directory `dir`.
    pub fn new(dir: PathBuf, attention: Attention) -> Arc<AcceptedFile> {
        Arc::new(AcceptedFile {
            dir,
            attention,
            waiting: Mutex::default(),
        })
    }

    /// Stores `accepted`, or keeps it to try again. Blocks.
    pub fn save(&self, accepted: Accepted) {
        let mut waiting = self.lock();

        *waiting = Some(accepted);
        self.write(&mut waiting);
    }

    /// Stores what could not be stored before, as long as this runs.
    pub async fn keep_trying(self: Arc<AcceptedFile>) {
        loop {
            sleep(RETRY).await;

            if self.lock().is_some() {
                let file = self.clone();
                // Fails only if writing panicked: then it is tried again.
                let _ = spawn_blocking(move || file.write(&mut file.lock())).await;
            }
        }
    }

    fn write(&self, waiting: &mut Option<Accepted>) {
        let Some(accepted) = waiting.as_ref() else {
            return;
        };

        // Most starts accept what the last one did. Then there is no wait for the disk, and a full
        // one is no matter.
        let is_stored =
            accepted::load(&self.dir).is_ok_and(|stored| stored.iter().eq(accepted.keys()));
        let saved = if is_stored {
            Ok(())
        } else {
            accepted::save(&self.dir, accepted)
        };

        match saved {
            Ok(()) => {
                *waiting = None;
                self.attention.clear("state accepted");
            }
            Err(error) => self.attention.raise(
                "state accepted",
                &format!(
                    "the accepted records are not stored, so that a restart may decide overlaps \
                     otherwise: {}",
                    chain(&error)
                ),
                REMEDY,
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Accepted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates the directory `path`. Nobody but its owner may see what is in it, also if an earlier
/// version has created it. Blocks.
pub fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;

    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// `error` and its sources.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();

    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_its_owners_alone_even_if_it_was_not() {
        let dir = std::env::temp_dir().join(format!("ringway-private-{}", std::process::id()));
        let mode = || fs::metadata(&dir).unwrap().permissions().mode() & 0o777;

        create_private(&dir).unwrap();
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        create_private(&dir).unwrap();
        assert_eq!(mode(), 0o700);
        fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn what_could_not_be_stored_is_listed_and_stored_later() {
        let dir = std::env::temp_dir().join(format!("ringway-state-{}", std::process::id()));
        let attention = Attention::default();
        let file = AcceptedFile::new(dir.clone(), attention.clone());
        let accepted = Accepted::from([(
            ringway_config::Digest::of(b"record"),
            "acme".parse().unwrap(),
        )]);

        file.save(accepted.clone());
        assert_eq!(attention.names("state"), ["state accepted"]);

        std::fs::create_dir(&dir).unwrap();
        file.write(&mut file.lock());
        let stored = accepted::load(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(stored.iter().eq(accepted.keys()));
        assert!(attention.names("state").is_empty() && file.lock().is_none());
    }
}
