//! `ringway check`: what `run` would find wrong, and the verdict on every prefix.

use std::process::ExitCode;

use super::{ConfigFile, Failure};

/// What `check` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let _ = args;
    Ok(ExitCode::SUCCESS)
}
