//! What a running gateway changes in the kernel, set up in an order that fails closed and taken
//! back the other way: device, packet filter, forwarding, routes.
//!
//! Taken first, the device is also the lock against a second daemon in this network namespace. The
//! `unreachable` routes stay at the end, so that private traffic never meets the default route.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ringway_config::TunName;
use ringway_host::firewall::{Filter, Nft, short_idle_timeout};
use ringway_host::forwarding::Forwarding;
use ringway_host::links;
use ringway_host::routes::KernelRoutes;
use ringway_host::tun::{self, open_tun};
use ringway_host::watch::Held;
use ringway_intent::{Families, Links, Tunnelled, plan_routes, policy};
use tokio::sync::Mutex;
use tun_rs::SyncDevice;

use crate::plane::Device;
use crate::prepare::Prepared;

/// MTU of the device: 1500 bytes, less the IPv4, UDP and tunnel headers. Each route has that of its
/// tunnel.
const TUNNEL_MTU: u16 = 1440;

/// The parts of the kernel that a gateway holds.
pub(super) struct Kernel {
    pub(super) tun: Arc<SyncDevice>,
    pub(super) device: Device,
    pub(super) filter: Filter,
    /// They are in place: every remote prefix is unreachable.
    pub(super) routes: KernelRoutes,
    /// What else must stay as it is.
    pub(super) held: Held,
    pub(super) links: Links,
    /// Families that forward only because of this daemon.
    pub(super) guard: Families,
}

/// Takes back what a gateway has changed in the kernel.
pub(super) struct Restore {
    forwarding: Forwarding,
    tun: TunName,
}

impl Kernel {
    /// Sets everything up. After an error, what was done is taken back.
    pub(super) async fn set_up(prepared: &Prepared) -> anyhow::Result<(Kernel, Restore)> {
        let config = &prepared.config;

        // Fails if another daemon in this network namespace has a device of this name.
        let (tun, index) = open_tun(&config.tun, TUNNEL_MTU, config.lanes.get() as usize)?;
        let index = Arc::new(AtomicU32::new(index));
        let device = Device {
            name: config.tun.clone(),
            mtu: TUNNEL_MTU,
            index: index.clone(),
        };

        // Forwarding that only this daemon needs is restricted before it is switched on.
        let mut spec = policy(config, &prepared.rulings, Families::default());
        let settings = config.state_dir.join("kernel-settings.json");
        let forwarding = Forwarding::prepare(Families::of(&spec.own), &settings)?;
        let guard = forwarding.ours();
        spec.guard_forwarding = guard;

        let mut firewall = Nft::new(&config.tun);
        firewall.apply(&spec).await?;

        let restore = Restore {
            forwarding,
            tun: config.tun.clone(),
        };
        match restore.enable(prepared, index).await {
            Ok((links, routes, held)) => {
                let kernel = Kernel {
                    tun,
                    device,
                    filter: Arc::new(Mutex::new(firewall)),
                    routes,
                    held,
                    links,
                    guard,
                };
                Ok((kernel, restore))
            }
            Err(error) => {
                // The device goes first: without the filter, nothing may pass through it.
                drop(tun);
                restore.restore().await?;
                Err(error)
            }
        }
    }
}

impl Restore {
    /// Forwards, and installs the routes of a gateway without tunnels.
    async fn enable(
        &self,
        prepared: &Prepared,
        tun: Arc<AtomicU32>,
    ) -> anyhow::Result<(Links, KernelRoutes, Held)> {
        self.forwarding.enable()?;
        if let Some(idle) = short_idle_timeout() {
            tracing::warn!(
                ?idle,
                "The kernel forgets idle TCP connections early: gRPC streams will break"
            );
        }

        let config = &prepared.config;
        let links = links::read(&config.tun).await?;
        // No tunnel is up yet: every prefix of another site becomes `unreachable`.
        let plan = plan_routes(
            config,
            &prepared.rulings,
            &prepared.connected,
            &Tunnelled::new(),
            &links,
        );

        let mut routes = KernelRoutes::open(config.routes, tun.clone())?;
        routes.sync(&plan).await?;

        let families = Families::of(config.own_prefixes().iter().map(|own| &own.prefix));
        let mut settings = tun::settings(&config.tun);
        settings.extend(self.forwarding.held(families));
        let held = Held::open(config.tun.as_str(), tun, TUNNEL_MTU, settings)?;
        Ok((links, routes, held))
    }

    /// Switches off what was switched on. The device is gone by now, so the filter may go too.
    pub(super) async fn restore(self) -> anyhow::Result<()> {
        self.forwarding.restore()?;
        Nft::new(&self.tun).remove().await?;
        Ok(())
    }
}
