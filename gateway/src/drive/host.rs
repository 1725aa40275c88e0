//! The host while the daemon runs: interfaces and addresses come and go. The kernel's routes and the data plane
//! follow at once. A network that the host is newly connected to takes its range from any member that claims it,
//! as at a start; one that is gone gives it back (DESIGN.md, section 5).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ringway_config::{Digest, Ruling, accepted, rule};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Input, State};
use crate::host::firewall::{Firewall as _, FirewallError};
use crate::host::links::{self, Links, LinksError, Watch};
use crate::membership::{membership, policy};

/// How soon the kernel is asked again after it could not be.
const RETRY: Duration = Duration::from_secs(1);

/// Reports the host's addresses, `tun`'s apart, after each change until `stop`.
pub async fn watch(tun: String, inputs: mpsc::Sender<Input>, stop: CancellationToken) {
    let watching = async {
        loop {
            if let Err(error) = follow(&tun, &inputs).await {
                tracing::warn!(%error, "The host's addresses are not watched");
            }
            sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(watching).await;
}

async fn follow(tun: &str, inputs: &mpsc::Sender<Input>) -> Result<(), LinksError> {
    let mut watch = Watch::open()?;
    loop {
        // The first time too: something may have changed before we listened.
        let links = links::read(tun).await?;
        // The drive is gone only when the daemon ends.
        let _ = inputs.send(Input::Host(links)).await;
        watch.change().await?;
    }
}

impl State {
    /// Follows the host's addresses.
    pub(super) fn look_around(&mut self, links: Links, now: Instant) {
        if self.reload.under_way {
            self.reload.links = Some(links);
            return;
        }
        let running = &mut self.drive.running;
        let connected = links.connected();
        let moved = std::mem::replace(&mut running.links, links) != running.links;
        if connected == running.connected {
            if moved {
                self.publish_routes();
            }
            return;
        }
        tracing::info!("The host's networks changed");
        running.connected = connected;
        match accepted::load(&running.config.state_dir) {
            Ok(accepted) => self.rule_anew(&accepted, now),
            Err(error) => {
                tracing::error!(%error, "The accepted records cannot be read: verdicts stay")
            }
        }
        self.drive.packets.set_local(&self.drive.running.connected);
        self.stale = true;
        self.publish_routes();
    }

    fn rule_anew(&mut self, accepted: &BTreeSet<Digest>, now: Instant) {
        let running = &mut self.drive.running;
        let rulings = rule(&running.config, &running.connected, accepted);
        for fault in news(&running.rulings, &rulings).filter_map(Ruling::fault) {
            tracing::warn!(reason = %fault, "A network of this host overlaps a member's prefix");
        }
        if rulings == running.rulings {
            return;
        }
        running.rulings = rulings;
        let membership = membership(&running.config, &running.rulings);
        let spec = policy(&running.config, &membership, running.guard);
        let (filter, inputs) = (running.filter.clone(), self.drive.inputs.clone());
        self.reload.under_way = true;
        tokio::spawn(async move {
            let result = filter.lock().await.apply(&spec).await;
            // The drive is gone only when the daemon ends.
            let _ = inputs.send(Input::Filtered(result)).await;
        });
        self.take_over(membership, false, now);
    }

    /// The packet filter follows, or drops what it did not hear of: it fails closed.
    pub(super) fn end_filtering(&mut self, result: Result<(), FirewallError>, now: Instant) {
        if let Err(error) = result {
            tracing::error!(%error, "The packet filter does not know the host's new networks");
        }
        self.end_change(now);
    }
}

/// Rulings that were not among those `before`.
fn news<'r>(before: &'r [Ruling], after: &'r [Ruling]) -> impl Iterator<Item = &'r Ruling> {
    after.iter().filter(|ruling| !before.contains(ruling))
}
