//! The program `ringway`: parses the command line, starts the log, runs the verb and exits with its
//! code.
//!
//! The verbs are in [`ringway::cli`]; [`ringway::run`] is the daemon.

use std::process::ExitCode;

use clap::Parser as _;
use ringway::cli::{self, Cli};
use ringway::logging;

/// EX_USAGE of sysexits.h.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };

    logging::start(cli.log, &cli.log_level);
    match cli::run(cli.verb) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

/// Prints the help, the version, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    _ = error.print();
    // Help and version go to stdout: they are answers, not errors.
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
