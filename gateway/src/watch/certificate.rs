//! Watches the certificate's files, so that a new pair is used without a SIGHUP and without
//! dropping a tunnel. Warns the operator before the certificate in use expires.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use ringway_identity::Identity;
use ringway_identity::local::Age;
use rustls_pki_types::UnixTime;
use tokio::fs;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Event;

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Modification time of each file; `None` if it does not exist.
type Modified = [Option<SystemTime>; 2];

/// Reports each change of the files, and warns of the age of the certificate in use.
pub async fn watch(
    files: ringway_config::Identity,
    identity: Arc<ArcSwap<Identity>>,
    events: mpsc::Sender<Event>,
) {
    let files = [files.certificate, files.key];
    let mut reported = modified(&files).await;
    let mut seen = reported;
    let mut warned = Age::Young;

    loop {
        warned = warn_of_age(&identity.load(), warned);
        sleep(POLL_INTERVAL).await;

        // The two files are written one after the other: report once both are unchanged for one
        // interval.
        let now = modified(&files).await;
        if now == seen && now != reported {
            reported = now;
            // The receiver is gone only when the daemon ends.
            let _ = events.send(Event::Certificate).await;
        }
        seen = now;
    }
}

async fn modified(files: &[PathBuf; 2]) -> Modified {
    let [certificate, key] = files;

    [modified_one(certificate).await, modified_one(key).await]
}

async fn modified_one(file: &PathBuf) -> Option<SystemTime> {
    fs::metadata(file).await.ok()?.modified().ok()
}

/// Warns once at each stage of the certificate's age. Returns the stage.
fn warn_of_age(identity: &Identity, warned: Age) -> Age {
    let age = identity.age(UnixTime::now());

    if age > warned
        && let Some(advice) = age.advice()
    {
        tracing::warn!(reason = advice, "Our certificate ends");
    }
    age
}
