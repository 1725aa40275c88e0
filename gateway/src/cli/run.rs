//! `ringway run`: the daemon.

use std::process::ExitCode;

use super::{ConfigFile, Failure};

/// What `run` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to run
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs the gateway until it is told to end.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(anyhow::anyhow!("this build cannot run a gateway yet").into())
}
