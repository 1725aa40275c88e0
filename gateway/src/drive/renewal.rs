//! The own certificate while the daemon runs: a new pair of files is taken over without a SIGHUP and
//! without dropping a tunnel, a bad one is refused and the old kept; and an operator is warned in time
//! (DESIGN.md, section 3).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls_pki_types::UnixTime;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Input, State};
use crate::identity::Identity;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Reports each change of the files until `stop`. A pair is written one file after the other: a change is
/// told when both have been still for one look.
pub async fn watch(
    files: ringway_config::Identity,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let files = [files.certificate, files.key];
    let (mut told, mut seen) = (changed(&files), changed(&files));
    while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
        let now = changed(&files);
        if now == seen && now != told {
            told = now;
            // The drive is gone only when the daemon ends.
            let _ = inputs.send(Input::Renew).await;
        }
        seen = now;
    }
}

fn changed(files: &[PathBuf; 2]) -> [Option<SystemTime>; 2] {
    files.each_ref().map(|file| {
        fs::metadata(file)
            .and_then(|metadata| metadata.modified())
            .ok()
    })
}

impl State {
    /// The files have changed: takes them over if they are good.
    pub(super) fn renew(&mut self, now: Instant) {
        if self.reload.under_way {
            // It may have read the files before they changed.
            self.reload.renew = true;
            return;
        }
        let running = &self.drive.running;
        let (config, trust) = (&running.config, running.trust.load());
        match Identity::load(&config.identity, &config.id, &trust, UnixTime::now()) {
            Ok(identity) if identity.chain() == running.identity.load().chain() => {}
            Ok(identity) => {
                tracing::info!(elapsed = ?identity.remaining(UnixTime::now()), "New certificate taken over");
                running.identity.store(Arc::new(identity));
                self.drive.mesh.handle_identity_changed(now);
            }
            Err(faults) => {
                for fault in &faults.0 {
                    tracing::error!(reason = %fault, "New certificate refused; the old one stays in use");
                }
            }
        }
    }

    /// Warns once at each step of the certificate's age.
    pub(super) fn warn_of_age(&mut self) {
        let age = self.drive.running.identity.load().age(UnixTime::now());
        if age > self.warned
            && let Some(advice) = age.advice()
        {
            tracing::warn!(reason = advice, "Own certificate");
        }
        self.warned = age;
    }
}
