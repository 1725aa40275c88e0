//! [`KernelPort`]: routes, guard and TUN device. Tasks that the daemon waits for write them, so
//! that nothing is written after the daemon has ended.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::Config;
use ringway_host::guard::SharedGuard;
use ringway_host::routes::{KernelRoutes, RoutesError};
use ringway_host::watch::{Authors, DeviceWatch, inspect};
use ringway_intent::{Checked, GuardSpec, Inspection, RoutePlan, Thing};
use ringway_shell::{ChangeId, Input, RoutesOutcome};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::jobs::{Event, Jobs};
use crate::plane::Plane;

/// Time limit for listing and changing routes.
const ROUTES: Duration = Duration::from_secs(10);

/// Time limit for one batch of packets, after which the thread counts as hanging. A batch takes
/// milliseconds, unless the machine gives the thread no CPU time.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The kernel objects that the daemon maintains while it runs.
pub struct KernelPort {
    routes: Arc<Mutex<RoutesPort>>,
    guard: SharedGuard,
    devices: Arc<Mutex<DeviceWatch>>,
    authors: Authors,
    plane: Plane,
}

struct RoutesPort {
    kernel: KernelRoutes,
    /// The refusal that was last logged.
    refusal: Option<String>,
}

impl KernelPort {
    /// For routes and a guard that are already set up.
    pub fn new(
        routes: KernelRoutes,
        guard: SharedGuard,
        devices: DeviceWatch,
        authors: Authors,
        plane: Plane,
    ) -> KernelPort {
        let routes = RoutesPort {
            kernel: routes,
            refusal: None,
        };

        KernelPort {
            routes: Arc::new(Mutex::new(routes)),
            guard,
            devices: Arc::new(Mutex::new(devices)),
            authors,
            plane,
        }
    }

    /// How often the TUN device was found down or removed, and restored.
    pub(super) fn recreated(&self) -> u64 {
        self.plane.recreated()
    }

    /// True while a thread of the data plane hangs.
    pub(super) fn has_stalled(&mut self, now: Instant) -> bool {
        self.plane.has_stalled(STALL_TIMEOUT, now)
    }

    pub(super) fn sync_routes(&self, plan: RoutePlan, jobs: &Jobs) {
        let routes = self.routes.clone();
        let authors = self.authors.clone();

        jobs.spawn_to_end(async move {
            let mut routes = routes.lock().await;

            // The daemon waits for this task when it stops, so it has a deadline.
            let result = timeout(ROUTES, routes.kernel.sync(&plan)).await;
            let (outcome, mut restored) = match result {
                Ok(Ok(restored)) => {
                    routes.refusal = None;
                    (RoutesOutcome::Done, restored)
                }
                Ok(Err(error)) => (routes.refused(&error), Vec::new()),
                Err(_) => {
                    tracing::warn!(elapsed = ?ROUTES, "The kernel does not answer for its routes");
                    (RoutesOutcome::Failed, Vec::new())
                }
            };

            for restoration in &mut restored {
                restoration.by = authors.of_routes();
            }
            Event::Shell(Input::RoutesSynced { outcome, restored })
        });
    }

    /// Gives the TUN device of an attached node these addresses in place of those before.
    pub(super) fn set_addresses(&self, addresses: Vec<IpAddr>, jobs: &Jobs) {
        let devices = self.devices.clone();

        jobs.run_to_end(async move {
            let mut devices = devices.lock().await;
            devices.set_addresses(addresses);
            if let Err(error) = devices.apply_addresses().await {
                tracing::warn!(%error, "The TUN device does not have its addresses; retrying");
            }
        });
    }

    /// Compares and restores the guard, the device's MTU and the settings, except those in `leave`.
    pub(super) fn check(&self, leave: BTreeSet<Thing>, jobs: &Jobs) {
        let guard = self.guard.clone();
        let devices = self.devices.clone();
        let authors = self.authors.clone();

        jobs.spawn_to_end(async move {
            let mut checked = Checked::default();
            let leaves_table = leave.contains(&Thing::Table);

            // The guard first: it prevents leaks whatever else is wrong.
            let mut guard = guard.lock().await;
            guard.hold(leaves_table, &authors, &mut checked).await;
            let forwarding = guard.settings();
            drop(guard);

            let mut devices = devices.lock().await;
            devices.set_forwarding(forwarding);
            devices.check(&leave, &mut checked).await;
            Event::Shell(Input::KernelChecked(checked))
        });
    }

    /// Looks for rules and routes of other programs that affect our traffic.
    pub(super) fn inspect(&self, config: &Config, inspection: Inspection, jobs: &Jobs) {
        let tun = config.tun.clone();
        let numbers = config.routes;

        jobs.spawn(async move {
            let answer = inspect(&tun, numbers, inspection).await;
            if let Err(error) = &answer {
                tracing::debug!(%error, "The kernel was not asked for its verdict");
            }
            Event::Shell(Input::Inspected(answer.ok()))
        });
    }

    pub(super) fn switch_forwarding(&self, on: bool, jobs: &Jobs) {
        let devices = self.devices.clone();

        jobs.run_to_end(async move { devices.lock().await.switch_forwarding(on) });
    }

    pub(super) fn apply_guard(&self, change: ChangeId, spec: GuardSpec, jobs: &Jobs) {
        let guard = self.guard.clone();

        // `nft` has a time limit of its own.
        jobs.spawn_to_end(async move {
            let result = guard.lock().await.apply(&spec).await;
            Event::Shell(Input::Guarded {
                change,
                result: result.map_err(|error| error.to_string()),
            })
        });
    }

    pub(super) fn check_device(&mut self, now: Instant) -> Option<Input> {
        self.plane.restore(now).then_some(Input::DeviceRecreated)
    }
}

impl RoutesPort {
    /// Logs a refusal once, and again when it changes. The operation is retried each second.
    fn refused(&mut self, error: &RoutesError) -> RoutesOutcome {
        let reason = error.source().map(ToString::to_string);
        let refusal = format!("{error}: {reason:?}");
        if self.refusal.as_ref() != Some(&refusal) {
            tracing::warn!(%error, reason, "Kernel routes are not as wanted");
        }
        self.refusal = Some(refusal);

        match error {
            RoutesError::Refused { refused, .. } => RoutesOutcome::Refused(refused.clone()),
            _ => RoutesOutcome::Failed,
        }
    }
}
