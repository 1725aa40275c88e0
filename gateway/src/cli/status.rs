//! `ringway status`: what a running gateway says about itself.

use std::process::ExitCode;

use super::{ConfigFile, Failure};

/// What `status` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to ask
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Asks and prints.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(anyhow::anyhow!("this build cannot ask a gateway yet").into())
}
