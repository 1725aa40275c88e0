//! `ringway metrics`: a running gateway's metrics in the OpenMetrics text format.

use std::process::ExitCode;

use super::daemon::Daemon;
use super::{ConfigFile, Failure, answer};
use crate::admin::socket;

/// Arguments of `ringway metrics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to ask
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs `ringway metrics`.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let socket = Daemon::of(&args.config.path)?.socket;
    answer(socket::ask_metrics(&socket)?)
}
