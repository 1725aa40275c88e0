//! Standard WireGuard clients, if the file has `[wireguard]`: the gateway's key for them, their
//! socket and their TUN device. The crate `ringway-wireguard` serves them.

mod clients;
mod findings;
mod outdated;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use ringway_config::disk::{self, Access, create_private, open_to_others};
use ringway_config::{Config, Fault, Place, TunName, WireGuard, reading};
use ringway_dataplane::{Snapshot, TunnelSocket};
use ringway_host::tun::{TunError, create_plain_tun, raise_tun};
use ringway_wireguard::{MTU, Parts, PrivateKey};
use tokio::sync::mpsc;
use tun_rs::SyncDevice;

pub(crate) use self::clients::Clients;
use self::outdated::Outdated;
use crate::run::sockets;
use crate::watch;

/// The TUN device for WireGuard clients.
pub(crate) struct ClientDevice {
    pub(crate) device: SyncDevice,
    pub(crate) name: TunName,
    /// Its interface index; changes when the device is re-created.
    pub(crate) index: Arc<AtomicU32>,
}

/// Path of the gateway's private key for WireGuard clients.
pub(crate) fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("wireguard.key")
}

/// Loads the gateway's key. Creates and stores it if there is none: clients that are there already
/// may have an earlier one in their files.
pub(crate) fn load_or_make_key(config: &Config) -> anyhow::Result<PrivateKey> {
    let state_dir = &config.state_dir;
    let path = key_path(state_dir);
    let named = format!("the key of WireGuard clients, {}", path.display());

    match reading::read_text(&path) {
        Ok(text) => PrivateKey::parse(&text).context(named),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = new_key()?;
            let text = format!("{}\n", key.text());
            let stored = create_private(state_dir)
                .and_then(|()| Outdated::store(state_dir, &config.nodes.list))
                .and_then(|()| disk::replace(&path, text.as_bytes(), Access::Owner));
            stored.context(named)?;
            Ok(key)
        }
        Err(error) => Err(error).context(named),
    }
}

/// The fault of a key file that other users can read: they could impersonate this gateway.
pub(crate) fn exposed(state_dir: &Path) -> Option<Fault> {
    let path = key_path(state_dir);
    let mode = open_to_others(&path.metadata().ok()?)?;

    Some(Fault {
        message: format!(
            "others may use the key of WireGuard clients (mode {mode:04o}) and pass for this \
             gateway; chmod 600 {path}, or, if somebody may have copied it, rm {path}, restart, \
             and give each client a new file with ringway node rekey",
            path = path.display()
        ),
        place: Place::whole(&path),
    })
}

/// A new private key.
pub(crate) fn new_key() -> anyhow::Result<PrivateKey> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| anyhow::anyhow!("the system has no random bytes"))?;

    Ok(PrivateKey::new(random))
}

impl ClientDevice {
    /// Creates the device. It stays down.
    pub(crate) fn create(wireguard: &WireGuard) -> Result<ClientDevice, TunError> {
        Ok(ClientDevice {
            device: create_plain_tun(&wireguard.tun, MTU)?,
            name: wireguard.tun.clone(),
            index: Arc::default(),
        })
    }

    /// Brings the device up.
    pub(crate) fn raise(&self) -> anyhow::Result<()> {
        self.index
            .store(raise_tun(&self.name, &self.device)?, Relaxed);
        Ok(())
    }

    /// Everything that the service needs.
    fn parts(
        self,
        key: PrivateKey,
        socket: TunnelSocket,
        tables: Arc<ArcSwap<Snapshot>>,
        events: mpsc::Sender<watch::Event>,
    ) -> Parts {
        let ClientDevice {
            device,
            name,
            index,
        } = self;

        Parts {
            key,
            socket,
            device,
            reopen: Box::new(move || {
                let device = create_plain_tun(&name, MTU).map_err(io::Error::other)?;
                let raised = raise_tun(&name, &device).map_err(io::Error::other)?;
                index.store(raised, Relaxed);
                Ok(device)
            }),
            tables,
            // If the queue is full, the service repeats the report in a second.
            on_activity: Box::new(move |clients| {
                let event = watch::Event::WireGuard(clients);
                events.try_send(event).is_ok()
            }),
        }
    }
}

/// Why clients cannot be served yet, and how to fix it.
struct Refusal {
    error: anyhow::Error,
    fix: &'static str,
}

/// Loads the gateway's key and opens the socket for clients. Blocks.
fn open(config: &Config, wireguard: &WireGuard) -> Result<(PrivateKey, TunnelSocket), Refusal> {
    let key = load_or_make_key(config).map_err(|error| Refusal {
        error,
        fix: "restore the file, or remove it and give each client a new one (ringway node rekey)",
    })?;
    let socket = bind(config, wireguard).map_err(|error| Refusal {
        error,
        fix: "set [wireguard] listen to a port that no other listen and no other program uses",
    })?;

    Ok((key, socket))
}

fn bind(config: &Config, wireguard: &WireGuard) -> anyhow::Result<TunnelSocket> {
    let socket = sockets::open(wireguard.listen, false)?;
    let socket = TunnelSocket::new(socket.into(), config.routes.mark)
        .context("cannot set up the UDP socket of WireGuard clients")?;

    socket.let_fragment()?;
    Ok(socket)
}
