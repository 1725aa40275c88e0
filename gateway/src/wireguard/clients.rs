//! [`Clients`]: starts the service of WireGuard clients. If their port is taken, or the key cannot
//! be read or stored, it raises a finding and retries: the gateway runs meanwhile.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_config::{Config, Node, WireGuard};
use ringway_dataplane::{Snapshot, TunnelSocket};
use ringway_intent::Remedy;
use ringway_wireguard::{PrivateKey, Report, Service};
use tokio::sync::mpsc;

use super::findings::Findings;
use super::outdated::Outdated;
use super::{ClientDevice, Refusal, open};
use crate::attention::Attention;
use crate::watch;

/// Name of the finding while clients are not served.
const FINDING: &str = "wireguard";

/// How often the clients' status is looked at: as often as it is made.
const REPORTS: Duration = Duration::from_secs(1);

/// Delay before a retry.
const RETRY: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Clone, Default)]
pub(crate) struct Clients {
    /// The attached nodes in force.
    nodes: Arc<ArcSwap<Vec<Node>>>,
    service: Arc<OnceLock<Service>>,
}

impl Clients {
    /// The service for the clients among `nodes`, not started yet.
    pub(crate) fn of(nodes: &[Node]) -> Clients {
        let clients = Clients::default();
        clients.nodes.store(Arc::new(nodes.to_vec()));
        clients
    }

    /// Replaces the attached nodes.
    pub(crate) fn set_nodes(&self, nodes: &[Node]) {
        self.nodes.store(Arc::new(nodes.to_vec()));
        self.update_service();
    }

    fn update_service(&self) {
        if let Some(service) = self.service.get() {
            service.set_nodes(self.nodes.load().to_vec());
        }
    }

    /// Status of the clients; empty until the service has started.
    pub(crate) fn report(&self) -> Arc<Report> {
        self.service
            .get()
            .map_or_else(Arc::default, Service::report)
    }

    /// Raises and clears what the operator should know about the clients.
    async fn watch(&self, config: &Config, attention: Attention) {
        let mut findings = Findings::new(attention, Outdated::load(&config.state_dir));
        let mut due = tokio::time::interval(REPORTS);

        loop {
            due.tick().await;
            findings.update(&self.nodes.load(), &self.report());
        }
    }

    /// Starts the service as soon as the key and the socket are available, and watches it.
    pub(crate) async fn serve(
        self,
        config: Arc<Config>,
        settings: WireGuard,
        device: ClientDevice,
        tables: Arc<ArcSwap<Snapshot>>,
        events: mpsc::Sender<watch::Event>,
        attention: Attention,
    ) {
        let (key, socket) = open_until_ready(config.clone(), &settings, &attention).await;
        let parts = device.parts(key, socket, tables, events);

        match Service::start(parts, self.nodes.load().to_vec()) {
            Ok(service) => {
                // `set` fails only if it is called twice, and only this task calls it.
                let _ = self.service.set(service);
                // The nodes may have changed while the service started.
                self.update_service();
                tracing::info!(listen = %settings.listen, "WireGuard clients are served");
                self.watch(&config, attention).await;
            }
            Err(error) => attention.raise(
                FINDING,
                &format!("WireGuard clients are not served: {error}"),
                Remedy::command("systemctl restart ringway"),
            ),
        }
    }
}

async fn open_until_ready(
    config: Arc<Config>,
    settings: &WireGuard,
    attention: &Attention,
) -> (PrivateKey, TunnelSocket) {
    loop {
        let config = config.clone();
        let wireguard = settings.clone();
        let opened = tokio::task::spawn_blocking(move || open(&config, &wireguard)).await;

        match opened {
            Ok(Ok(opened)) => {
                attention.clear(FINDING);
                return opened;
            }
            Ok(Err(Refusal { error, fix })) => attention.raise(
                FINDING,
                &format!("WireGuard clients are not served: {error:#}"),
                fix,
            ),
            // A panic was already logged by the panic hook. Retry.
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}
