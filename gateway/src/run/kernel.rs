//! What a running gateway changes in the kernel, set up in an order that fails closed and taken back the
//! other way: device, packet filter, forwarding, routes.
//!
//! Taken first, the device is also the lock against a second daemon in this network namespace. The
//! `unreachable` routes stay at the end, so that private traffic never meets the default route.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ringway_core::Fib;
use tokio::sync::Mutex;
use tun_rs::SyncDevice;

use crate::host::Families;
use crate::host::firewall::{Filter, Firewall as _, Nft, short_idle_timeout};
use crate::host::forwarding::Forwarding;
use crate::host::links::{self, Links};
use crate::host::routes::{KernelRoutes, Routes as _};
use crate::host::tun::open_tun;
use crate::keeper::{Wanted, wanted};
use crate::membership::{membership, policy};
use crate::plane::Device;
use crate::prepare::Prepared;

/// MTU of the device: what fits a 1500-byte path over IPv4 (DESIGN.md 4.2, "Overhead"). Each route has that of its
/// own tunnel.
const TUNNEL_MTU: u16 = 1440;

/// The parts of the kernel that a gateway holds.
pub(super) struct Kernel {
    pub(super) tun: Arc<SyncDevice>,
    pub(super) device: Device,
    pub(super) filter: Filter,
    pub(super) routes: KernelRoutes,
    pub(super) links: Links,
    /// The routes that are in place: every remote prefix unreachable.
    pub(super) wanted: Wanted,
    /// Families that forward only because of this daemon.
    pub(super) guard: Families,
}

/// Puts back what can be, and takes the filter away last.
pub(super) struct Restore {
    forwarding: Forwarding,
    tun: String,
}

impl Kernel {
    /// Sets everything up. After an error, what was done is taken back.
    pub(super) async fn set_up(prepared: &Prepared) -> anyhow::Result<(Kernel, Restore)> {
        let Prepared {
            config, rulings, ..
        } = prepared;
        let membership = membership(config, rulings);
        let (tun, index) = open_tun(config.tun.as_str(), TUNNEL_MTU, config.lanes.get() as usize)?;
        let index = Arc::new(AtomicU32::new(index));
        let device = Device {
            name: config.tun.to_string(),
            mtu: TUNNEL_MTU,
            index: index.clone(),
        };
        let needed = Families::of(membership.local_prefixes());
        let forwarding =
            Forwarding::prepare(needed, &config.state_dir.join("kernel-settings.json"))?;
        let guard = forwarding.ours();
        let mut firewall = Nft::new(config.tun.as_str());
        firewall.apply(&policy(config, &membership, guard)).await?;
        let restore = Restore {
            forwarding,
            tun: config.tun.to_string(),
        };
        match restore.go_on(prepared, index).await {
            Ok((links, wanted, routes)) => {
                let filter = Arc::new(Mutex::new(firewall));
                Ok((
                    Kernel {
                        tun,
                        device,
                        filter,
                        routes,
                        links,
                        wanted,
                        guard,
                    },
                    restore,
                ))
            }
            Err(error) => {
                drop(tun);
                restore.restore().await?;
                Err(error)
            }
        }
    }
}

impl Restore {
    async fn go_on(
        &self,
        prepared: &Prepared,
        tun: Arc<AtomicU32>,
    ) -> anyhow::Result<(Links, Wanted, KernelRoutes)> {
        self.forwarding.enable()?;
        if let Some(idle) = short_idle_timeout() {
            tracing::warn!(
                ?idle,
                "The kernel forgets idle TCP connections early: gRPC streams will break"
            );
        }
        let Prepared {
            config,
            rulings,
            connected,
            ..
        } = prepared;
        let links = links::read(config.tun.as_str()).await?;
        let wanted = wanted(config, rulings, connected, &Fib::default(), &links, |_| {
            None
        });
        let mut routes = KernelRoutes::open(config.routes, tun)?;
        routes.sync(&wanted).await?;
        Ok((links, wanted, routes))
    }

    /// After the device is gone: the filter may follow.
    pub(super) async fn restore(self) -> anyhow::Result<()> {
        self.forwarding.restore()?;
        Nft::new(&self.tun).remove().await?;
        Ok(())
    }
}
