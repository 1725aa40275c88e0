//! Stores a gateway's state in its directory, as far as it can be written. A full or read-only disk
//! does not stop a gateway: what cannot be stored stays in memory, becomes a finding, and is
//! retried.

mod failed;
mod lists;
pub mod modes;
mod records;
mod secrets;
mod service_names;
pub mod space;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_config::{Accepted, Offers, accepted};
use ringway_dns::HoldFile;
use ringway_host::traces::Traces;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::attention::Attention;

pub use failed::FailedAddresses;
pub use lists::NewestLists;
pub use records::RecordsFile;
pub use secrets::SiblingSecrets;
pub use service_names::ServiceNames;

/// Interval of the retries.
const RETRY: Duration = Duration::from_secs(5);

/// How to get a writable state directory.
pub const REMEDY: &str = "make room in the state directory, or make it writable";

/// Writes a file; may be called repeatedly.
type Write = Box<dyn Fn() -> anyhow::Result<()> + Send>;

/// All state of this gateway.
pub struct StateFiles {
    attention: Attention,
    /// What is not on disk yet, by the name of its finding.
    waiting: Mutex<BTreeMap<String, Unstored>>,
}

struct Unstored {
    /// The consequence of not storing it.
    loss: &'static str,
    write: Write,
}

impl StateFiles {
    /// Reports what cannot be stored to `attention`.
    pub fn new(attention: Attention) -> Arc<StateFiles> {
        Arc::new(StateFiles {
            attention,
            waiting: Mutex::default(),
        })
    }

    /// The list of findings.
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    /// Stores something by calling `write`, or retries later. Replaces an earlier write under the
    /// same name. Blocks.
    pub fn store(
        &self,
        name: &str,
        loss: &'static str,
        write: impl Fn() -> anyhow::Result<()> + Send + 'static,
    ) {
        let unstored = Unstored {
            loss,
            write: Box::new(write),
        };
        // Locked while it is written: of two writes to the same file, the later one wins.
        let mut waiting = self.lock();

        if self.write(name, &unstored) {
            waiting.remove(name);
        } else {
            waiting.insert(name.to_owned(), unstored);
        }
    }

    /// Stores the accepted records for the next start. Blocks.
    pub fn store_accepted(&self, dir: PathBuf, accepted: Accepted) {
        let loss = "the accepted records are not stored, so that a restart may decide overlaps \
                    otherwise";

        self.store("state accepted", loss, move || {
            // Most starts accept the same records as the last one. Then there is no need to wait
            // for the disk, and a full one does not matter.
            let is_stored =
                accepted::load(&dir).is_ok_and(|stored| stored.iter().eq(accepted.keys()));
            if !is_stored {
                accepted::save(&dir, &accepted)?;
            }
            Ok(())
        });
    }

    /// Stores which revocation lists were accepted, so that older ones are refused later. Blocks.
    pub fn store_lists(&self, dir: PathBuf, lists: NewestLists) {
        let loss = "it is not stored which revocation lists are the newest, so that after a \
                    restart an older one could be accepted";

        self.store("state revocation-lists", loss, move || {
            Ok(lists.store(&dir)?)
        });
    }

    /// Stores the gateways' offers to this attached node. Blocks.
    pub fn store_offers(&self, dir: PathBuf, offers: Offers) {
        let loss = "what the gateways offer is not stored, so that it is not reached";

        self.store("state offers", loss, move || {
            Ok(ringway_config::offers::save(&dir, &offers)?)
        });
    }

    /// Stores which checked addresses have failed, so that the next start leaves them out too.
    /// Blocks.
    pub fn store_failed(&self, dir: PathBuf, failed: FailedAddresses) {
        let loss = "it is not stored which addresses have failed their checks, so that a restart \
                    answers with them for some seconds";

        self.store("state failed-addresses", loss, move || {
            Ok(failed.store(&dir)?)
        });
    }

    /// Stores the names of Kubernetes Services, for the next start. Blocks.
    pub fn store_service_names(&self, dir: PathBuf, names: ServiceNames) {
        let loss = "the names of Kubernetes Services are not stored, so that after a restart they \
                    are missing until the API server answers";

        self.store("state service-names", loss, move || Ok(names.store(&dir)?));
    }

    /// Stores the secrets by which the site's gateways prove to be alive. Blocks.
    pub fn store_secrets(&self, dir: PathBuf, secrets: SiblingSecrets) {
        let loss = "what the site's other gateways prove to be alive by is not stored, so that \
                    after a restart this one becomes active if it does not reach them itself";

        self.store("state siblings", loss, move || Ok(secrets.store(&dir)?));
    }

    /// Stores when members were last heard from. Blocks.
    pub fn store_heard(&self, heard: HoldFile) {
        let loss = "it is not stored when members were last heard, so that after a restart their \
                    absence counts from then";

        self.store("state heard", loss, move || Ok(heard.write()?));
    }

    /// Removes other users' access to the state directory and its files. Blocks.
    pub fn make_private(&self, dir: PathBuf) {
        let loss = "others may read files of the state directory";

        self.store("state modes", loss, move || Ok(modes::tighten(&dir)?));
    }

    /// Stores what this gateway leaves in the kernel, so that a later start can remove it. Blocks.
    pub fn store_traces(&self, dir: PathBuf, traces: Traces) {
        let loss = "what stays in the kernel is not remembered, so that a restart with other \
                    numbers does not remove it, and forgets the prefixes of removed members";

        self.store("state traces", loss, move || Ok(traces.save(&dir)?));
    }

    /// Retries what could not be stored, as long as it runs.
    pub async fn run_retries(self: Arc<StateFiles>) {
        loop {
            sleep(RETRY).await;

            if !self.lock().is_empty() {
                let files = self.clone();
                // Fails only if writing panicked; then it is retried.
                let _ = spawn_blocking(move || files.try_again()).await;
            }
        }
    }

    /// Watches the free space for the state directory `dir`, as long as it runs.
    pub async fn watch_disk(self: Arc<StateFiles>, dir: PathBuf) {
        space::watch(dir, self.attention.clone()).await;
    }

    fn try_again(&self) {
        let mut waiting = self.lock();

        waiting.retain(|name, unstored| !self.write(name, unstored));
    }

    /// True if it is stored now.
    fn write(&self, name: &str, unstored: &Unstored) -> bool {
        match (unstored.write)() {
            Ok(()) => {
                self.attention.clear(name);
                true
            }
            Err(error) => {
                let what = format!("{}: {error:#}", unstored.loss);
                self.attention.raise(name, &what, REMEDY);
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Unstored>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    fn what_could_not_be_stored_is_listed_and_stored_later() {
        let dir = std::env::temp_dir().join(format!("ringway-state-{}", std::process::id()));
        let attention = Attention::default();
        let files = StateFiles::new(attention.clone());
        let accepted = Accepted::from([(
            ringway_config::Digest::of(b"record"),
            "acme".parse().unwrap(),
        )]);

        files.store_accepted(dir.clone(), Accepted::new());
        files.store_accepted(dir.clone(), accepted.clone());
        assert_eq!(attention.names("state"), ["state accepted"]);

        std::fs::create_dir(&dir).unwrap();
        files.try_again();
        let stored = accepted::load(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(stored.iter().eq(accepted.keys()), "the later one");
        assert!(attention.names("state").is_empty() && files.lock().is_empty());
    }
}
