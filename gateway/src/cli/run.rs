//! `ringway run`: the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{ConfigFile, Failure};
use crate::run::{Options, RunError};

/// Arguments of `ringway run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway to run
    #[command(flatten)]
    pub config: ConfigFile,
    /// Write the process number to this file while the gateway runs
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Read the files again whenever they have changed, without SIGHUP or `ringway reload`
    #[arg(long)]
    pub watch: bool,
}

/// Runs the gateway until SIGTERM or SIGINT.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    run_as(args, false)
}

/// Likewise; `must_be_node`: the file of a gateway is refused.
pub fn run_as(args: Args, must_be_node: bool) -> Result<ExitCode, Failure> {
    // The data plane has its own threads; the rest of the daemon needs little.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;

    let options = Options {
        pid_file: args.pid_file,
        watches_files: args.watch,
        must_be_node,
    };
    match runtime.block_on(crate::run::run(&args.config.path, options)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::Faults(faults)) => Err(faults.into()),
        Err(RunError::Failed(error)) => Err(error.into()),
    }
}
