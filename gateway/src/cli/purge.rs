//! `ringway purge`: takes back what a gateway leaves in the kernel on purpose when it ends: guard,
//! forwarding, rules and routes, those of removed members among them. The guard goes last: until
//! then, nothing of the mesh leaves by another way. Faults of the files keep nothing in the kernel:
//! the state says what is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, Ha, Survey};
use ringway_host::guard::Guard;
use ringway_host::virtual_address::VirtualAddresses;
use ringway_host::{routes, traces, tun};

use super::{ConfigFile, Failure, answer, block_on};
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
    let (state_dir, current) = match Config::load(path) {
        Ok(config) => {
            let current = Traces::of(&config, &BTreeSet::new());
            ha = config.ha;
            (config.state_dir, Some(current))
        }
        // The state names device and numbers, whatever the files say now.
        Err(faults) => match Survey::read(path, None).state_dir {
            Some(state_dir) if Traces::load(&state_dir).is_some() => (state_dir, None),
            _ => return Err(faults.into()),
        },
    };

    block_on(async {
        purge(&state_dir, current).await?;
        remove_addresses(&ha).await
    })??;
    answer("removed from the kernel: guard, forwarding, rules and routes\n")
}

/// A daemon that was killed a moment ago leaves its virtual addresses to the kernel, which ends
/// them by itself.
async fn remove_addresses(ha: &Ha) -> anyhow::Result<()> {
    let addresses: Vec<_> = ha.hosts().collect();
    if addresses.is_empty() {
        return Ok(());
    }

    let kernel = VirtualAddresses::open()?;
    if let Some(interface) = kernel.interface(&ha.interface).await? {
        kernel.remove(interface.index, &addresses).await?;
    }
    Ok(())
}

async fn purge(state_dir: &Path, current: Option<Traces>) -> anyhow::Result<()> {
    let earlier = Traces::load(state_dir);
    let all: Vec<Traces> = earlier.into_iter().chain(current).collect();

    // The device is the lock: it exists as long as its daemon runs.
    for device in all.iter().map(|traces| &traces.tun) {
        anyhow::ensure!(
            !tun::exists(device),
            "a gateway is running: device {device} exists; stop it first"
        );
    }

    // The guard goes last: without the routes, nothing else keeps packets off the default route.
    for traces in &all {
        routes::purge(traces.routes, &traces.own, None).await?;
    }
    let settings = state_dir.join("kernel-settings.json");
    for traces in &all {
        Guard::new(&traces.tun, &settings).remove().await?;
    }
    Traces::forget(state_dir).context("cannot forget what was left in the kernel")
}
