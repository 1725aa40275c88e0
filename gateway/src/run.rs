//! [`run`]: brings a gateway up, keeps it up until a signal ends it, and takes it down.
//!
//! ```text
//!   prepare ─► TUN, down ─► guard ─► forwarding ─► TUN, up ─► routes ─► sockets, data plane
//!           ─► QUIC ─► DNS ─► drive
//! ```
//! The order fails closed. The device's name is the lock against a second daemon. The guard is in
//! place before anything is forwarded and before the device is up. The routes keep private traffic
//! off the default route before the first tunnel is up. A gateway that waits for the right time
//! already has guard and routes. At the end the device is removed; guard, forwarding and the
//! `unreachable` routes stay.

pub(crate) mod device_name;
mod gateway;
mod kernel;
mod names;
mod pid_file;
mod signals;
pub(crate) mod sockets;
mod waiting;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ringway_config::disk::create_private;
use ringway_config::{Config, Fault, Faults, Place, accepted};
use ringway_intent::absent_listen;
use tokio::task::spawn_blocking;

use crate::admin::socket::{self, FileListener, SocketGroup};
use crate::attention::Attention;
use crate::drive::Stored;
use crate::notes;
use crate::policy::former::{self, RulesFile};
use crate::policy::judge::spec;
use crate::policy::tests;
use crate::prepare::Prepared;
use crate::service_manager::ServiceManager;
use crate::state::{NewestLists, RecordsFile, SiblingSecrets, StateFiles};
use gateway::{Gateway, State};
use kernel::{Answers, Kernel};
use pid_file::PidFile;
use signals::{Outside, Signals};
use waiting::prepare_in_time;

/// Why a gateway ended or did not start.
#[derive(Debug)]
pub enum RunError {
    /// Its files have faults.
    Faults(Faults),
    /// An error that is not the fault of a file.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for RunError {
    fn from(error: anyhow::Error) -> RunError {
        RunError::Failed(error)
    }
}

/// Options of a run.
#[derive(Debug, Default)]
pub struct Options {
    /// File that holds the process id while the gateway runs.
    pub pid_file: Option<PathBuf>,
    /// Reload after a change of the files.
    pub watches_files: bool,
    /// The file must be that of an attached node.
    pub must_be_node: bool,
}

/// Runs the gateway of the file `path` until SIGTERM or SIGINT.
pub async fn run(path: &Path, options: Options) -> Result<(), RunError> {
    let begin = SystemTime::now();
    let service = ServiceManager::of_this_process();
    // First, so that a signal during the start is not lost and ends the gateway in order.
    let mut signals = Signals::listen().map_err(|error| RunError::Failed(error.into()))?;
    let prepared = tokio::select! {
        prepared = prepare_in_time(path, &service) => prepared?,
        () = signals.ended() => return Ok(()),
    };

    if options.must_be_node && prepared.config.attach.is_none() {
        return Err(RunError::Faults(gateway_file(path)));
    }

    let warnings = prepared.warnings.0.iter().chain(&prepared.conflicts.0);
    notes::log_others(warnings, &prepared.config, &prepared.trust);
    for hint in &prepared.hints.0 {
        tracing::warn!(reason = %hint, "A file should be changed at some time");
    }
    for failed in &prepared.policy_tests.failed.0 {
        tracing::error!(reason = %failed, "A policy test failed; the rules are in force");
    }
    warn_of_public_dns(&prepared.config);
    let outside = Outside {
        signals,
        changes: options.watches_files.then_some(begin),
    };
    Ok(run_prepared(prepared, outside, service, options.pid_file.as_deref()).await?)
}

fn gateway_file(path: &Path) -> Faults {
    let shown = path.display();

    Faults::from(vec![Fault {
        place: Place::whole(path),
        message: format!(
            "is the file of a gateway; ringway run -c {shown} runs it, and ringway attach init \
             makes the file of an attached node"
        ),
    }])
}

async fn run_prepared(
    prepared: Prepared,
    outside: Outside,
    service: ServiceManager,
    pid_file: Option<&Path>,
) -> anyhow::Result<()> {
    raise_open_files();
    let gateway = prepared.config.id.clone();
    let state_dir = prepared.config.state_dir.clone();

    let attention = Attention::default();
    notes::note(&prepared.config, &attention);
    let files = StateFiles::new(attention.clone());
    make_state_directory(state_dir, &files).await?;
    if let Some(failed) = prepared.policy_tests.failed.0.first() {
        let what = format!("a policy test failed; the rules are in force all the same: {failed}");
        attention.raise(tests::FAILED, &what, tests::remedy());
    }

    let kernel = Kernel::set_up(&prepared, Answers::DataPlane, &files).await?;
    if let Some(absent) = absent_listen(&prepared.config, &kernel.links) {
        tracing::warn!(reason = absent.what, "The tunnel's address is missing");
    }
    // Only now: the device is the lock, and a second daemon must not overwrite the file of the
    // first.
    let pid_file = pid_file.map(PidFile::write).transpose()?;
    let reporting = Reporting { service, attention };
    serve(prepared, kernel, outside, reporting, files).await?;
    drop(pid_file);
    tracing::info!(%gateway, "Gateway ended");
    Ok(())
}

/// Where the gateway reports its state.
struct Reporting {
    service: ServiceManager,
    attention: Attention,
}

/// Creates the state directory. All later steps store something there: kernel settings, records,
/// keys, zones. What cannot be stored stays in memory.
async fn make_state_directory(dir: PathBuf, files: &Arc<StateFiles>) -> anyhow::Result<()> {
    let files = files.clone();

    blocking(move || {
        files.store("state directory", "there is no state directory", {
            let dir = dir.clone();
            move || Ok(create_private(&dir)?)
        });
        files.make_private(dir);
        Ok(())
    })
    .await
}

/// Warns of a DNS server on a public address: anyone can find it, although only members get
/// answers.
fn warn_of_public_dns(config: &Config) {
    let listen = config.dns.listen.iter().map(SocketAddr::ip);

    for address in listen.filter(|address| !ringway_config::is_private(*address)) {
        tracing::warn!(
            %address,
            "DNS listens on an address that is not private ([dns] public-listen)"
        );
    }
}

/// Raises the limit of open files to what the service manager allows: DNS clients and resolvers may
/// need a socket each.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "Cannot raise the limit of open files");
    }
}

async fn serve(
    prepared: Prepared,
    kernel: Kernel,
    outside: Outside,
    reporting: Reporting,
    files: Arc<StateFiles>,
) -> anyhow::Result<()> {
    let Reporting { service, attention } = reporting;
    let Prepared {
        config,
        zone,
        rulings,
        accepted,
        newest,
        ..
    } = &prepared;
    let accepted = accepted::after(config, rulings, accepted);
    let records = RecordsFile::new(config.state_dir.clone(), attention.clone(), newest.clone());
    let socket = config.socket.clone();
    let state_dir = config.state_dir.clone();
    let group = SocketGroup::of(config);

    // Stored before they are in force, so that the next start after a crash decides overlaps alike.
    let rules = spec(config, rulings, zone, &kernel.links);
    let current = config.clone();
    let saved = accepted.clone();
    let lists = NewestLists::of(&prepared.trust);
    let saving = (files.clone(), records.clone());
    let former_policies = blocking(move || {
        let (files, records) = saving;
        files.store_accepted(current.state_dir.clone(), saved);
        files.store_lists(current.state_dir.clone(), lists);
        records.update(&current, None);
        Ok(former::remember(&current, rules, &files))
    })
    .await?;
    let secrets = load_secrets(config, &files).await?;

    let path = socket.clone();
    let mut admin = blocking(move || FileListener::bind(&path, group.as_ref())).await?;
    admin.report_as(socket::FINDING, attention.clone());
    let state = State {
        accepted,
        former_policies,
        stored: Stored {
            rules: RulesFile::new(state_dir, files.clone()),
            files,
            records,
            secrets,
        },
        attention,
        service,
    };
    let ended = match Gateway::bind(prepared, state, kernel, admin).await {
        Ok(gateway) => {
            gateway.run(outside).await;
            Ok(())
        }
        Err(error) => Err(error),
    };

    blocking(move || {
        // Another file may have taken its place.
        if !socket::is_other_file(&socket) {
            // Fails if the file is already gone, which is fine.
            let _ = std::fs::remove_file(&socket);
        }
        Ok(())
    })
    .await?;
    ended
}

/// Loads the secrets by which the gateways of this site prove to be alive. With siblings, they are
/// stored at once, so that messages of this run count as later than those of the run before.
async fn load_secrets(config: &Config, files: &Arc<StateFiles>) -> anyhow::Result<SiblingSecrets> {
    let dir = config.state_dir.clone();
    let files = files.clone();
    let mut gateways = config.own.gateways.iter();
    let is_one_of_several =
        gateways.any(|other| other.site == config.site && other.name != config.id.name);

    blocking(move || {
        let secrets = SiblingSecrets::load_or_make(&dir, random()?);
        if is_one_of_several {
            files.store_secrets(dir, secrets.clone());
        }
        Ok(secrets)
    })
    .await
}

/// Random bytes.
fn random<const LEN: usize>() -> anyhow::Result<[u8; LEN]> {
    let mut random = [0; LEN];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| anyhow::anyhow!("the system has no random bytes"))?;
    Ok(random)
}

/// Runs `job`, which accesses files, on a blocking thread.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    spawn_blocking(job).await?
}
