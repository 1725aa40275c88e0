//! `ringway purge`: takes back what a gateway leaves in the kernel on purpose when it ends: guard,
//! forwarding, rules and routes, those of removed members among them.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::Config;
use ringway_host::guard::Guard;
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
    let config = Config::load(&args.config.path)?;

    block_on(purge(&config))??;
    answer("removed from the kernel: guard, forwarding, rules and routes\n")
}

async fn purge(config: &Config) -> anyhow::Result<()> {
    let current = Traces::of(config, &BTreeSet::new());
    let earlier = Traces::load(&config.state_dir);

    // The device is the lock: it exists as long as its daemon runs.
    let devices = earlier.iter().chain([&current]).map(|traces| &traces.tun);
    for device in devices {
        anyhow::ensure!(
            !tun::exists(device),
            "a gateway is running: device {device} exists; stop it first"
        );
    }

    // The routes go first: without the guard, nothing else would keep packets off the default
    // route.
    let settings = config.state_dir.join("kernel-settings.json");
    for traces in earlier.iter().chain([&current]) {
        routes::purge(traces.routes, &traces.own, None).await?;
        Guard::new(&traces.tun, &settings).remove().await?;
    }
    Traces::forget(&config.state_dir).context("cannot forget what was left in the kernel")
}
