//! [`run`]: brings a gateway up, keeps it up until a signal ends it, and takes it down.
//!
//! ```text
//!   prepare ─► TUN, down ─► guard ─► forwarding ─► TUN, up ─► routes ─► sockets, data plane
//!           ─► QUIC ─► DNS ─► drive
//! ```
//! The order fails closed: the device's name is the lock against a second daemon; the guard is in
//! place before anything is forwarded and before the device is up; and the routes keep private
//! traffic off the default route before the first tunnel is up. At the end the device goes; guard,
//! forwarding and the `unreachable` routes stay.

mod gateway;
mod kernel;
mod signals;
mod sockets;
mod waiting;

use std::net::SocketAddr;
use std::path::Path;

use ringway_config::{Config, Faults, accepted};
use tokio::task::spawn_blocking;

use crate::admin;
use crate::attention::Attention;
use crate::drive::Stored;
use crate::policy::{former, tests};
use crate::prepare::Prepared;
use crate::state::{AcceptedFile, REMEDY, RecordsFile, chain, create_private};
use gateway::{Gateway, State};
use kernel::Kernel;
use signals::Signals;
use waiting::prepare_in_time;

/// Why a gateway ended or never began.
#[derive(Debug)]
pub enum RunError {
    /// Its files are wrong.
    Faults(Faults),
    /// Something failed that is no file's fault.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for RunError {
    fn from(error: anyhow::Error) -> RunError {
        RunError::Failed(error)
    }
}

/// Runs the gateway of `path` until SIGTERM or SIGINT.
pub async fn run(path: &Path) -> Result<(), RunError> {
    // First: a signal that comes from here on waits, and ends the gateway in order.
    let mut signals = Signals::listen().map_err(|error| RunError::Failed(error.into()))?;
    let prepared = tokio::select! {
        prepared = prepare_in_time(path) => prepared.map_err(RunError::Faults)?,
        () = signals.ended() => return Ok(()),
    };

    for warning in prepared.warnings.0.iter().chain(&prepared.conflicts.0) {
        tracing::warn!(reason = %warning, "A file needs attention");
    }
    for hint in &prepared.hints.0 {
        tracing::warn!(reason = %hint, "A record is of an old version");
    }
    for failed in &prepared.policy_tests.failed.0 {
        tracing::error!(reason = %failed, "A policy test failed; the rules are in force");
    }
    warn_of_public_dns(&prepared.config);
    Ok(run_prepared(prepared, signals).await?)
}

async fn run_prepared(prepared: Prepared, signals: Signals) -> anyhow::Result<()> {
    raise_open_files();
    let gateway = prepared.config.id.clone();
    let state_dir = prepared.config.state_dir.clone();

    let attention = Attention::default();
    if let Some(failed) = prepared.policy_tests.failed.0.first() {
        let what = format!("a policy test failed; the rules are in force all the same: {failed}");
        attention.raise(tests::FAILED, &what, tests::REMEDY);
    }

    // Everything that follows stores something there: kernel settings, records, keys, zones. What
    // cannot be stored stays in memory.
    let made = blocking(move || Ok(create_private(&state_dir))).await?;
    if let Err(error) = made {
        let what = format!("there is no state directory: {}", chain(&error));
        attention.raise("state directory", &what, REMEDY);
    }

    let kernel = Kernel::set_up(&prepared).await?;
    serve(prepared, kernel, signals, attention).await?;
    tracing::info!(%gateway, "Gateway ended");
    Ok(())
}

/// Strangers can find a server that listens on such an address, although only members are answered.
fn warn_of_public_dns(config: &Config) {
    let listen = config.dns.listen.iter().map(SocketAddr::ip);

    for address in listen.filter(|address| !ringway_config::is_private(*address)) {
        tracing::warn!(
            %address,
            "DNS listens on an address that is not private ([dns] public-listen)"
        );
    }
}

/// As many open files as the service manager allows: DNS clients and resolvers may take a socket
/// each.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "The number of open files stays as it is");
    }
}

async fn serve(
    prepared: Prepared,
    kernel: Kernel,
    signals: Signals,
    attention: Attention,
) -> anyhow::Result<()> {
    let Prepared {
        config,
        rulings,
        accepted,
        newest,
        ..
    } = &prepared;
    let accepted = accepted::after(config, rulings, accepted);
    let file = AcceptedFile::new(config.state_dir.clone(), attention.clone());
    let records = RecordsFile::new(config.state_dir.clone(), attention.clone(), newest.clone());
    let socket = config.socket.clone();

    // Before they are in force: after a crash, the next start decides overlaps as this one.
    let saved = accepted.clone();
    let saving = (file.clone(), records.clone(), config.clone());
    blocking(move || {
        let (file, records, config) = saving;
        file.save(saved);
        records.follow(&config, None);
        Ok(())
    })
    .await?;

    let rules = config.clone();
    let former = blocking(move || Ok(former::of(&rules)));
    let (former_policies, remembered) = former.await?;
    if let Err(error) = remembered {
        let what = format!("the rules in force are not remembered: {}", chain(&error));
        attention.raise("policy file", &what, REMEDY);
    }

    let path = socket.clone();
    let admin = blocking(move || admin::socket::bind(&path)).await?;
    let state = State {
        accepted,
        former_policies,
        stored: Stored {
            accepted: file,
            records,
        },
        attention,
    };
    let ended = match Gateway::bind(prepared, state, kernel, admin).await {
        Ok(gateway) => {
            gateway.run(signals).await;
            Ok(())
        }
        Err(error) => Err(error),
    };

    blocking(move || {
        // A socket file that is gone already is no loss.
        let _ = std::fs::remove_file(&socket);
        Ok(())
    })
    .await?;
    ended
}

/// Runs `job`, which reads or writes files, on a thread that may block.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    spawn_blocking(job).await?
}
