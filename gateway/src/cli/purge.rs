//! `ringway purge`: removes what a gateway leaves in the kernel on purpose when it ends: guard,
//! forwarding, rules and routes, including those for removed members. The guard is removed last:
//! until then, packets of the mesh cannot leave in clear. Faults of the files do not prevent it:
//! the state directory lists what is there.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, Ha, Survey};
use ringway_host::guard::Guard;
use ringway_host::virtual_address::VirtualAddresses;
use ringway_host::{routes, traces, tun};

use super::{ConfigFile, Failure, answer, block_on};
use crate::resolver;
use traces::Traces;

/// Arguments of `ringway purge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs `ringway purge`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let path = &args.config.path;
    let mut ha = Ha::default();
    let mut resolver = None;
    let (state_dir, current) = match Config::load(path) {
        Ok(config) => {
            // Its lines are taken out once the device has proved that no daemon runs.
            resolver = config.attach.is_some().then(|| config.clone());
            let current = Traces::of(&config, &BTreeSet::new());
            ha = config.ha;
            (config.state_dir, Some(current))
        }
        // The state has the device and numbers, whatever the files say.
        Err(faults) => match Survey::read(path, None).state_dir {
            Some(state_dir) if Traces::load(&state_dir).is_some() => (state_dir, None),
            _ => return Err(faults.into()),
        },
    };

    let removed = block_on(async {
        let mut removed = Removed::default();
        removed.kernel(&state_dir, current).await?;
        removed.addresses(&ha).await?;
        if let Some(config) = &resolver {
            removed.resolver = resolver::purge(config)?;
        }
        anyhow::Ok(removed)
    })??;
    answer(removed.to_string())
}

/// What was removed.
#[derive(Debug, Default)]
struct Removed {
    /// Names of nftables tables.
    guards: Vec<String>,
    /// Kernel settings with their former value again.
    settings: Vec<String>,
    rules: usize,
    routes: usize,
    addresses: Vec<String>,
    /// The file of an attached node's resolver, without our servers now.
    resolver: Option<PathBuf>,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guards = self.guards.iter();
        let parts = guards
            .map(|guard| format!("nftables table inet {guard}"))
            .chain(counted(self.rules, "rule"))
            .chain(counted(self.routes, "route"))
            .chain(self.addresses.iter().map(|one| format!("address {one}")));
        let parts: Vec<String> = parts.collect();

        if let Some(path) = &self.resolver {
            writeln!(f, "taken out of {}: the gateways' servers", path.display())?;
        } else if parts.is_empty() && self.settings.is_empty() {
            return f.write_str("nothing of this gateway is in the kernel\n");
        }
        if !parts.is_empty() {
            writeln!(f, "removed from the kernel: {}", parts.join(", "))?;
        }
        if !self.settings.is_empty() {
            writeln!(f, "set back: {}", self.settings.join(", "))?;
        }
        Ok(())
    }
}

fn counted(count: usize, one: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {one}s")),
    }
}

impl Removed {
    /// Removes the virtual addresses, which a daemon that was just killed leaves until their
    /// lifetime ends.
    async fn addresses(&mut self, ha: &Ha) -> anyhow::Result<()> {
        let addresses: Vec<_> = ha.hosts().collect();
        if addresses.is_empty() {
            return Ok(());
        }

        let kernel = VirtualAddresses::open()?;
        if let Some(interface) = kernel.interface(&ha.interface).await? {
            let ours = kernel.ours(interface.index, &addresses).await?;
            kernel.remove(interface.index, &addresses).await?;
            self.addresses = ours.iter().map(ToString::to_string).collect();
        }
        Ok(())
    }

    async fn kernel(&mut self, state_dir: &Path, current: Option<Traces>) -> anyhow::Result<()> {
        let earlier = Traces::load(state_dir);
        let all: Vec<Traces> = earlier.into_iter().chain(current).collect();

        // The device is the lock: it exists as long as its daemon runs.
        for device in all.iter().map(|traces| &traces.tun) {
            anyhow::ensure!(
                !tun::exists(device),
                "a gateway is running: device {device} exists; stop it first"
            );
        }

        // The guard last: without the routes, only it keeps packets off the default route.
        for traces in &all {
            let (routes, rules) = routes::purge(traces.routes, &traces.own, None).await?;
            self.routes += routes;
            self.rules += rules;
        }
        let settings = state_dir.join("kernel-settings.json");
        for traces in &all {
            let (undone, had_table) = Guard::new(&traces.tun, &settings).remove().await?;
            self.settings.extend(undone);
            if had_table {
                self.guards.push(traces.tun.to_string());
            }
        }
        Traces::forget(state_dir).context("cannot forget what was left in the kernel")
    }
}
