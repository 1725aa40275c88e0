//! [`prepare`]: everything that must be right before a gateway starts or reloads.
//!
//! `ringway check` is exactly this, and `run` does exactly this first: files, the own zone, CA certificates,
//! the own certificate and key, the host's networks, every overlap. It changes nothing. What a caller makes of
//! conflicts differs: `check` and a reload refuse them, a cold start lives with them
//! (DESIGN.md, section 5).

use std::collections::BTreeSet;
use std::path::Path;

use ringway_config::{
    Config, Connected, Digest, Fault, Faults, Place, Ruling, accepted, conflicts, rule,
};
use ringway_dns::Zone;
use rustls_pki_types::UnixTime;

use crate::host::links::connected_networks;
use crate::identity::{Identity, Trust};

/// A gateway's files, read and checked.
#[derive(Debug)]
pub struct Prepared {
    /// What the files say.
    pub config: Config,
    /// Whom to believe.
    pub trust: Trust,
    /// The own certificate and key.
    pub identity: Identity,
    /// The networks this host is connected to, the own TUN device apart.
    pub connected: Vec<Connected>,
    /// The records accepted before now; empty at a cold start.
    pub accepted: BTreeSet<Digest>,
    /// The verdict on every prefix.
    pub rulings: Vec<Ruling>,
    /// Every overlap, as a fault that names both places.
    pub conflicts: Faults,
    /// What does not keep a gateway from running but wants mending: members' CA certificates out of date.
    pub warnings: Faults,
}

/// Reads and checks what `gateway.toml` at `path` describes. Fails with every fault at once; those of the
/// certificates only if the files themselves are in order.
pub async fn prepare(path: &Path) -> Result<Prepared, Faults> {
    let config = Config::load(path)?;
    // The serial is given when the zone is served; whether there can be a zone does not depend on it.
    Zone::from_config(&config, 0).map_err(Faults::from)?;
    let now = UnixTime::now();
    let trust = Trust::build(&config)?;
    let identity = Identity::load(&config.identity, &config.id, &trust, now)?;
    let connected = connected(&config).await?;
    let accepted = accepted::load(&config.state_dir).map_err(|error| cannot(&config, &error))?;
    let rulings = rule(&config, &connected, &accepted);
    let conflicts = conflicts(&config, &connected, &accepted);
    let warnings = trust.lapsed(now).into();
    Ok(Prepared {
        config,
        trust,
        identity,
        connected,
        accepted,
        rulings,
        conflicts,
        warnings,
    })
}

/// The host's networks as claims.
pub async fn connected(config: &Config) -> Result<Vec<Connected>, Faults> {
    connected_networks(config.tun.as_str())
        .await
        .map_err(|error| cannot(config, &error))
}

fn cannot(config: &Config, error: &dyn std::error::Error) -> Faults {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message = format!("{message}: {error}");
        source = error.source();
    }
    Faults::from(vec![Fault {
        place: Place::whole(&config.path),
        message,
    }])
}
