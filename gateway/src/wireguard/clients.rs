//! [`Clients`]: the service of WireGuard clients, from the moment at which it can begin.
//! A port that is taken, or a key that cannot be read or stored, is tried again: the gateway runs
//! without it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_config::{Config, Node, WireGuard};
use ringway_dataplane::{Snapshot, TunnelSocket};
use ringway_intent::Remedy;
use ringway_wireguard::{PrivateKey, Report, Service};
use tokio::sync::mpsc;

use super::{ClientDevice, Refusal, open};
use crate::attention::Attention;
use crate::watch;

/// The finding while clients are not served.
const FINDING: &str = "wireguard";

/// How long until it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Clone, Default)]
pub(crate) struct Clients {
    /// Those that are to be served.
    nodes: Arc<ArcSwap<Vec<Node>>>,
    service: Arc<OnceLock<Service>>,
}

impl Clients {
    /// To serve the clients among `nodes`.
    pub(crate) fn of(nodes: &[Node]) -> Clients {
        let clients = Clients::default();
        clients.nodes.store(Arc::new(nodes.to_vec()));
        clients
    }

    /// These are the attached nodes from now on.
    pub(crate) fn follow(&self, nodes: &[Node]) {
        self.nodes.store(Arc::new(nodes.to_vec()));
        self.follow_stored();
    }

    fn follow_stored(&self) {
        if let Some(service) = self.service.get() {
            service.follow(self.nodes.load().to_vec());
        }
    }

    /// What is known of them; nothing while they are not served.
    pub(crate) fn report(&self) -> Arc<Report> {
        self.service
            .get()
            .map_or_else(Arc::default, Service::report)
    }

    /// Begins to serve, as soon as that is possible.
    pub(crate) async fn serve(
        self,
        config: Arc<Config>,
        settings: WireGuard,
        device: ClientDevice,
        tables: Arc<ArcSwap<Snapshot>>,
        events: mpsc::Sender<watch::Event>,
        attention: Attention,
    ) {
        let (key, socket) = opened(config, &settings, &attention).await;
        let parts = device.parts(key, socket, tables, events);

        match Service::start(parts, self.nodes.load().to_vec()) {
            Ok(service) => {
                // Nobody else sets it.
                let _ = self.service.set(service);
                // They may have changed in between.
                self.follow_stored();
                tracing::info!(listen = %settings.listen, "WireGuard clients are served");
            }
            Err(error) => attention.raise(
                FINDING,
                &format!("WireGuard clients are not served: {error}"),
                Remedy::command("systemctl restart ringway"),
            ),
        }
    }
}

async fn opened(
    config: Arc<Config>,
    settings: &WireGuard,
    attention: &Attention,
) -> (PrivateKey, TunnelSocket) {
    loop {
        let (config, wireguard) = (config.clone(), settings.clone());
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
            // A panic has said so.
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}
