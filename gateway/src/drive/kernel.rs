//! [`KernelPort`]: routes, packet filter and TUN device. Routes and filter are written by tasks
//! that the daemon waits for, so that nothing is written after the kernel was restored.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_host::firewall::Filter;
use ringway_host::routes::{KernelRoutes, RoutesError};
use ringway_intent::{PolicySpec, RoutePlan};
use ringway_shell::{ChangeId, Input, RoutesOutcome};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::jobs::{Event, Jobs};
use crate::plane::Plane;

/// How long the kernel may take to list and change routes.
const ROUTES: Duration = Duration::from_secs(10);

/// What the daemon writes in the kernel while it runs.
pub struct KernelPort {
    routes: Arc<Mutex<KernelRoutes>>,
    filter: Filter,
    plane: Plane,
}

impl KernelPort {
    /// For routes and a filter that were set up already.
    pub fn new(routes: KernelRoutes, filter: Filter, plane: Plane) -> KernelPort {
        KernelPort {
            routes: Arc::new(Mutex::new(routes)),
            filter,
            plane,
        }
    }

    /// How often the TUN device was found down or gone, and brought back.
    pub(super) fn recreated(&self) -> u64 {
        self.plane.recreated()
    }

    pub(super) fn sync_routes(&self, plan: RoutePlan, jobs: &Jobs) {
        let routes = self.routes.clone();

        jobs.spawn_to_end(async move {
            let routes = routes.lock().await;

            // A deadline, since the daemon waits for this task when it ends.
            let outcome = match timeout(ROUTES, routes.sync(&plan)).await {
                Ok(Ok(())) => RoutesOutcome::Done,
                Ok(Err(error)) => refused(&error),
                Err(_) => {
                    tracing::warn!(elapsed = ?ROUTES, "The kernel does not answer for its routes");
                    RoutesOutcome::Failed
                }
            };
            Event::Shell(Input::RoutesSynced(outcome))
        });
    }

    pub(super) fn apply_filter(&self, change: ChangeId, spec: PolicySpec, jobs: &Jobs) {
        let filter = self.filter.clone();

        // `nft` has a deadline of its own.
        jobs.spawn_to_end(async move {
            let result = filter.lock().await.apply(&spec).await;
            Event::Shell(Input::Filtered {
                change,
                result: result.map_err(|error| error.to_string()),
            })
        });
    }

    pub(super) fn check_device(&mut self, now: Instant) -> Option<Input> {
        self.plane.restore(now).then_some(Input::DeviceRecreated)
    }
}

fn refused(error: &RoutesError) -> RoutesOutcome {
    let reason = error.source().map(ToString::to_string);
    tracing::warn!(%error, reason, "Kernel routes are not as wanted");

    match error {
        RoutesError::Refused { refused, .. } => RoutesOutcome::Refused(refused.clone()),
        _ => RoutesOutcome::Failed,
    }
}
