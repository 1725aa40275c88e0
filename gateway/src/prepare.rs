//! [`prepare`]: reads and checks everything that a gateway needs before it starts or reloads.
//!
//! `ringway check` does exactly this, and `run` does it first: files, our zone, CA certificates,
//! our certificate and key, the host's networks, every overlap. It changes nothing. Callers treat
//! conflicts differently: `check` and a reload refuse them; a cold start accepts them, without
//! routes for the conflicted prefixes.

mod records;

use std::collections::BTreeSet;
use std::error::Error;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ringway_config::{
    Config, Connected, Digest, Fault, Faults, Newest, Place, Prefix, Ruling, accepted, conflicts,
    rule,
};
use ringway_dns::Zone;
use ringway_host::links;
use ringway_host::traces::Traces;
use ringway_identity::local::validity;
use ringway_identity::{Identity, Trust};
use ringway_intent::{Links, Scope, Situation, held};
use rustls_pki_types::UnixTime;
use tokio::task::spawn_blocking;

use crate::kubernetes;
use crate::names::lint::lint;
use crate::policy::{Judge, TestResults};
use crate::quic::endpoint::EndpointKeys;
use crate::state::{NewestLists, modes};
use crate::{resolver, wireguard};
pub use records::Unusable;
use records::{check_lists, check_records, known, remembered, withhold_unknown};

/// The result: a gateway's files, read and checked.
#[derive(Debug)]
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// Our zone, at serial 0.
    pub zone: Zone,
    /// The certificates to accept.
    pub trust: Trust,
    /// Our certificate and key.
    pub identity: Identity,
    /// The networks that this host is connected to, without our TUN device.
    pub connected: Vec<Connected>,
    /// The records that were accepted before; empty at a cold start.
    pub accepted: BTreeSet<Digest>,
    /// The newest accepted records; `None` if they are no longer known.
    pub newest: Option<Newest>,
    /// What the last daemon has left in the kernel.
    pub traces: Option<Traces>,
    /// The prefixes that must not be reachable by the default route, including those of removed
    /// members.
    pub held: BTreeSet<Prefix>,
    /// The verdict about every prefix.
    pub rulings: Vec<Ruling>,
    /// Every overlap, as a fault that names both places.
    pub conflicts: Faults,
    /// The results of the policy's tests.
    pub policy_tests: TestResults,
    /// Problems that do not prevent a gateway from running: members' expired CA certificates, rules
    /// that match nothing.
    pub warnings: Faults,
    /// Things to do some time, although nothing is wrong.
    pub hints: Faults,
}

impl Prepared {
    /// The inputs for the host's routes and guard, with these addresses and interfaces.
    pub fn situation<'a>(&'a self, links: &'a Links) -> Situation<'a> {
        Situation {
            config: &self.config,
            rulings: &self.rulings,
            connected: &self.connected,
            links,
            held: &self.held,
        }
    }
}

/// The part of the result that comes from the files alone.
struct Files {
    config: Config,
    zone: Zone,
    trust: Trust,
    identity: Identity,
    accepted: BTreeSet<Digest>,
    newest: Option<Newest>,
    traces: Option<Traces>,
    /// Stored state that cannot be read.
    unread: Vec<Fault>,
    /// Mistakes in names that do not prevent serving them.
    doubtful_names: Vec<Fault>,
}

/// Reads and checks everything that `gateway.toml` at `path` describes. Fails with all faults at
/// once; those of the certificates only if the files themselves are valid.
pub async fn prepare(path: &Path) -> Result<Prepared, Faults> {
    prepare_at(path, Known::default(), UnixTime::now()).await
}

/// What a running daemon knows, even if it can no longer be read from disk.
#[derive(Debug, Default)]
pub struct Known {
    /// The newest records.
    pub newest: Option<Newest>,
    /// The newest revocation lists.
    pub lists: NewestLists,
    /// The virtual addresses that the host may still have.
    pub virtual_addresses: BTreeSet<IpAddr>,
    /// What to do with a record that must not be used.
    pub unusable: Unusable,
}

/// As [`prepare`], for a running daemon.
pub async fn prepare_again(path: &Path, known: Known) -> Result<Prepared, Faults> {
    prepare_at(path, known, UnixTime::now()).await
}

/// As [`prepare_again`] would at the time `now`.
pub async fn prepare_at(path: &Path, mut known: Known, now: UnixTime) -> Result<Prepared, Faults> {
    let path = path.to_owned();
    let earlier = std::mem::take(&mut known.virtual_addresses);
    let files = off_the_loop(path.clone(), move || Files::read(&path, now, known)).await?;
    let Files {
        mut config,
        zone,
        trust,
        identity,
        accepted,
        newest,
        traces,
        unread,
        doubtful_names,
    } = files;

    // The host's own claims: a member's prefix must not take over a network that we are connected
    // to.
    let links = links_without(&config, earlier).await?;
    let connected = links.connected();
    config.spare(&connected);
    let rulings = rule(&config, &connected, &accepted);
    let mut conflicts = conflicts(&config, &connected, &accepted);
    conflicts.0.extend(config.nodes_on_links(&connected));
    let before = traces.as_ref().map(|traces| &traces.held);
    let held = held(&config, &rulings, before.unwrap_or(&BTreeSet::new()));
    // Only a warning: one member's expired CA must not prevent all other gateways from starting.
    let mut warnings = trust.lapsed(UnixTime::now());
    warnings.extend(unread);
    warnings.extend(config.notes.0.iter().cloned());
    warnings.extend(config.withheld.iter().map(|(org, fault)| Fault {
        place: fault.place.clone(),
        message: format!(
            "{}; a start goes on without tunnels to {org}",
            fault.message
        ),
    }));
    warnings.extend(config.unserved());

    let judge = Judge::new(&config, &rulings, &zone, &links);
    warnings.extend(judge.nameless());
    let policy_tests = TestResults::of(&config, &judge);
    drop(judge);
    let mut hints = config.old_records();
    hints.extend(config.old_state());
    hints.extend(config.never_met());
    hints.extend(config.unused_transit());
    hints.extend(config.lonely_ha());
    hints.extend(config.not_accepted());
    hints.extend(resolver::doubtful(&config));
    hints.extend(EndpointKeys::exposed(&config.state_dir));
    hints.extend(wireguard::exposed(&config.state_dir));
    hints.extend(modes::exposed(&config.state_dir));
    hints.extend(doubtful_names);
    let hints = Faults::from(hints);

    Ok(Prepared {
        config,
        zone,
        trust,
        identity,
        connected,
        accepted,
        newest,
        traces,
        held,
        rulings,
        conflicts,
        policy_tests,
        warnings: Faults::from(warnings),
        hints,
    })
}

impl Files {
    fn read(path: &Path, now: UnixTime, memory: Known) -> Result<Files, Faults> {
        let mut config = Config::load(path)?;
        if let Some(fault) = kubernetes::missing(&config) {
            return Err(Faults::from(vec![fault]));
        }
        let state_dir = config.state_dir.clone();
        let (accepted, unread) = known(accepted::load(&state_dir), path)?;
        let mut unread = Vec::from_iter(unread);
        let newest = remembered(&state_dir, memory.newest, path, &mut unread);
        match &newest {
            Some(newest) => check_records(&mut config, newest, memory.unusable)?,
            // They may include an older record, so only those that were in force before are used.
            None => withhold_unknown(&mut config, &accepted),
        }

        // The serial is assigned when the zone is served; it does not affect whether the zone is
        // valid.
        let (zone, sources) = Zone::with_sources(&config).map_err(Faults::from)?;
        let trust = check_lists(&mut config, memory.lists, memory.unusable)?;
        // As a peer verifies it: a certificate that our own trust refuses is useless for dialling.
        let identity = Identity::load(&config.identity, &config.id, &trust, now)?;
        let traces = Traces::load(&state_dir);
        let doubtful_names = lint(&config, &zone, &sources);

        Ok(Files {
            config,
            zone,
            trust,
            identity,
            accepted,
            newest,
            traces,
            unread,
            doubtful_names,
        })
    }
}

/// The validity period of our certificate, if it is not valid now.
pub async fn valid_at_another_time(path: &Path) -> Option<(UnixTime, UnixTime)> {
    let path = path.to_owned();

    spawn_blocking(move || {
        let identity = Config::load(&path).ok()?.identity;
        let (begin, end) = validity(&identity.certificate)?;
        let now = UnixTime::now().as_secs();
        let is_valid_now = (begin.as_secs()..=end.as_secs()).contains(&now);

        (!is_valid_now).then_some((begin, end))
    })
    .await
    .ok()
    .flatten()
}

/// The host's addresses.
pub async fn links(config: &Config) -> Result<Links, Faults> {
    links_without(config, BTreeSet::new()).await
}

/// As [`links`], and leaves out the virtual addresses in `earlier`.
async fn links_without(config: &Config, earlier: BTreeSet<IpAddr>) -> Result<Links, Faults> {
    let scope = Scope::of(config).without(earlier);

    links::read(&config.tun, &scope)
        .await
        .map_err(|error| whole_file(&config.path, &error))
}

/// Reads files on a blocking thread.
async fn off_the_loop<T: Send + 'static>(
    path: PathBuf,
    read: impl FnOnce() -> Result<T, Faults> + Send + 'static,
) -> Result<T, Faults> {
    match spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => Err(whole_file(&path, &error)),
    }
}

/// `error` and its sources, as a fault of the file at `path`.
fn whole_file(path: &Path, error: &dyn Error) -> Faults {
    Faults::from(vec![whole_fault(path, error)])
}

fn whole_fault(path: &Path, error: &dyn Error) -> Fault {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message = format!("{message}: {error}");
        source = error.source();
    }

    Fault {
        place: Place::whole(path),
        message,
    }
}
