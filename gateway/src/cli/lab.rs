//! `ringway lab`: becomes the program `ringway-lab`, which is installed beside this one.
//!
//! The laboratory creates network namespaces and runs other programs as root. It is a program of
//! its own so that the daemon contains none of that.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, anyhow};

use super::Failure;

/// File name of the laboratory's program, in the directory of this one.
const PROGRAM: &str = "ringway-lab";

/// Environment variable that tells the laboratory which `ringway` its gateways run.
const RINGWAY_PROGRAM: &str = "RINGWAY_PROGRAM";

/// All arguments after `ringway lab`, including `--help`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Passed on to ringway-lab
    #[arg(
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Replaces this process by `ringway-lab`. Returns only if that cannot be started.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let this = std::env::current_exe().context("cannot find the file of the running program")?;
    let program = this.with_file_name(PROGRAM);

    // exec(3) keeps the process, so signals, terminal and exit code are those of the laboratory.
    let error = Command::new(&program)
        .args(args.arguments)
        .env(RINGWAY_PROGRAM, &this)
        .exec();

    if error.kind() == ErrorKind::NotFound {
        let missing = anyhow!(
            "{} does not exist; build it with `cargo build --release -p ringway-lab`",
            program.display()
        );
        return Err(missing.into());
    }
    Err(anyhow!(error)
        .context(format!("cannot start {}", program.display()))
        .into())
}
