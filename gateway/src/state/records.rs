//! [`RecordsFile`]: the newest record of each organization, as the running daemon knows it and as
//! the next start will read it.
//!
//! The daemon reads it once at the start, so that it can replace a file that is damaged later. If
//! the file was damaged at the start, nothing is written: an operator must restore or remove it,
//! and the next reload reads it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringway_config::{Config, Ledger as _, LedgerError, Newest};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{REMEDY, RETRY, chain};
use crate::attention::Attention;

/// The name of the finding.
const NAME: &str = "state records";

/// The newest accepted records. Clones of the `Arc` share them.
#[derive(Debug)]
pub struct RecordsFile {
    dir: PathBuf,
    attention: Attention,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// `None` if the file could not be read at the start.
    newest: Option<Newest>,
    is_stored: bool,
}

impl RecordsFile {
    /// The file in the state directory `dir` with its content; `None` if it is damaged.
    pub fn new(dir: PathBuf, attention: Attention, newest: Option<Newest>) -> Arc<RecordsFile> {
        if newest.is_none() {
            attention.raise(
                NAME,
                "it is not known which member records are the newest, so that only those that \
                 were in force before have tunnels",
                "restore the file records in the state directory, or compare the fingerprint of \
                 each record and remove it; then reload",
            );
        }

        let known = Known {
            newest,
            is_stored: true,
        };
        Arc::new(RecordsFile {
            dir,
            attention,
            known: Mutex::new(known),
        })
    }

    /// The newest records; `None` if they are unknown.
    pub fn newest(&self) -> Option<Newest> {
        self.lock().newest.clone()
    }

    /// Records that `config` is in force; `read` are the records known when its files were read.
    /// Blocks.
    pub fn update(&self, config: &Config, read: Option<Newest>) {
        let mut known = self.lock();

        if let Some(read) = read {
            known.newest.get_or_insert_default().merge(&read);
        }
        let Some(newest) = &mut known.newest else {
            return;
        };
        newest.follow(config);
        known.is_stored = false;
        self.write(&mut known);
    }

    /// Retries what could not be stored, as long as it runs.
    pub async fn run_retries(self: Arc<RecordsFile>) {
        loop {
            sleep(RETRY).await;

            if !self.lock().is_stored {
                let file = self.clone();
                // Fails only if writing panicked; then it is retried.
                let _ = spawn_blocking(move || file.write(&mut file.lock())).await;
            }
        }
    }

    fn write(&self, known: &mut Known) {
        let Some(newest) = &known.newest else { return };

        // A command may have stored newer records since.
        let stored = Newest::update(&self.dir, |stored| {
            let mut merged = newest.clone();
            merged.merge(stored);
            *stored = merged;
        });
        let stored = match stored {
            // The daemon knows the file's content from its start.
            Err(LedgerError::Broken { .. }) => newest.replace(&self.dir),
            other => other.map(drop),
        };

        match stored {
            Ok(()) => {
                known.is_stored = true;
                self.attention.clear(NAME);
            }
            Err(error) => self.attention.raise(
                NAME,
                &format!(
                    "it is not stored which member records are the newest, so that after a \
                     restart an older one could be accepted: {}",
                    chain(&error)
                ),
                REMEDY,
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ringway_config::Digest;

    use super::*;

    fn scratch(test: &str) -> PathBuf {
        let name = format!("ringway-records-{test}-{}", std::process::id());
        std::env::temp_dir().join(name)
    }

    fn write(file: &RecordsFile) {
        let mut known = file.lock();
        known.is_stored = false;
        file.write(&mut known);
    }

    /// A file in which a record of beta with serial 5 was accepted.
    fn store_beta(dir: &std::path::Path) {
        let line = format!("5 {} beta\n", Digest::of(b"record"));
        let text = format!("{line}end {}\n", Digest::of(line.as_bytes()));
        fs::write(dir.join("records"), text).unwrap();
    }

    #[test]
    fn what_another_program_has_accepted_meanwhile_stays() {
        let dir = scratch("merged");
        fs::create_dir_all(&dir).unwrap();
        store_beta(&dir);
        let file = RecordsFile::new(dir.clone(), Attention::default(), Some(Newest::default()));
        write(&file);

        let stored = Newest::load(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(stored.serial(&"beta".parse().unwrap()), 5);
    }

    #[test]
    fn a_file_damaged_at_run_time_is_replaced_and_the_refusal_ends_once_it_is_written() {
        let dir = scratch("damaged");
        fs::write(&dir, b"").unwrap();
        let attention = Attention::default();
        let file = RecordsFile::new(dir.clone(), attention.clone(), Some(Newest::default()));
        write(&file);
        assert_eq!(attention.names(NAME), [NAME], "a file lies in the way");
        assert!(!file.lock().is_stored);

        fs::remove_file(&dir).unwrap();
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("records"), b"damaged").unwrap();
        write(&file);
        let stored = Newest::load(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(stored.unwrap(), Newest::default());
        assert!(attention.names(NAME).is_empty() && file.lock().is_stored);
    }

    #[test]
    fn what_was_damaged_at_the_start_is_left_to_an_operator() {
        let dir = scratch("unknown");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("records"), b"damaged").unwrap();
        let attention = Attention::default();
        let file = RecordsFile::new(dir.clone(), attention.clone(), None);
        write(&file);

        let left = fs::read(dir.join("records")).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(left, b"damaged");
        assert_eq!(attention.names(NAME), [NAME]);
    }

    fn example() -> Config {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
        Config::load(&std::path::Path::new(files).join("gateway.toml")).unwrap()
    }

    fn serial(newest: &Newest, org: &str) -> u64 {
        newest.serial(&org.parse().unwrap())
    }

    #[test]
    fn what_is_put_in_force_is_known_and_stored_with_what_was_read() {
        let dir = scratch("followed");
        fs::create_dir_all(&dir).unwrap();
        let config = example();
        let ours = config.own.serial;
        assert!(ours > 0);

        // Records that another program has stored are read before a reload, and kept by it.
        store_beta(&dir);
        let read = Newest::load(&dir).unwrap();
        fs::remove_file(dir.join("records")).unwrap();
        for known in [Some(Newest::default()), None] {
            let file = RecordsFile::new(dir.clone(), Attention::default(), known);
            file.update(&config, Some(read.clone()));
            let newest = file.newest().expect("it is known now");
            assert_eq!(serial(&newest, config.own.org.as_str()), ours);
            assert_eq!(
                serial(&newest, "beta"),
                5,
                "not the example's, which is older"
            );
            assert!(file.lock().is_stored);
            assert_eq!(Newest::load(&dir).unwrap(), newest);
            fs::remove_file(dir.join("records")).unwrap();
        }

        // Without known records, what is in force says nothing about the others.
        let file = RecordsFile::new(dir.clone(), Attention::default(), None);
        file.update(&config, None);
        assert_eq!(file.newest(), None);
        assert!(!dir.join("records").exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_stored_is_stored_later_and_only_once() {
        let dir = scratch("later");
        let attention = Attention::default();
        let file = RecordsFile::new(dir.clone(), attention.clone(), Some(Newest::default()));
        // A file is in the place of the directory.
        fs::write(&dir, b"").unwrap();
        let config = example();
        file.update(&config, None);
        assert!(!file.lock().is_stored);
        assert_eq!(attention.names(NAME), [NAME]);

        let try_for = |rounds| tokio::time::timeout(RETRY * rounds, file.clone().run_retries());
        _ = try_for(2).await;
        assert!(!file.lock().is_stored, "it is still in the way");
        fs::remove_file(&dir).unwrap();
        fs::create_dir_all(&dir).unwrap();
        _ = try_for(3).await;
        assert!(file.lock().is_stored && attention.names(NAME).is_empty());
        assert_eq!(Newest::load(&dir).unwrap(), file.newest().unwrap());

        // It is not written again: the file may be another program's by now.
        fs::remove_file(dir.join("records")).unwrap();
        _ = try_for(3).await;
        let is_written_again = dir.join("records").exists();
        fs::remove_dir_all(&dir).unwrap();
        assert!(!is_written_again);
    }
}
