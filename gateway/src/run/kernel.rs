//! What a running gateway changes in the kernel, set up in an order that fails closed: device,
//! guard with forwarding, routes; and only then the device goes up.
//!
//! Taken first, the device is also the lock against a second daemon in this network namespace. At
//! the end only the device goes. Forwarding, guard and `unreachable` routes stay: private traffic
//! must never meet the default route, and hosts get an answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ringway_host::guard::{Guard, SharedGuard};
use ringway_host::links;
use ringway_host::routes::KernelRoutes;
use ringway_host::traces::Traces;
use ringway_host::tun::{self, create_tun, raise_tun};
use ringway_host::watch::Held;
use ringway_intent::{Links, Situation, Tunnelled, guard, plan_routes};
use tokio::sync::Mutex;
use tun_rs::SyncDevice;

use super::blocking;
use crate::plane::Device;
use crate::prepare::Prepared;

/// MTU of the device: 1500 bytes, less the IPv4, UDP and tunnel headers. Each route has that of its
/// tunnel.
const TUNNEL_MTU: u16 = 1440;

/// The parts of the kernel that a gateway holds.
pub(super) struct Kernel {
    pub(super) tun: Arc<SyncDevice>,
    pub(super) device: Device,
    pub(super) guard: SharedGuard,
    /// They are in place: every remote prefix is unreachable.
    pub(super) routes: KernelRoutes,
    /// What else must stay as it is.
    pub(super) held: Held,
    pub(super) links: Links,
}

impl Kernel {
    /// Sets everything up. After an error, what is in force by then stays: it only drops.
    pub(super) async fn set_up(prepared: &Prepared) -> anyhow::Result<Kernel> {
        let config = &prepared.config;

        // Fails if another daemon in this network namespace has a device of this name.
        let tun = create_tun(&config.tun, TUNNEL_MTU, config.lanes.get() as usize)?;

        let own: Vec<_> = config.own_prefixes().iter().map(|own| own.prefix).collect();
        let links = links::read(&config.tun, &own).await?;
        let situation = Situation {
            config,
            rulings: &prepared.rulings,
            connected: &prepared.connected,
            links: &links,
            held: &prepared.held,
        };

        let mut keeper = Guard::new(&config.tun, &config.state_dir.join("kernel-settings.json"));
        keeper.apply(&guard(&situation)).await?;

        // Only now: what the device may carry has rules.
        let index = Arc::new(AtomicU32::new(raise_tun(&config.tun, &tun)?));
        let routes = install_routes(prepared, &situation, index.clone()).await?;
        let device = Device {
            name: config.tun.clone(),
            mtu: TUNNEL_MTU,
            index,
        };

        let held = Held::open(
            config.tun.as_str(),
            device.index.clone(),
            TUNNEL_MTU,
            tun::settings(&config.tun),
        )?;
        Ok(Kernel {
            tun,
            device,
            guard: Arc::new(Mutex::new(keeper)),
            routes,
            held,
            links,
        })
    }
}

/// The routes of a gateway without tunnels: every prefix of another site is `unreachable`. What an
/// earlier run with other names and numbers has left goes when these are in place.
async fn install_routes(
    prepared: &Prepared,
    situation: &Situation<'_>,
    tun: Arc<AtomicU32>,
) -> anyhow::Result<KernelRoutes> {
    let config = &prepared.config;
    let mut routes = KernelRoutes::open(config.routes, tun)?;
    let earlier = prepared.traces.as_ref();

    routes.adopt(earlier.iter().flat_map(|traces| traces.own.iter().copied()));
    routes
        .sync(&plan_routes(situation, &Tunnelled::new()))
        .await?;

    let traces = Traces::of(config, &prepared.held);
    if let Some(earlier) = earlier {
        earlier.clear(&traces).await;
    }
    remember(traces, config.state_dir.clone()).await;
    Ok(routes)
}

/// A state directory that cannot be written does not keep the gateway from running.
async fn remember(traces: Traces, state_dir: PathBuf) {
    let saved = blocking(move || Ok(traces.save(&state_dir)?)).await;

    if let Err(error) = saved {
        let error = format!("{error:#}");
        tracing::error!(
            error,
            "Not remembered what stays in the kernel: after a restart with other numbers it is \
             not removed"
        );
    }
}
