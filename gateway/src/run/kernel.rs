//! Sets up what a gateway needs in the kernel, in an order that fails closed: the device, the guard
//! with forwarding, the routes; only then does the device go up.
//!
//! Because the device comes first, it is also the lock against a second daemon in this network
//! namespace. At the end only the device is removed. Forwarding, guard and `unreachable` routes
//! stay: private traffic must never take the default route, and hosts get an ICMP error.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ringway_host::guard::{Guard, SharedGuard};
use ringway_host::links;
use ringway_host::routes::KernelRoutes;
use ringway_host::traces::Traces;
use ringway_host::tun::{self, create_tun, raise_tun};
use ringway_host::watch::{Authors, DeviceWatch};
use ringway_intent::{
    Checked, Links, Restoration, RoutePlan, Scope, Situation, Tunnelled, guard, plan_closed_routes,
    plan_routes,
};
use tokio::sync::Mutex;
use tun_rs::SyncDevice;

use super::blocking;
use super::device_name::DeviceName;
use crate::plane::Device;
use crate::prepare::Prepared;
use crate::route_numbers;
use crate::state::StateFiles;
use crate::wireguard::ClientDevice;

/// MTU of the device: 1500 bytes minus the IPv4, UDP and tunnel headers. Each route has the MTU of
/// its tunnel.
const TUNNEL_MTU: u16 = 1440;

/// The kernel objects of a running gateway.
pub(super) struct Kernel {
    pub(super) tun: Arc<SyncDevice>,
    pub(super) device: Device,
    pub(super) guard: SharedGuard,
    /// Routes: no packet to a remote prefix follows the default route.
    pub(super) routes: KernelRoutes,
    /// Guard, forwarding and other settings that must stay.
    pub(super) devices: DeviceWatch,
    pub(super) links: Links,
    /// The TUN device for WireGuard clients, if there is one.
    pub(super) clients: Option<ClientDevice>,
}

/// What answers packets to a prefix without a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// The data plane, which starts next.
    DataPlane,
    /// The kernel, while the gateway waits for the right time.
    Kernel,
}

impl Answers {
    /// The routes before any tunnel is up.
    fn plan(self, situation: &Situation<'_>) -> RoutePlan {
        match self {
            Answers::DataPlane => plan_routes(situation, &Tunnelled::new()),
            Answers::Kernel => plan_closed_routes(situation),
        }
    }
}

impl Kernel {
    /// Sets everything up. After an error, what is in place stays: it only drops packets.
    pub(super) async fn set_up(
        prepared: &Prepared,
        answers: Answers,
        files: &Arc<StateFiles>,
    ) -> anyhow::Result<Kernel> {
        let config = &prepared.config;

        // Fails if another daemon in this network namespace has a device of this name.
        let tun = create_tun(&config.tun, TUNNEL_MTU, config.lanes.get() as usize)
            .map_err(|error| DeviceName::of_tunnels(config).blame(error))?;
        let clients = config.wireguard.as_ref();
        let clients = clients
            .map(ClientDevice::create)
            .transpose()
            .map_err(|error| DeviceName::of_clients(config).blame(error))?;

        let links = links::read(&config.tun, &Scope::of(config)).await?;
        let situation = prepared.situation(&links);

        let mut keeper = Guard::new(&config.tun, &config.state_dir.join("kernel-settings.json"));
        keeper.apply(&guard(&situation)).await?;

        // Only now, because the rules for what the device carries are in place.
        let index = Arc::new(AtomicU32::new(raise_tun(&config.tun, &tun)?));
        if let Some(clients) = &clients {
            clients.raise()?;
        }
        let plan = answers.plan(&situation);
        let clients_index = clients.as_ref().map(|clients| clients.index.clone());
        let indices = (index.clone(), clients_index.clone());
        let routes = install_routes(prepared, &plan, indices, files).await?;
        let device = Device {
            name: config.tun.clone(),
            mtu: TUNNEL_MTU,
            index,
        };

        let mut devices = DeviceWatch::open(
            config.tun.as_str(),
            device.index.clone(),
            TUNNEL_MTU,
            tun::settings(&config.tun),
        )?;
        if let (Some(wireguard), Some(index)) = (&config.wireguard, clients_index) {
            let settings = tun::settings(&wireguard.tun);
            devices.add_clients(
                wireguard.tun.as_str(),
                index,
                ringway_wireguard::MTU,
                settings,
            );
        }
        if let Some(attach) = &config.attach {
            devices.set_addresses(attach.addresses.clone());
            devices.apply_addresses().await?;
        }
        Ok(Kernel {
            tun,
            device,
            guard: Arc::new(Mutex::new(keeper)),
            routes,
            devices,
            links,
            clients,
        })
    }

    /// True if the current files demand the same guard and routes as `before`.
    pub(super) fn is_right_for(&self, before: &Prepared, now: &Prepared) -> bool {
        let before = before.situation(&self.links);
        let now = now.situation(&self.links);

        guard(&before) == guard(&now) && Answers::Kernel.plan(&before) == Answers::Kernel.plan(&now)
    }

    /// Restores guard and routes after other programs have changed them, while the gateway waits.
    /// `authors` names those programs.
    pub(super) async fn hold(&mut self, prepared: &Prepared, authors: &Authors) {
        let mut checked = Checked::default();
        self.guard
            .lock()
            .await
            .hold(false, authors, &mut checked)
            .await;

        let situation = prepared.situation(&self.links);
        let plan = Answers::Kernel.plan(&situation);
        match self.routes.sync(&plan).await {
            Ok(restored) => checked.restored.extend(restored),
            Err(error) => tracing::warn!(%error, "Kernel routes are not as wanted"),
        }

        for Restoration {
            name, found, by, ..
        } in checked.restored
        {
            tracing::warn!(name, found, by, "Restored what another program has changed");
        }
        for missing in checked.missing {
            tracing::error!(
                name = missing.name,
                reason = missing.reason,
                "Not as needed"
            );
        }
    }
}

/// Installs the routes before any tunnel is up. Then removes what an earlier run with other names
/// or numbers has left.
async fn install_routes(
    prepared: &Prepared,
    plan: &RoutePlan,
    (tun, clients): (Arc<AtomicU32>, Option<Arc<AtomicU32>>),
    files: &Arc<StateFiles>,
) -> anyhow::Result<KernelRoutes> {
    let config = &prepared.config;
    if let Some(finding) = route_numbers::conflict(config).await {
        anyhow::bail!("{}; {}", finding.what, finding.remedy);
    }

    let mut routes = KernelRoutes::open(config.routes, tun)?;
    if let Some(clients) = clients {
        routes.set_wireguard(clients);
    }
    let earlier = prepared.traces.as_ref();

    // Adopt rules of prefixes that are no longer ours, so that the comparison below removes them.
    routes.adopt(earlier.iter().flat_map(|traces| traces.own.iter().copied()));
    routes.sync(plan).await?;

    let traces = Traces::of(config, &prepared.held);
    if let Some(earlier) = earlier {
        earlier.clear(&traces).await;
    }
    let dir = config.state_dir.clone();
    let files = files.clone();
    blocking(move || {
        files.store_traces(dir, traces);
        Ok(())
    })
    .await?;
    Ok(routes)
}
