//! `ringway metrics`: what a running gateway has counted, in the OpenMetrics text format.

use std::process::ExitCode;

use super::{ConfigFile, Failure, answer};
use crate::admin::socket;

/// What `metrics` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to ask
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Asks and prints.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    answer(socket::ask_metrics(&ringway_config::socket_of(
        &args.config.path,
    )?)?)
}
